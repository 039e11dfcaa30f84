"""Text for people on stdout and stderr, with everything escaped that a terminal would obey.

Names, titles and texts come from files that anybody may have written, and a terminal takes some characters for
commands. Data for programs (JSON, CSV, Parquet) does not pass here.
"""

from __future__ import annotations

import logging
import re
import shutil
import sys

_OBEYED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline, those that set the direction of text (UAX #9), line separators, and
surrogates, which stand for bytes of a file name that are not UTF-8."""


_MARK = re.compile(r"^(LINE \d+: .*\n *)(\^+)", re.MULTILINE)


def show(text: str) -> None:
    """Print `text` to stdout, escaped."""
    print(escaped(text), flush=True)  # noqa: T201


def show_escaped(text: str) -> None:
    """Print `text`, whose parts are escaped already and between them has directions for a terminal."""
    print(text, flush=True)  # noqa: T201


def note(text: str) -> None:
    """Print `text` to stderr, escaped."""
    print(escaped(text), file=sys.stderr, flush=True)  # noqa: T201


def complain(text: str) -> None:
    """Print an error to stderr, escaped; on a terminal with DuckDB's mark under the place of an error in red."""
    from rich.console import Console

    text, console = escaped(text), Console(stderr=True)
    if console.color_system is not None and not console.no_color:
        text = _MARK.sub("\\1\x1b[1;31m\\2\x1b[0m", text)
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def terminal_width() -> int | None:
    """Return how many columns the terminal on stdout has; None if there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


class Escaping(logging.Formatter):
    """Formats log records, escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with its traceback if it has one."""
        return escaped(super().format(record))


def escaped(text: str) -> str:
    r"""Return `text` with `\x1b` for an escape character, `\u202e` for a change of direction, and so on."""
    return _OBEYED.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
