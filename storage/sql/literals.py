"""Values as SQL literals."""

from __future__ import annotations


def quote(text: str) -> str:
    """Return a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
