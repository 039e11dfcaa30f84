r"""The commands of the SQL shell: what is typed, also by people who know other shells, and which command it means.

`\d`, `.tables` and `\dt` are one command. Knows names only; the shell does what they mean.
"""

from __future__ import annotations

from difflib import get_close_matches

from polyseme.storage.errors import UsageError

COMMANDS: tuple[tuple[str, str], ...] = (
    (r"\?", "this help; also .help and help"),
    (r"\d [VIEW]", "the lake's views, or the columns of one with meaning and unit; also .tables and .schema"),
    (r"\df [NAME]", "functions and table macros, or one with an example"),
    (r"\f FORMAT", "how results are written: table, json, jsonl, csv; also .mode"),
    (r"\x [on|off|auto]", "records on their side: always, never, or if a table would be too wide"),
    (r"\t", "switch the time of each statement on or off; also .timer"),
    (r"\q", "leave; also exit, quit and Ctrl-D"),
)
_OTHER_NAMES = {
    "\\h": "\\?", "\\help": "\\?", ".help": "\\?", ".h": "\\?", ".?": "\\?",
    "\\dt": "\\d", "\\dv": "\\d", "\\d+": "\\d", ".tables": "\\d", ".views": "\\d", ".schema": "\\d", ".d": "\\d",
    ".columns": "\\d", ".describe": "\\d",
    ".functions": "\\df", ".macros": "\\df", ".df": "\\df",
    ".mode": "\\f", ".format": "\\f", ".f": "\\f",
    ".x": "\\x", ".vertical": "\\x",
    "\\timing": "\\t", ".timer": "\\t", ".timing": "\\t", ".t": "\\t",
    "\\quit": "\\q", "\\exit": "\\q", ".quit": "\\q", ".exit": "\\q", ".q": "\\q",
}  # fmt: skip
_ALONE = {"help": "\\?", "?": "\\?", "exit": "\\q", "quit": "\\q"}
"""Commands without a sign before them: no SQL begins with these words."""
_OWN = tuple(name.split()[0] for name, _ in COMMANDS)


def is_command(text: str) -> bool:
    """Return whether a line is a command and not SQL."""
    line = text.strip()
    return line.startswith(("\\", ".")) or line.rstrip("; ").lower() in _ALONE


def command_of(text: str) -> tuple[str, list[str]]:
    r"""Return the command, such as `\d`, and its arguments. Raises UsageError with the nearest one if there is none."""
    words = text.strip().rstrip("; ").split()
    if not words:  # only semicolons
        return "\\?", []
    typed, arguments = words[0].lower(), words[1:]
    if typed in _OWN:
        return typed, arguments
    if typed in _OTHER_NAMES:
        return _OTHER_NAMES[typed], arguments
    if typed in _ALONE and not arguments:
        return _ALONE[typed], []
    near = get_close_matches(typed, [*_OTHER_NAMES, *_OWN], n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"There is no command {words[0]}.{hint} \\? lists all.")


def names_like(beginning: str) -> list[str]:
    """Return the names of commands with this beginning."""
    return [name for name in (*_OWN, *_OTHER_NAMES) if name.startswith(beginning.lower())]
