"""The source of LaTeX: tokens, arguments, and the texts that macros put in its place. Knows the name of no command.

Nothing is called by itself: texts that are put in lie on a stack, and one that would be deeper than `_MOST_DEEP`, or
more than the source lets expect, is not put in. So `\\newcommand{\\a}{\\a\\a}` ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_MOST_DEEP = 200
_MOST_ARGUMENT = 1 << 16
"""Characters that are looked at for the end of an argument: far more has lost its brace."""
_MOST_OF_MANY = 1 << 10
"""The same, where arguments in arguments, or without an end, have taken long."""
_FREE_EXPANSION = 1 << 20
_EACH_EXPANSION = 16

_TOKEN = re.compile(
    r"([^\\{}$%&~]+)|\\((?:@?[A-Za-z]+(?:@[A-Za-z]+)*+)|.|\Z)|([{}$&~])|%[^\n]*+(?:\n[ \t]*+)?", re.DOTALL
)
_SPACES = re.compile(r"(?:[ \t]*+(?:\n(?![ \t]*\n)[ \t]*+)?)(?:%[^\n]*+\n[ \t]*+)*+")
_BRACES = re.compile(r"\\.|[{}]|%[^\n]*+", re.DOTALL)
_BRACKETS = re.compile(r"\\.|[{}\]]|%[^\n]*+", re.DOTALL)
_SETTING = re.compile(
    r"\[(?:[^\[\]\n]*=[^\[\]]*|[\s\d.,*!+-]*(?:[htbpHclrs]{0,6}|\\?[a-z]*(?:width|height|skip|sep)|[a-z]{2})?\s*)\]"
)
_MEASURE = re.compile(
    r"\s*=?\s*-?\d*\.?\d+\s*(?:true)?(?:pt|cm|mm|in|em|ex|pc|bp|sp|mu|fill)\b(?:\s*(?:plus|minus)\s*[\d.]+\w+)*"
)
_ONE = re.compile(r"\\(?:[A-Za-z@]+|.)|[^\s{}\[\]\\]", re.DOTALL)


@dataclass(slots=True)
class _Text:
    text: str
    at: int = 0
    then: Callable[[], None] | None = None


class Source:
    """A source that is read from its beginning, with texts put in on the way."""

    def __init__(self, text: str) -> None:
        self._texts = [_Text(text)]
        self._budget = _FREE_EXPANSION + 4 * len(text)
        self._looks = _FREE_EXPANSION + 16 * len(text)

    def token(self) -> tuple[int, str] | None:
        """Return the next token: its kind (1 text, 2 the name of a command, 3 a special character, 0 a remark)."""
        while self._texts:
            top = self._texts[-1]
            if (found := _TOKEN.match(top.text, top.at)) is not None:
                top.at = found.end()
                kind = found.lastindex or 0
                return kind, found[kind]
            self._leave()
        return None

    def put(self, text: str, then: Callable[[], None] | None = None) -> None:
        """Read `text` next, and call `then` behind it."""
        self._texts.append(_Text(text, then=then))

    def expand(self, text: str) -> None:
        """Read what a macro stands for next."""
        self._budget -= len(text) + _EACH_EXPANSION
        self._texts.append(_Text(text))

    def may_expand(self) -> bool:
        """Return whether macros have not yet made too much of the source."""
        self._next()
        return self._budget >= 0 and len(self._texts) <= _MOST_DEEP

    def argument(self) -> str | None:
        """Return the argument that is next, without its braces; None if none is."""
        return self._argument(whole=False)

    def braced(self) -> str | None:
        """Return the argument that is next if it is in braces."""
        return self._argument(whole=True)

    def option(self) -> str | None:
        """Return the optional argument that is next, without its brackets."""
        top = self._next()
        at = _past(_SPACES, top)
        if not top.text.startswith("[", at) or (end := self._end(_BRACKETS, top.text, at + 1, "]")) is None:
            return None
        top.at = end + 1
        return top.text[at + 1 : end]

    def setting(self) -> None:
        """Skip an optional argument that is no text, by its look, or a length."""
        self.skip(_SETTING)
        self.measure()

    def measure(self) -> None:
        """Skip a length."""
        self.skip(_MEASURE)

    def skip(self, pattern: re.Pattern[str] = _SPACES) -> re.Match[str] | None:
        """Skip what matches, spaces up to the end of a paragraph if nothing is said; return the match."""
        top = self._next()
        if (found := pattern.match(top.text, top.at)) is not None:
            top.at = found.end()
        return found

    def peek(self) -> str:
        """Return the next character, or nothing."""
        top = self._next()
        return top.text[top.at : top.at + 1]

    def find(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Skip to behind the next match, or to the end; return the match."""
        top = self._next()
        found = pattern.search(top.text, top.at)
        top.at = len(top.text) if found is None else found.end()
        return found

    def up_to(self, end: str) -> str:
        """Return what is next up to `end`, as it is written, and skip that; all that there is without one."""
        top = self._next()
        at = top.text.find(end, top.at)
        found = top.text[top.at : at if at >= 0 else None]
        top.at = at + len(end) if at >= 0 else len(top.text)
        return found

    def _argument(self, *, whole: bool) -> str | None:
        top = self._next()
        at = _past(_SPACES, top)
        if not top.text.startswith("{", at):
            if whole or (one := _ONE.match(top.text, at)) is None:
                return None
            top.at = one.end()
            return one[0]
        if (end := self._end(_BRACES, top.text, at + 1, "}")) is None:
            return None
        top.at = end + 1
        return top.text[at + 1 : end]

    def _end(self, pattern: re.Pattern[str], text: str, start: int, closing: str) -> int | None:
        """Return where what begins at `start` is closed, braces within it aside."""
        most = _MOST_ARGUMENT if self._looks > 0 else _MOST_OF_MANY
        found = _closed(pattern, text, start, start + most, closing)
        self._looks -= most if found is None else found - start
        return found

    def _next(self) -> _Text:
        while len(self._texts) > 1 and self._texts[-1].at >= len(self._texts[-1].text):
            self._leave()
        return self._texts[-1] if self._texts else _Text("")

    def _leave(self) -> None:
        if (then := self._texts.pop().then) is not None:
            then()


def _past(pattern: re.Pattern[str], text: _Text) -> int:
    found = pattern.match(text.text, text.at)
    return text.at if found is None else found.end()


def _closed(pattern: re.Pattern[str], text: str, start: int, stop: int, closing: str) -> int | None:
    depth = 0
    for found in pattern.finditer(text, start, stop):
        character = found[0]
        if character == "{":
            depth += 1
        elif character == closing and depth == 0:
            return found.start()
        elif character == "}":
            depth -= 1
            if depth < 0:
                return None
    return None
