"""Why a lemma was not found, for commands that look words up by lemma."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyseme.tasks.sql.execution import Queries

_ADD_LEMMAS = (
    "`polyseme backfill --lemma` adds lemmas, without running the model; documents in languages without a dictionary "
    "have none (docs/languages.md)."
)
_HAS_LEMMAS = "SELECT EXISTS (SELECT 1 FROM words WHERE lemma IS NOT NULL) AS found"
_LEMMAS = "SELECT DISTINCT lemma FROM words WHERE word_lower = word_key($word) ORDER BY lemma"


def without_lemma(queries: Queries, word: str, *, timeout: float | None) -> str:
    """Return what to say of a lemma that no word of the lake has."""
    lemmas = [row["lemma"] for row in queries.ask(_LEMMAS, timeout=timeout, word=word)]
    if not lemmas:
        (row,) = queries.ask(_HAS_LEMMAS, timeout=timeout)
        more = "" if row["found"] else f" No word of it has a lemma. {_ADD_LEMMAS}"
        return f"'{word}' is the lemma of no word in the lake.{more}"
    if known := [lemma for lemma in lemmas if lemma is not None]:
        return f"'{word}' is the lemma of no word in the lake. As a word it has the lemma {' or '.join(known)}."
    return f"'{word}' is in the lake without a lemma. {_ADD_LEMMAS}"
