"""Execution of a user's SQL over a lake, in a confined thread: statement by statement, with limits and readable errors.

    with Queries(lake, ModelFunctions()) as queries:
        queries.ask("SELECT text FROM sentences WHERE doc_id = $doc", doc="essay-01")

Knows connections and functions, not the origin of the SQL or how results are displayed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.meta import State
from polyseme.storage.errors import LakeError, PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.absent_columns import absent_column, in_our_words
from polyseme.storage.sql.access import READ_ONLY, SPILL, Access, refuse_writes
from polyseme.storage.sql.conditions import first_line, matching, valued
from polyseme.storage.sql.confined_connection import ConfinedConnection
from polyseme.storage.sql.nearest import SentenceVectors
from polyseme.tasks.sql.functions import ModelFunctions
from polyseme.tasks.sql.supervision import supervise

T = TypeVar("T")
_FROM_A_FUNCTION = re.compile(r"^.*Python exception occurred while executing the UDF: ", re.DOTALL)
_OF_A_PART = re.compile(r"/data/\w+/encoding=\w+/\w+\.parquet")
_ROWS_A_BATCH = 2048
_MEMORY = "SELECT value FROM duckdb_settings() WHERE name = 'memory_limit'"
_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class Queries:
    """An open lake that answers SQL in a thread of its own, which can write no files but those that `access` allows.

    Shows the lake as it was when it was opened. Use it as a context manager. Raises LakeError if there is no lake.
    """

    def __init__(self, lake: Lake, functions: ModelFunctions, *, access: Access = READ_ONLY) -> None:
        self._lake, self._functions, self._access = lake, functions, access
        with Catalog.open(lake) as catalog:
            self._snapshot = catalog.snapshot()
        self._confined = ConfinedConnection(self._snapshot, lake, functions=functions, access=access)
        self.connection = self._confined.connection
        self._most = self._memory()

    @property
    def version(self) -> int:
        """The version of the catalog that is shown."""
        return self._snapshot.catalog_version

    @property
    def state(self) -> State:
        """What tells the state that is shown from every other, as `Catalog.state` does."""
        return self._snapshot.state

    @property
    def has_every_word(self) -> bool:
        """Whether the lake holds all words of all documents of its default encoding, or some are in its text only."""
        return self._snapshot.default_encoding in self._snapshot.with_every_word

    def __enter__(self) -> Queries:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, unless a query goes on in spite of being stopped."""
        self._confined.close()

    def run(
        self,
        sql: str,
        show: Callable[[pa.RecordBatchReader], None],
        *,
        timeout: float | None = None,
        waiting: Callable[[], None] | None = None,
    ) -> None:
        """Run the statements of `sql` in order, and call `show` with the rows of each that returns rows.

        `timeout` is in seconds, for all statements and their display. `waiting` is called every 50 milliseconds or so
        in the thread that called this. Raises PolysemeError for SQL that fails, takes too long or too much memory, or
        writes without permission, and UnstoppableError if it cannot be stopped.
        """

        def work() -> None:
            for statement in duckdb.extract_statements(sql):
                relation = self._relation(statement.query)
                if relation is not None and _has_rows(statement, relation):
                    show(relation.to_arrow_reader(_ROWS_A_BATCH))

        refuse_writes(sql, self._access)
        self._supervised(work, timeout, _whole, waiting)

    def ask(self, sql: str, *, timeout: float | None = None, **parameters: object) -> list[dict[str, Any]]:
        """Return the rows of one query of Polyseme's own, with `$name` parameters. Raises as `run` does."""

        def work() -> list[dict[str, Any]]:
            result = self.connection.execute(sql, parameters)
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

        return self._supervised(work, timeout, first_line)

    def table(self, sql: str, *, timeout: float | None = None, **parameters: object) -> pa.Table:
        """Return the rows of one query of Polyseme's own as `ask` does, with the types that they have in SQL."""

        def work() -> pa.Table:
            return self.connection.sql(sql, params=parameters).to_arrow_table()

        return self._supervised(work, timeout, first_line)

    def answer(self, sql: str, parameters: Mapping[str, object]) -> pa.Table:
        """Return the rows of one query, a user's own, with `$name` parameters. Raises as `run` does."""

        def work() -> pa.Table:
            relation = self._relation(sql, parameters)
            return pa.table({}) if relation is None else relation.to_arrow_table()

        refuse_writes(sql, self._access)
        return self._supervised(work, None, _whole)

    def sentence_vectors(self) -> SentenceVectors | None:
        """Return the sentence vectors of the default encoding; None if the lake has none."""
        found = self._functions.search(self._snapshot, self._lake, self._snapshot.default)
        return None if found is None else found.exact

    def select(self, name: str, where: str) -> None:
        """Make a view of the documents that meet a user's condition. Raises UsageError if it is not one."""
        self._supervised(lambda: matching(self.connection.view("documents"), where).create_view(name), None, first_line)

    @property
    def progress(self) -> tuple[float | None, int, tuple[str, float] | None]:
        """How far the query is that runs now: percent of its rows, None if not known, tokens encoded for it, and what
        a function is at that takes long without the model, with the share that is done.

        For another thread than the query's. Rows do not tell of the time that Python functions take.
        """
        percent = self.connection.query_progress()
        return percent if percent >= 0 else None, self._functions.tokens, self._functions.doing

    def value(self, name: str, by: str) -> None:
        """Make a view of the `value` that a user's expression has of each `doc_id`. Raises UsageError for no such."""
        self._supervised(lambda: valued(self.connection.view("documents"), by).create_view(name), None, first_line)

    def _relation(self, sql: str, parameters: Mapping[str, object] | None = None) -> duckdb.DuckDBPyRelation | None:
        given = dict(parameters) if parameters else None
        try:
            return self.connection.sql(sql, params=given)
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            placed = self._with_place(error, sql, given)
            if absent_column(placed) is None:
                raise placed from None
            raise PolysemeError(in_our_words(placed, self.connection.cursor(), sql)) from error

    def _with_place(self, error: duckdb.Error, sql: str, parameters: dict[str, object] | None) -> duckdb.Error:
        """Return an error with the line and a mark at the place, which that of a relation lacks. Nothing has run."""
        if len(duckdb.extract_statements(sql)) == 1:
            try:
                self.connection.execute(sql, parameters)
            except type(error) as placed:
                return placed
            except duckdb.Error:
                pass  # of a transaction that the first error ended
        return error

    def _supervised(
        self,
        work: Callable[[], T],
        timeout: float | None,
        shown: Callable[[Exception], str],
        waiting: Callable[[], None] | None = None,
    ) -> T:
        self._functions.failure = None
        self._functions.go_on()
        memory = min(self._most, self._memory())
        try:
            return supervise(
                self._confined.submit(work), self._interrupt, timeout=timeout, memory=memory, waiting=waiting
            )
        except BrokenPipeError:
            raise
        except (duckdb.Error, pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._readable(error, shown) from error

    def _memory(self) -> int:
        """Return the most memory that DuckDB would use, in bytes: by default 80 % of the machine's."""
        # A cursor, because a transaction that failed takes no query but ROLLBACK.
        ((text,),) = self._confined.call(lambda: self.connection.cursor().execute(_MEMORY).fetchall())
        number, unit = text.split()
        return int(float(number) * _UNITS[unit])

    def _interrupt(self) -> None:
        self._functions.stop()
        self.connection.interrupt()

    def _readable(self, error: Exception, shown: Callable[[Exception], str]) -> PolysemeError:
        if self._functions.failure is not None:
            return self._functions.failure
        if SPILL in str(error) and isinstance(error, duckdb.OutOfMemoryException):
            return PolysemeError(
                "The query did not fit into memory, nor into the part of the disk that it may use, so it was stopped. "
                "Narrow it (WHERE, LIMIT, fewer columns), or allow it more of either (--memory 16GB, --spill 100GB); "
                "TMPDIR chooses the disk."
            )
        if _OF_A_PART.search(str(error)):
            paths = [path for found in self._snapshot.parts.values() for path in found]
            gone = self._lake.files.missing(paths)
            if gone:
                return LakeError(
                    f"{len(gone)} of {len(paths)} parts that this connection shows are gone, such as {gone[0]}: the "
                    "lake has changed since, and a vacuum removed them. Open the lake again; vacuum's --grace leaves "
                    "readers more time."
                )
            return PolysemeError(f"DuckDB could not run the query: {shown(error)} Check the lake with polyseme verify.")
        return PolysemeError(shown(error) if shown is _whole else f"DuckDB could not run the query: {shown(error)}")


def _whole(error: Exception) -> str:
    """Return DuckDB's own words about a user's SQL, in which `^` marks a place of the line above it."""
    return _FROM_A_FUNCTION.sub("", str(error))


def _has_rows(statement: duckdb.Statement, relation: duckdb.DuckDBPyRelation) -> bool:
    """Return False for statements whose result only reports success."""
    if statement.type in (duckdb.StatementType.CREATE, duckdb.StatementType.INSERT, duckdb.StatementType.SET):
        return False
    return relation.columns not in (["Success"], ["Count"]) or statement.type == duckdb.StatementType.SELECT
