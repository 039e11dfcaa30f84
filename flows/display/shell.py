"""The SQL shell: history, several lines, completion, help. Reads statements and runs them; knows no SQL itself.

Model and vectors stay in memory between queries. If the lake has changed, the connection is renewed before the next
query, unless it holds tables that would be lost.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import get_args

import duckdb
import pyarrow as pa
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output import Output
from pygments.lexers.sql import SqlLexer

from polyseme.flows.display.output import Format, write_rows
from polyseme.flows.display.sql_help import COMMANDS, help_text
from polyseme.flows.display.terminal import note, show
from polyseme.flows.settings import history_file
from polyseme.flows.signals import guardian
from polyseme.flows.signals.ending import survive
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError, UnstoppableError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.access import READ_ONLY, Access
from polyseme.tasks.sql.execution import Queries
from polyseme.tasks.sql.functions import ModelFunctions

# fmt: off
_KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "JOIN", "LEFT JOIN", "USING", "ON", "WITH", "AS", "AND",
    "OR", "NOT", "NULL", "IS", "IN", "LIKE", "BETWEEN", "CASE", "WHEN", "THEN", "ELSE", "END", "DISTINCT", "HAVING",
    "QUALIFY", "UNION ALL", "DESC", "ASC", "DESCRIBE", "SUMMARIZE", "EXPLAIN ANALYZE", "CREATE TABLE",
)
# fmt: on
_WORD = re.compile(r"[\w\\]+$")
_SOURCE = re.compile(r"\b(from|join|describe|summarize)\s+\w*$", re.IGNORECASE)


def shell(
    lake: Lake,
    functions: ModelFunctions,
    *,
    format: Format = "table",
    timeout: float | None = None,
    access: Access = READ_ONLY,
) -> None:
    """Read and run statements until the user leaves. Raises LakeError if there is no lake."""
    with Session(lake, functions, format=format, timeout=timeout, access=access) as session:
        prompt = prompt_session(session.completer, _history())
        note(f"Polyseme {session.lake.root}. \\? for help, \\q to leave.")
        while True:
            try:
                text = prompt.prompt()
            except KeyboardInterrupt as interrupt:
                survive(interrupt)
                continue
            except EOFError:
                return
            guardian.listen()
            try:
                if not session.answer(text):
                    return
            except UnstoppableError:
                raise
            except PolysemeError as error:
                note(str(error))
            except KeyboardInterrupt as interrupt:
                survive(interrupt)
                note("Stopped.")


class Session:
    """One connection, renewed as the lake changes, and how its results are shown."""

    def __init__(
        self,
        lake: Lake,
        functions: ModelFunctions,
        *,
        format: Format,
        timeout: float | None,
        access: Access = READ_ONLY,
    ) -> None:
        self.lake, self._functions, self._format, self._timeout = lake, functions, format, timeout
        self._access = access
        self._timing = False
        self.completer = SqlCompleter()
        self._connect()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self._queries.close()

    def answer(self, text: str) -> bool:
        """Run a statement or a command; return False for the command to leave. Raises PolysemeError."""
        text = text.strip()
        if text.startswith("\\"):
            return self._command(*text.rstrip(";").split())
        if text.strip("; \n"):
            self._renew()
            self._run(text)
        return True

    def _run(self, sql: str) -> None:
        began = time.perf_counter()
        self._queries.run(sql, self._show, timeout=self._timeout)
        if self._timing:
            note(f"{time.perf_counter() - began:.3f} s")

    def _show(self, rows: pa.RecordBatchReader) -> None:
        write_rows(rows, self._format)

    def _command(self, name: str, *arguments: str) -> bool:
        if name == "\\q":
            return False
        if name == "\\d":
            self._renew()
            self._run(f"DESCRIBE {arguments[0]}" if arguments else "SHOW TABLES")
        elif name == "\\t":
            self._timing = not self._timing
        elif name == "\\f":
            self._set_format(*arguments)
        elif name in ("\\?", "\\h"):
            show(help_text())
        else:
            raise UsageError(f"There is no command {name}. \\? lists all.")
        return True

    def _set_format(self, *names: str) -> None:
        known = [name for name in get_args(Format) if name != "parquet"]
        if len(names) != 1 or names[0] not in known:
            raise UsageError(f"\\f takes one of {', '.join(known)}.")
        self._format = next(name for name in get_args(Format) if name == names[0])

    def _connect(self) -> None:
        self._queries = Queries(self.lake, self._functions, access=self._access)
        self._given = _tables(self._queries.connection)
        self.completer.learn(self._queries.connection)

    def _renew(self) -> None:
        with Catalog.open(self.lake) as catalog:
            if catalog.version == self._queries.version:
                return
        if self._has_more_than_was_given():
            return
        self._queries.close()
        self._connect()

    def _has_more_than_was_given(self) -> bool:
        try:
            return _tables(self._queries.connection) != self._given
        except duckdb.TransactionException:  # one that failed, which the user has to end
            return True


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
        if before.startswith("\\"):
            choices = [name.split()[0] for name, _ in COMMANDS]
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
    if not source or source.startswith(b"\\"):
        return True
    tokens = [start for start, kind in duckdb.tokenize(text.strip()) if kind != duckdb.token_type.comment]
    return bool(tokens) and source[tokens[-1] :].startswith(b";")


def _history() -> History:
    path = history_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)


def _tables(con: duckdb.DuckDBPyConnection) -> list[tuple[str]]:
    return con.execute("SELECT table_name FROM information_schema.tables ORDER BY ALL").fetchall()
