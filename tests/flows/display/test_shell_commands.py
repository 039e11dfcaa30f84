"""Commands of the shell: what people of other shells type is understood, and a slip has the nearest name."""

from __future__ import annotations

import pytest

from polyseme.flows.display.shell_commands import COMMANDS, command_of, is_command
from polyseme.storage.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("\\?", "\\?"), (".help", "\\?"), ("help", "\\?"), ("?", "\\?"), ("HELP;", "\\?"), ("\\h", "\\?"),
        (".tables", "\\d"), (".schema", "\\d"), ("\\dt", "\\d"), ("\\d;", "\\d"),
        (".quit", "\\q"), ("exit", "\\q"), ("quit;", "\\q"), (".exit", "\\q"), ("\\q", "\\q"),
        (".mode csv", "\\f"), (".timer on", "\\t"), ("\\x auto", "\\x"), ("\\df nearest", "\\df"),
    ],
)  # fmt: skip
def test_a_command_has_the_names_it_has_elsewhere(typed: str, command: str) -> None:
    assert is_command(typed)
    assert command_of(typed)[0] == command


@pytest.mark.parametrize("sql", ["SELECT 1", "from sentences", "help me", "quit = 1", "-- help", ""])
def test_sql_is_no_command(sql: str) -> None:
    assert not is_command(sql)


@pytest.mark.parametrize(("typed", "near"), [(".hlep", ".help"), (".tabels", ".tables"), ("\\dff", "\\df")])
def test_an_unknown_command_has_the_nearest_known_one(typed: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        command_of(typed)
    assert f"Did you mean {near}?" in str(caught.value)


def test_arguments_follow_a_command_and_its_semicolon_is_left_out() -> None:
    assert command_of("\\d sentences;") == ("\\d", ["sentences"])
    assert {name.split()[0] for name, _ in COMMANDS} == {"\\?", "\\d", "\\df", "\\f", "\\x", "\\t", "\\q"}
