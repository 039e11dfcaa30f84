"""What opens a line: the marker of a list item or the name of a speaker, and whether to believe it.

A dash, a number and an acronym may also begin a line because running text was broken there. They are believed behind
a line that ended a sentence, and where others of their kind are. Looks at lines only; knows no block and no language.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_BULLETS = re.compile(r"[-+*•‣◦▪·●■□○◯◆◇►▶▸➢➤➔✓✔✗✘☐☑★☆][ \t]")
_UNSURE = re.compile(
    r"(?:[–—]|(?P<open>\(?)(?P<sign>(?P<digits>\d{1,3})(?=[.)])|[A-Za-z](?=\))|(?:[ivx]{1,5}|[IVX]{2,5})(?=[.)])"
    r"|[a-h](?=\.))(?P<close>[.)]))[ \t]"
)
_SPEAKER = re.compile(r"[A-Z][A-Z'’]{2,20}(?: [A-Z'’]{1,20}){0,2}(?:(?P<stop>\.)[ \t]+(?=\S)|(?P<colon>:)(?=\s))")
_ENDS = tuple(".!?:;…—–-。！？।؟։")
_FIRST = frozenset(("1", "a", "A", "i"))


class Marker(NamedTuple):
    """A marker and its length. `kind` is what those of one list share, `number` is 0 for what is not counted.

    One that is `sure` begins no line of running text. Names of speakers are a kind as well, by what follows them.
    """

    kind: str
    length: int
    number: int = 0
    sure: bool = False

    @property
    def is_speaker(self) -> bool:
        return self.kind.startswith("speaker")

    def goes_on_from(self, earlier: Marker | None) -> bool:
        """Return whether an earlier marker is of the same list."""
        return earlier is not None and self.kind == earlier.kind and (not self.number or self.number > earlier.number)


def marker_of(words: str) -> Marker | None:
    """Return the marker that opens a line without its indent, None if there is none."""
    if found := _BULLETS.match(words):
        return Marker("bullet", found.end(), sure=True)
    if found := _UNSURE.match(words):
        sign = found["sign"]
        if sign is None:
            return Marker("bullet", found.end())
        number = int(found["digits"] or 0)
        shape = "0" if found["digits"] else "a" if sign.islower() else "A"
        # Nothing in running text has a bracket that closes behind `ii` and was not opened.
        is_counted = len(sign) > 1 and not number and found["open"] + found["close"] == ")"
        return Marker(f"{found['open']}{shape}{found['close']}", found.end(), number, sure=sign in _FIRST or is_counted)
    if found := _SPEAKER.match(words):
        return Marker("speaker." if found["stop"] else "speaker:", found.end())
    return None


def is_believed(marker: Marker, *, before: str, earlier: Marker | None, following: str) -> bool:
    """Return whether a marker opens a list item or a speech, and is not where a line of running text was broken.

    `before` and `following` are the lines around it, `earlier` the last marker that was believed in the paragraph.
    """
    ended = before.rstrip("'\"”’)]*_ \t\r\n")
    if marker.sure or not ended or ended.endswith(_ENDS) or marker.goes_on_from(earlier):
        return True
    after = None if marker.is_speaker else marker_of(following)
    return after is not None and after.goes_on_from(marker)
