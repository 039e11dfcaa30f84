"""Wording of messages: a count with its noun. Knows only nouns whose plural is their singular with an `s`."""

from __future__ import annotations


def many(number: int, things: str) -> str:
    """Return a number and what it counts, which is named in the plural: `1 document`, `2,000 new documents`."""
    return f"{number:,} {things.removesuffix('s') if number == 1 else things}"
