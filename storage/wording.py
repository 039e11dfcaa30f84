"""Wording of messages: a count with its noun. Knows no other irregular plural than those it lists."""

from __future__ import annotations

_IRREGULAR = {"corpora": "corpus"}


def many(number: int, things: str) -> str:
    """Return a number and what it counts, which is named in the plural: `1 document`, `2,000 new documents`."""
    return f"{number:,} {_IRREGULAR.get(things, things.removesuffix('s')) if number == 1 else things}"
