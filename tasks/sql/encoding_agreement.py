"""How far two encodings of a lake agree on which sentences are alike, over a sample that both have."""

from __future__ import annotations

import math
from typing import Protocol

import pyarrow as pa

from polyseme.storage.sql.literals import quote_name
from polyseme.storage.sql.vectors import vectors
from polyseme.tasks.analysis.agreement import neighbour_overlap, similarity_correlation

_VECTORS = """
SELECT a.embedding AS here, b.embedding AS there
FROM {sentences} AS a
JOIN {other_sentences} AS b ON b.doc_id = a.doc_id AND b.sentence_index = a.sentence_index AND b.text = a.text
ORDER BY hash(a.doc_id, a.sentence_index), a.doc_id, a.sentence_index LIMIT {sample}"""


class Ask(Protocol):
    """Takes a query, returns its rows."""

    def __call__(self, sql: str, /) -> pa.Table: ...


def agreement(ask: Ask, encoding: str, other: str, *, sample: int) -> dict[str, int | float | None]:
    """Return `sentences_compared`, `overlap_at_10` (0 to 1) and `similarity_correlation` (-1 to 1, Spearman).

    `encoding` and `other` are names of encodings of the lake. What too few sentences cannot tell is None.
    """
    names = [quote_name(f"sentences_{name}") for name in (encoding, other)]
    table = ask(_VECTORS.format(sentences=names[0], other_sentences=names[1], sample=sample))
    here, there = vectors(table, "here"), vectors(table, "there")
    found = {
        "sentences_compared": len(here),
        "overlap_at_10": neighbour_overlap(here, there),
        "similarity_correlation": similarity_correlation(here, there),
    }
    return {name: None if math.isnan(value) else value for name, value in found.items()}
