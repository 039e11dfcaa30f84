"""The macros that a source of LaTeX defines, as far as they are patterns with arguments. Shows nothing itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from polyseme.tasks.reading.parsing.latex.source import Source

_PROGRAM = re.compile(r"\\(?:[A-Za-z]*@|csname|expandafter|futurelet|catcode|if|loop|def|let)")
"""Bodies with these are programs, which are not run."""
_NAME = re.compile(r"\s*\*?\s*(?:\{\s*\\([A-Za-z@]+|.)\s*\}|\\([A-Za-z@]+|.))", re.DOTALL)
_COUNT = re.compile(r"\s*\[\s*(\d)\s*\]")
_PATTERN = re.compile(r"\s*((?:#\d)*+)\s*(?=\{)")
_TO_BRACE = re.compile(r"[^{}\n]{0,200}(?=\{)")
_ALIAS = re.compile(r"\s*=?\s*(\\(?:[A-Za-z@]+|.)|[^\s\\])", re.DOTALL)
_PLACE = re.compile(r"(\\[A-Za-z]+)?#(\d)")
_ENVIRONMENT = re.compile(r"\s*\*?\s*\{[^{}\n]{1,80}\}")

_MOST_PRODUCT = 1 << 24
"""A body that is filled in has fewer characters."""


@dataclass(frozen=True, slots=True)
class _Macro:
    arguments: int
    default: str | None
    body: str


class Macros:
    """Macros by their names, of a source that is being read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: dict[str, _Macro] = {}

    def expand(self, name: str) -> bool:
        """Read what a macro stands for, with the arguments that are next, in its place; return False if it is none."""
        if (macro := self._known.get(name)) is None:
            return False
        source, values = self._source, list[str]()
        if not source.may_expand():
            return False
        if macro.default is not None:
            option = source.option()
            values.append(macro.default if option is None else option)
        while len(values) < macro.arguments:
            values.append(source.argument() or "")
        body = macro.body
        if len(body) * sum(map(len, values)) > _MOST_PRODUCT:
            body = " ".join(values)
        elif values:
            body = _PLACE.sub(partial(_filled, values), body)
        source.expand(body)
        return True

    def define(self, command: str) -> None:
        """Read a definition by `command`, which was just read."""
        if command.endswith("environment") or command == "NewDocumentEnvironment":
            self._skip_environment()
            return
        source = self._source
        if (found := source.skip(_NAME)) is None:
            return
        name = found[1] or found[2]
        self._known.pop(name, None)
        if command == "let":
            if (alias := source.skip(_ALIAS)) is not None and alias[1] != f"\\{name}":
                self._keep(name, 0, None, alias[1])
        elif command.endswith("def"):
            pattern = source.skip(_PATTERN)
            if pattern is None:
                source.skip(_TO_BRACE)
            body = source.braced()
            if pattern is not None and body is not None:
                self._keep(name, len(pattern[1]) // 2, None, body.replace("##", "#"))
        elif command.endswith("DocumentCommand"):
            arguments = (source.braced() or "").split()
            body = source.braced()
            if body is not None and all(argument == "m" for argument in arguments):
                self._keep(name, len(arguments), None, body)
        else:
            count = source.skip(_COUNT)
            default = source.option() if count is not None else None
            body = source.argument()
            if body is not None:
                self._keep(name, int(count[1]) if count is not None else 0, default, body)

    def _keep(self, name: str, arguments: int, default: str | None, body: str) -> None:
        if not _PROGRAM.search(body):
            self._known[name] = _Macro(arguments, default, body)

    def _skip_environment(self) -> None:
        self._source.skip(_ENVIRONMENT)
        while self._source.option() is not None:
            pass
        self._source.braced()
        self._source.braced()


def _filled(values: Sequence[str], place: re.Match[str]) -> str:
    number = int(place[2])
    value = values[number - 1] if 0 < number <= len(values) else ""
    return f"{place[1]} {value}" if place[1] else value  # the name of a command ends before its argument
