"""Execution of the user's SQL: statement by statement, with a timeout, Ctrl-C and readable errors.

Knows connections and functions, not the origin of the SQL or how results are displayed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from polyseme.storage.errors import PolysemeError
from polyseme.storage.sql.connection import READ_ONLY, Access, refuse_writes
from polyseme.tasks.sql.functions import ModelFunctions

T = TypeVar("T")
_ROWS_A_BATCH = 2048
_FROM_A_FUNCTION = re.compile(r"^.*Python exception occurred while executing the UDF: ", re.DOTALL)

_OF_A_PART = re.compile(r"/data/\w+/encoding=\w+/\w+\.parquet")


def run(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    functions: ModelFunctions,
    show: Callable[[pa.RecordBatchReader], None],
    *,
    timeout: float | None = None,
    access: Access = READ_ONLY,
) -> None:
    """Run the statements of `sql` in order, and call `show` with the rows of each that returns rows.

    `timeout` is in seconds, for all statements and their display. Raises PolysemeError for SQL that fails, takes too
    long, or writes without permission by `access`.
    """

    def work() -> None:
        for statement in duckdb.extract_statements(sql):
            relation = con.sql(statement.query)
            if relation is not None and _has_rows(statement, relation):
                show(relation.to_arrow_reader(_ROWS_A_BATCH))

    refuse_writes(sql, access)
    _supervised(work, con, functions, timeout)


def ask(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    functions: ModelFunctions,
    *,
    timeout: float | None = None,
    **parameters: object,
) -> list[dict[str, Any]]:
    """Return the rows of one query with `$name` parameters. Raises as `run` does."""

    def work() -> list[dict[str, Any]]:
        result = con.execute(sql, parameters)
        names = [column[0] for column in result.description or ()]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    refuse_writes(sql)
    return _supervised(work, con, functions, timeout)


def _supervised(
    work: Callable[[], T], con: duckdb.DuckDBPyConnection, functions: ModelFunctions, timeout: float | None
) -> T:
    """Run `work` in another thread: signals do not reach Python while DuckDB blocks the main thread."""
    functions.failure = None
    functions.go_on()
    with ThreadPoolExecutor(1, "polyseme-query") as thread:
        query = thread.submit(work)
        try:
            wait([query], timeout)
            if not query.done():
                _stop(query, con, functions)
                raise PolysemeError(
                    f"No answer within {timeout:g} seconds, so the query was stopped. Narrow it (WHERE, LIMIT) or "
                    "raise --timeout SECONDS."
                )
            return query.result()
        except KeyboardInterrupt:
            _stop(query, con, functions)
            raise
        except BrokenPipeError:
            raise
        except (duckdb.Error, pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _readable(error, functions) from error


def _stop(query: Future[T], con: duckdb.DuckDBPyConnection, functions: ModelFunctions) -> None:
    functions.stop()
    while not query.done():
        # An interrupt between two statements is lost, so it is repeated.
        con.interrupt()
        wait([query], 0.05)


def _has_rows(statement: duckdb.Statement, relation: duckdb.DuckDBPyRelation) -> bool:
    """Return False for statements whose result only reports success."""
    if statement.type in (duckdb.StatementType.CREATE, duckdb.StatementType.INSERT, duckdb.StatementType.SET):
        return False
    return relation.columns not in (["Success"], ["Count"]) or statement.type == duckdb.StatementType.SELECT


def _readable(error: Exception, functions: ModelFunctions) -> PolysemeError:
    if functions.failure is not None:
        return functions.failure
    message = _FROM_A_FUNCTION.sub("", str(error))
    hint = " Check the lake with polyseme verify." if _OF_A_PART.search(message) else ""
    return PolysemeError(f"DuckDB could not run the query: {message}{hint}")
