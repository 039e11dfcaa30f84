"""The prompt of the SQL shell: several lines, colours, and completion of what the connection knows. Runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

import duckdb
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import History
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output import Output
from pygments.lexers.sql import SqlLexer

from polyseme.flows.display.shell_commands import is_command, names_like

# fmt: off
_KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "JOIN", "LEFT JOIN", "USING", "ON", "WITH", "AS", "AND",
    "OR", "NOT", "NULL", "IS", "IN", "LIKE", "BETWEEN", "CASE", "WHEN", "THEN", "ELSE", "END", "DISTINCT", "HAVING",
    "QUALIFY", "UNION ALL", "DESC", "ASC", "DESCRIBE", "SUMMARIZE", "EXPLAIN ANALYZE", "CREATE TABLE",
)
# fmt: on
_WORD = re.compile(r"[\w\\]+$")
_SOURCE = re.compile(r"\b(from|join|describe|summarize)\s+\w*$", re.IGNORECASE)


class SqlCompleter(Completer):
    """Completes what the connection knows: views after FROM, and everywhere columns, functions and keywords."""

    def __init__(self) -> None:
        self._sources: list[str] = []
        self._others: list[str] = []

    def learn(self, con: duckdb.DuckDBPyConnection) -> None:
        """Take the names from a connection."""

        def names(column: str, of: str) -> list[str]:
            return [name for (name,) in con.execute(f"SELECT DISTINCT {column} FROM {of} ORDER BY ALL").fetchall()]

        views = names("table_name", "information_schema.tables WHERE table_schema = 'main'")
        columns = names("column_name", "information_schema.columns WHERE table_schema = 'main'")
        macros = names("function_name", "duckdb_functions() WHERE function_type = 'table_macro' AND NOT internal")
        kinds = "function_type IN ('scalar', 'aggregate') AND regexp_matches(function_name, '^[a-z_0-9]+$')"
        functions = names("function_name", f"duckdb_functions() WHERE {kinds}")
        self._sources = [*views, *(f"{name}(" for name in macros)]
        self._others = [*columns, *(f"{name}(" for name in functions), *_KEYWORDS]

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield completions of the word at the cursor."""
        before = document.text_before_cursor
        found = _WORD.search(before)
        word = found[0] if found else ""
        if before.startswith(("\\", ".")):
            word, choices = before, names_like(before)
        elif _SOURCE.search(before):
            choices = self._sources
        elif word:
            choices = [*self._others, *self._sources]
        else:
            return
        for choice in choices:
            if choice.lower().startswith(word.lower()):
                yield Completion(choice, start_position=-len(word))


def prompt_session(
    completer: Completer, history: History, *, input: Input | None = None, output: Output | None = None
) -> PromptSession[str]:
    """Return a prompt on which Enter begins a new line until the statement is complete; by default on the terminal."""
    keys = KeyBindings()
    going_on = Condition(lambda: not is_complete(session.default_buffer.text))

    @keys.add("enter", filter=going_on)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("enter", filter=~going_on)
    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    session: PromptSession[str] = PromptSession(
        "polyseme> ",
        multiline=True,
        prompt_continuation="      ... ",
        history=history,
        completer=completer,
        complete_while_typing=False,
        lexer=PygmentsLexer(SqlLexer),
        key_bindings=keys,
        input=input,
        output=output,
    )
    return session


def is_complete(text: str) -> bool:
    """True for a command, for nothing, and for SQL that ends with a semicolon outside strings and comments."""
    source = text.strip().encode()
    if not source or is_command(text):
        return True
    tokens = [start for start, kind in duckdb.tokenize(text.strip()) if kind != duckdb.token_type.comment]
    return bool(tokens) and source[tokens[-1] :].startswith(b";")
