"""The SQL shell: history, several lines, completion, help. Reads statements and runs them; knows no SQL itself.

Model and vectors stay in memory between queries. If the lake has changed, the connection is renewed before the next
query, unless it holds tables that would be lost.
"""

from __future__ import annotations

import time
from typing import get_args

import duckdb
import pyarrow as pa
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from polyseme.flows.display.drawn_table import Sideways
from polyseme.flows.display.output import Format, write_rows, write_table
from polyseme.flows.display.prompt import SqlCompleter, prompt_session
from polyseme.flows.display.query_progress import QueryProgress
from polyseme.flows.display.shell_commands import command_of, is_command
from polyseme.flows.display.sql_help import function_help, functions_table, help_text
from polyseme.flows.display.terminal import complain, note, show
from polyseme.flows.display.view_help import columns_table, views_table
from polyseme.flows.settings import history_file
from polyseme.flows.signals import guardian
from polyseme.flows.signals.ending import survive
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError, UnstoppableError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.access import READ_ONLY, Access
from polyseme.tasks.sql.execution import Queries
from polyseme.tasks.sql.functions import ModelFunctions


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
        note(f"Polyseme {session.lake.root}. \\? for help, \\d for what there is, \\q to leave.")
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
                complain(str(error))
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
        self._sideways: Sideways = "auto"
        self.completer = SqlCompleter()
        self._connect()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self._queries.close()

    def answer(self, text: str) -> bool:
        """Run a statement or a command; return False for the command to leave. Raises PolysemeError."""
        if is_command(text):
            return self._command(*command_of(text))
        if text.strip("; \n"):
            self._renew()
            self._run(text)
        return True

    def _run(self, sql: str) -> None:
        began = time.perf_counter()
        with QueryProgress(self._queries) as progress:

            def show_rows(rows: pa.RecordBatchReader) -> None:
                write_rows(rows, self._format, sideways=self._sideways, ready=progress.clear)
                progress.go_on()

            self._queries.run(sql, show_rows, timeout=self._timeout, waiting=progress.tick)
        if self._timing:
            note(f"{time.perf_counter() - began:.3f} s")

    def _command(self, name: str, arguments: list[str]) -> bool:
        if name == "\\q":
            return False
        if name == "\\d":
            self._renew()
            write_table(
                columns_table(self._queries, arguments[0]) if arguments else views_table(self._queries), self._format
            )
        elif name == "\\df":
            if arguments:
                show(function_help(self._queries, arguments[0]))
            else:
                write_table(functions_table(), self._format)
        elif name == "\\x":
            self._turn(*arguments)
        elif name == "\\t":
            self._timing = not self._timing
            note(f"The time of each statement is {'shown' if self._timing else 'not shown'}.")
        elif name == "\\f":
            self._set_format(*arguments)
        else:
            show(help_text())
        return True

    def _turn(self, *words: str) -> None:
        known = {name: name for name in get_args(Sideways)}
        if len(words) > 1 or (words and words[0].lower() not in known):
            raise UsageError(f"\\x takes one of {', '.join(known)}; alone it switches between on and auto.")
        self._sideways = known[words[0].lower()] if words else "auto" if self._sideways == "on" else "on"
        said = {"on": "always", "off": "never", "auto": "if a table would be too wide"}
        note(f"Records are shown on their side: {said[self._sideways]}.")

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
            if catalog.state == self._queries.state:
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
