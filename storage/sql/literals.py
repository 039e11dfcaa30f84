"""Literals: values and names quoted for SQL statements that are built as text."""

from __future__ import annotations


def quote(text: str) -> str:
    """Return a text as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """Return a name as a SQL identifier, whatever characters it has."""
    return f'"{escaped(name)}"'


def escaped(name: str) -> str:
    """Return a name, or a part of one, as it stands between the double quotes of an identifier."""
    return name.replace('"', '""')
