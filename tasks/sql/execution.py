"""Running SQL from outside: statement by statement, stoppable by time and Ctrl-C, with errors that people can read.

Knows connections and functions, not where the SQL came from or how answers are shown.
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
    """Run the statements of `sql` in order and `show` the rows of each that has some.

    `timeout` is in seconds, for all of it, showing included. Raises PolysemeError for SQL that fails, takes too long or
    could write where `access` does not let it.
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
        done = con.execute(sql, parameters)
        names = [column[0] for column in done.description or ()]
        return [dict(zip(names, row, strict=True)) for row in done.fetchall()]

    refuse_writes(sql)
    return _supervised(work, con, functions, timeout)


def _supervised(
    work: Callable[[], T], con: duckdb.DuckDBPyConnection, functions: ModelFunctions, timeout: float | None
) -> T:
    """Do `work` in a thread of its own: no signal reaches Python while DuckDB has the main one."""
    functions.failure = None
    functions.go_on()
    with ThreadPoolExecutor(1, "polyseme-query") as thread:
        doing = thread.submit(work)
        try:
            wait([doing], timeout)
            if not doing.done():
                _stop(doing, con, functions)
                raise PolysemeError(
                    f"No answer within {timeout:g} seconds, so the query was stopped. Ask for less (WHERE, LIMIT) or "
                    "give it longer: --timeout SECONDS."
                )
            return doing.result()
        except KeyboardInterrupt:
            _stop(doing, con, functions)
            raise
        except BrokenPipeError:
            raise
        except (duckdb.Error, pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _readable(error, functions) from error


def _stop(doing: Future[T], con: duckdb.DuckDBPyConnection, functions: ModelFunctions) -> None:
    functions.stop()
    while not doing.done():
        # An interrupt between two statements is lost, hence again and again.
        con.interrupt()
        wait([doing], 0.05)


def _has_rows(statement: duckdb.Statement, relation: duckdb.DuckDBPyRelation) -> bool:
    """False for statements that answer with no more than that they ran."""
    if statement.type in (duckdb.StatementType.CREATE, duckdb.StatementType.INSERT, duckdb.StatementType.SET):
        return False
    return relation.columns not in (["Success"], ["Count"]) or statement.type == duckdb.StatementType.SELECT


def _readable(error: Exception, functions: ModelFunctions) -> PolysemeError:
    if functions.failure is not None:
        return functions.failure
    message = _FROM_A_FUNCTION.sub("", str(error))
    hint = " Is the lake whole? polyseme verify tells." if _OF_A_PART.search(message) else ""
    return PolysemeError(f"DuckDB could not answer: {message}{hint}")
