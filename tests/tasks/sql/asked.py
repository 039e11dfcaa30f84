"""Queries that tests ask a connection."""

from __future__ import annotations

from typing import Any

import duckdb


def rows(con: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Return all rows of a query."""
    return con.execute(sql, list(parameters)).fetchall()


def one(con: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> Any:
    """Return the value of a query that has one."""
    return rows(con, sql, *parameters)[0][0]
