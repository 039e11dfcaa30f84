"""What stands in a paragraph of AsciiDoc: the text of links and marks, notes, and the values of attributes."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

_CODE = re.compile(
    r"(?<![\w`])`\+?((?:[^`\n]|\n(?!\n)){1,400}?)\+?`(?![\w`])|``([^`]{1,400})``|(?<![\w+])\+([^\s+][^+\n]{0,200})\+(?![\w+])"
)
_CURVED = re.compile(r"([\"'])`((?:(?!`\1).){1,1000})`\1", re.DOTALL)
_ATTRIBUTE = re.compile(r"(?<!\\)\{([a-zA-Z0-9_][\w-]{0,60})\}")
_NOTE = re.compile(r"\s?\bfootnote(?:ref)?:([\w-]*)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]")
_HIDDEN = re.compile(
    r"\(\(\([^()]{1,300}\)\)\)|\[\[[\w:.,\s-]{1,200}\]\]|\bindexterm:\[[^\]]*\]|\bimage:[^\s\[\]:][^\s\[\]]*\[[^\]]*\]|\banchor:[\w-]+\[[^\]]*\]"
)
_INDEXED = re.compile(r"\(\(([^()]{1,300})\)\)|\bindexterm2:\[([^\]]*)\]")
_LINK = re.compile(
    r"\b(?:link:|xref:|(?=(?:https?|ftp|irc|mailto):))(?!//)([^\s\[\]<>]{1,2000})\[((?:[^\[\]]|\\\]|\[[^\[\]]*\])*)\]"
)
_BARE = re.compile(r"<((?:https?|ftp)://[^\s<>]{1,2000})>")
_CROSS = re.compile(r"<<([^<>,]{1,300})(?:,([^<>]{1,500}))?>>")
_MACRO = re.compile(r"\b(?:kbd|btn|pass|stem|latexmath|asciimath)(?::[a-z,]*)?:?\[((?:[^\[\]]|\\\]|\[[^\[\]]*\])*)\]")
_MENU = re.compile(r"\bmenu:([^\s\[\]]+)\[([^\[\]]*)\]")
_ROLE = re.compile(r"\[[.#][\w.#-]{1,60}\](?=[#*_`^~])")
_DOUBLE = re.compile(r"(\*\*|__|##)(?=\S)((?:(?!\1).){1,1000}?)\1", re.DOTALL)
_SINGLE = re.compile(r"(?<![\w*_#\\])([*_#])(?=[^\s*_#])((?:(?!\1).){0,999}?[^\s\\])\1(?!\w)", re.DOTALL)
_RAISED = re.compile(r"([\^~])([^\s^~]{1,40})\1")
_DASH = re.compile(r"(?<=\S) -- (?=\S)|(?<=\w)--(?=\w)")
_ESCAPED = re.compile(r"\\(?=[*_#`{\[<^~+(]|https?:|link:|xref:)")
_GONE = "\x03"
_GONE_BEFORE = re.compile(f"\\s?{_GONE}(?=[.,;:!?)])")
_KEPT = re.compile("\x01(\\d+)\x02")
_SET = re.compile(r"(?:^|,)\s*(?:role|window|opts|options|id|title)=(?:\"[^\"]*\"|[^,]*)|\^$")

BUILT_IN = {
    "nbsp": " ", "zwsp": "", "sp": " ", "empty": "", "blank": "", "apos": "'", "quot": '"', "lsquo": "‘", "rsquo": "’",
    "ldquo": "“", "rdquo": "”", "deg": "°", "plus": "+", "brvbar": "¦", "vbar": "|", "amp": "&", "lt": "<", "gt": ">",
    "startsb": "[", "endsb": "]", "caret": "^", "asterisk": "*", "tilde": "~", "backslash": "\\", "backtick": "`",
    "two-colons": "::", "two-semicolons": ";;", "cpp": "C++", "pp": "++", "wj": "", "shy": "", "mdash": "—",
    "ndash": "–", "litdd": "--",
}  # fmt: skip


def shown(text: str, attributes: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the text that a reader sees of a paragraph, and its notes."""
    notes: list[str] = []
    if not any(mark in text for mark in "`*_#[{<+^~&(\\-"):
        return text, notes
    kept: list[str] = []

    def keep(value: str) -> str:
        kept.append(value)
        return f"\x01{len(kept) - 1}\x02"

    def note(found: re.Match[str]) -> str:
        notes.append(found[2])
        return ""

    text = text.translate({1: None, 2: None, 3: None})
    text = _CURVED.sub(lambda found: ("“{}”" if found[1] == '"' else "‘{}’").format(found[2]), text)
    text = _ATTRIBUTE.sub(lambda found: _value(found, attributes), text)
    text = _CODE.sub(lambda found: keep(found[1] or found[2] or found[3]), text)
    text = _HIDDEN.sub("", _NOTE.sub(note, text))
    text = _LINK.sub(lambda found: _text_of(found[2]) or keep(found[1].removeprefix("mailto:")), text)
    text = _BARE.sub(lambda found: keep(found[1]), text)
    text = _CROSS.sub(lambda found: (found[2] or _GONE).strip(" "), text)
    text = _GONE_BEFORE.sub("", text).replace(_GONE, "")
    text = _MENU.sub(lambda found: f"{found[1]} > {found[2]}" if found[2] else found[1], text)
    text = _INDEXED.sub(lambda found: found[1] or found[2], _MACRO.sub(lambda found: found[1], text))
    text = _ROLE.sub("", text)
    for _ in range(2):  # bold in italics
        text = _SINGLE.sub(r"\2", _DOUBLE.sub(r"\2", text))
    text = _DASH.sub(lambda found: " — " if found[0] != "--" else "—", _RAISED.sub(r"\2", text))
    text = html.unescape(_ESCAPED.sub("", text))
    text = _KEPT.sub(lambda found: kept[int(found[1])], text)
    notes = [_KEPT.sub(lambda found: kept[int(found[1])], one) for one in notes]
    return text, [inner for one in notes if (inner := shown(one.replace("footnote", ""), attributes)[0].strip())]


def _value(found: re.Match[str], attributes: Mapping[str, str]) -> str:
    name = found[1].lower()
    return attributes.get(name, BUILT_IN.get(name, found[0]))


def _text_of(attributes: str) -> str:
    text = _SET.sub("", attributes).replace("\\]", "]").strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
