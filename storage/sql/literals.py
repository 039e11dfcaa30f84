"""Literals: values quoted for SQL statements that are built as text."""

from __future__ import annotations


def quote(text: str) -> str:
    """Return a text as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
