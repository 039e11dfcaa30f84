"""What stands in a line of LaTeX: quotes and dashes, accents, code, links, fractions, units. Keeps nothing in mind."""

from __future__ import annotations

import re

from polyseme.tasks.reading.parsing.latex import commands as known
from polyseme.tasks.reading.parsing.latex.page import Page
from polyseme.tasks.reading.parsing.latex.source import Source

_ADDRESS = re.compile(r"\s*\{((?:[^{}\\\n]|\\.|\{[^{}\n]*\})*+)\}")
_ESCAPED = re.compile(r"\\([%#&_~{}])")
_VERB = re.compile(r"(?!\{)([^\sA-Za-z*])((?:(?!\1)[^\n])*+)\1|\{((?:[^{}\n]|\{[^{}\n]*\})*+)\}")
_BRANCH = re.compile(r"\\(if[A-Za-z]*|else|fi)(?![A-Za-z])")
STAR = re.compile(r"\*(?=\s*[\[{\\])")
_NAME = re.compile(r"\s*\\(?:[A-Za-z@]+|.)")
_COMPARED = re.compile(r"\s*(?:\\[A-Za-z@]+|.)\s*(?:\\[A-Za-z@]+|.)")
_UNIT = re.compile(r"\\([A-Za-z]+)\s*")
_QUOTED = re.compile(r"`([^`'\n]{1,400}(?:\n[^`'\n]{1,400}){0,9})'(?!\w)")
_SHORTHAND = re.compile(r"\"([aouAOUeisSzZ`'<>|~=\"-])")
_SHORTHANDS = {**dict(zip("aouAOUeisSzZ", "äöüÄÖÜëïßẞßẞ", strict=True)), "`": "„", "'": "“", "<": "«", ">": "»",
               "|": "", "~": "-", "=": "-", '"': "", "-": ""}  # fmt: skip
_ACCENTED = re.compile(
    r"[ \t]*(?:\{\s*(\\[ij]|\w\w?)?\s*\}|\\([ij])(?![A-Za-z])[ \t]?|(\w)"
    r"|\{\\([`'^~\"])\{?(\w)\}?\})"
)


def typeset(text: str, *, german: bool) -> str:
    """Return text with the quotes and dashes that TeX makes of what is typed, and the shorthands of German."""
    if german and '"' in text:
        text = _SHORTHAND.sub(lambda found: _SHORTHANDS[found[1]], text)
    if "`" in text or "''" in text or "--" in text:
        text = text.replace("?`", "¿").replace("!`", "¡").replace("``", "“").replace("''", "”")
        text = _QUOTED.sub(r"‘\1’", text.replace("---", "—").replace("--", "–")).replace("`", "‘")
    return text


def accented(source: Source, mark: str) -> str | None:
    """Return the letter that is next, under a mark; None if there is none."""
    if (found := source.skip(_ACCENTED)) is None:
        return None
    letter = (found[1] or found[2] or found[3] or found[5] or "").lstrip("\\")
    return letter[:1] + known.ACCENTS.get(found[4], "") + mark + letter[1:]


def verb(source: Source, page: Page) -> None:
    """Add code between two characters, or in braces."""
    source.skip(STAR)
    source.option()
    if (found := source.skip(_VERB)) is not None:
        page.add(found[2] if found[2] is not None else found[3])


def address(source: Source, page: Page) -> None:
    """Add an address."""
    if (found := source.skip(_ADDRESS)) is not None:
        page.add(_ESCAPED.sub(r"\1", found[1]))


def link(source: Source, _: Page) -> None:
    """Skip the address of a link, whose text is next."""
    source.option()
    source.skip(_ADDRESS)


def fraction(source: Source, _: Page) -> None:
    """Write a fraction on one line."""
    above, below = (source.argument() or "" for _ in range(2))
    source.put("/".join(part if len(part) < 2 or part.isalnum() else f"({part})" for part in (above, below)))


def root(source: Source, _: Page) -> None:
    """Write a root."""
    source.option()
    source.put(f"√({source.argument() or ''})")


def either(source: Source, _: Page) -> None:
    """Take the first of two texts for the same."""
    text = source.braced()
    drop(source, 1)
    source.put(text or "")


def unit(source: Source, _: Page, values: int) -> None:
    """Write a quantity of `siunitx` in words."""
    source.option()
    value = " ".join(source.argument() or "" for _ in range(values))
    written = source.argument() or ""
    written = re.sub(r"\\per(?![a-z])\s*", "/", written)
    written = re.sub(r"\\squared?(?![a-z])", "²", re.sub(r"\\cub(?:ed|ic)(?![a-z])", "³", written))
    source.put(f"{value} {_UNIT.sub(lambda found: found[1], written)}".strip())


def skip_false(source: Source, _: Page) -> None:
    """Skip what is never typeset, up to the branch that is, or the end."""
    depth = 0
    while (found := source.find(_BRANCH)) is not None:
        word = found[1]
        depth += 1 if word.startswith("if") else -1 if word == "fi" else 0
        if depth < 0 or (depth == 0 and word == "else"):
            return


def skip_compared(source: Source, _: Page) -> None:
    """Skip what `ifx` compares."""
    source.skip(_COMPARED)


def drop(source: Source, count: int) -> None:
    """Skip so many arguments, and the options before each."""
    source.skip(STAR)
    for _ in range(count):
        while source.option() is not None:
            pass
        if source.braced() is None and source.skip(_NAME) is None:
            return
    if not count:
        source.option()
