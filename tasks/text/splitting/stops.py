"""Stops: the marks that may end a sentence, with the quotes, brackets and reference marks that belong to them.

Stops of scripts without capitals always end one (`。`, `।`, `։`, `።`, `။`, `។`); those of Latin and its kin are only
candidates. Finds them, and decides nothing.
"""

from __future__ import annotations

import re

_ALWAYS = "。｡！？।॥؟۔։።፧፨။។៕།༎༏᙮᠃᠉꓿꛳꛷෴๚๛᪨᪩᭞᭟‽⸮\u037e"
_STOPS = ".!?…‥⁇⁈⁉"
_CLOSERS = r"""["'”’»›)\]}“‘«」』】》〉）］｝＂＇*_]"""
_EMOTICON = r"(?:[:;=8]['’]?-?[)(\]DPpO3*/\\|]{1,3}|<3|\^_?\^)(?=\s|\Z)"
_GREEK = r"\u0370-\u03ff\u1f00-\u1fff"
_ARMENIAN = r"\u0531-\u0587"
_REFERENCE = r"\[(?:\d{1,3}(?:\s?[-–,;]\s?\d{1,3}){0,8}|[a-z]{1,2}|(?:note|nb|n)\.?[ ]?\d{1,3}|citation[ ]needed)\]_?"

# One set of characters first: search skips everything else quickly.
ENDING = re.compile(
    rf"""
    [{_STOPS}{_ALWAYS};:]
    (?:
      (?<=[{_ALWAYS}]) (?P<always> [{_ALWAYS}{_STOPS}]*+ [」』】》〉）］｝”’»"')\]]*+ )
      | (?: (?<=[{_STOPS}]) [{_STOPS}]*+
          | (?<=[{_GREEK}];)
          | (?<=[{_ARMENIAN}]:) | (?<=[{_ARMENIAN}][»”")]:) )
        (?P<closers> {_CLOSERS}*+ (?: \s[»›”](?=\s|\Z) | \s{_EMOTICON} )? )
        (?P<marks> (?: (?<=[^\W\d_][.!?])\d{{1,3}}(?=\s|\Z) | [†‡§¹²³⁰⁴-⁹]++ )? (?: \s?{_REFERENCE} ){{0,12}} )
        (?= \s | \Z | (?P<glued> [^\s\d] ))
    )
    """,
    re.VERBOSE,
)
"""A stop: with `always` it ends a sentence, with `closers` it may, and with `glued` no space follows it."""

_OTHERS = (
    (("-----", "=====", "_____", "*****", "~~~~~"), r"(?<![-=_*~])[-=_*~]{5,}+(?=\s)"),
    ((":)", ":-)", ":(", ":-(", ";)", ";-)"), r"(?<=\s)[:;]-?[)(](?=\s+[A-Z])"),
    (("AM", "PM", "am", "pm"), r"/\d{1,2}/\d{2,4}\s\d{1,2}:\d\d(?::\d\d)?\s[AaPp][Mm]\b"),
    (("http",), r"https?://\S{1,400}+(?=\s+(?:https?://|[A-Z]))"),
    (("@",), r"@[\w.-]{1,100}+>?(?=\s+(?:https?://|[A-Z]))"),
    (("egards,", "incerely,", "espectfully,", "Cheers,"), r"(?:[Rr]egards|Sincerely|Respectfully|Cheers),(?=\s+[A-Z])"),
    (("니다 ", "요 "), r"(?:니다|[어아해세네예]요)(?=\s[가-힣A-Z])"),
)
_COMPILED = tuple((hints, re.compile(pattern)) for hints, pattern in _OTHERS)


def other_endings(text: str) -> list[re.Pattern[str]]:
    """Return the patterns of what ends a sentence without a stop, as far as the text has any.

    Long rules, emoticons, the date and the closing of a letter, addresses before a capital, polite verbs of Korean.
    """
    return [pattern for hints, pattern in _COMPILED if any(hint in text for hint in hints)]
