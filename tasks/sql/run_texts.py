"""The texts of one run as numbers: margins, breaks and order score of each document, read from the lake.

Reads the sentence vectors of a bounded number of steps at once. Knows no model; keeps no sentence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np

from polyseme.storage.errors import UsageError
from polyseme.storage.sql.literals import escaped
from polyseme.tasks.analysis.order import order_score
from polyseme.tasks.analysis.segmentation import Scale, breaks
from polyseme.tasks.arrays import Floats
from polyseme.tasks.sql.step_queries import cosine_scale, in_batches

_RUN = """
SELECT runs.ordinal, runs.encoding_id, encodings.name
FROM runs JOIN encodings USING (encoding_id) WHERE run_id = $run_id"""
_PREVIOUS = """
SELECT max(ordinal) FROM runs WHERE ordinal < $ordinal AND encoding_id = $encoding_id AND documents > 0"""
_STEPS = """
SELECT d.doc_id, any_value(d.title) AS title, list(c.sentence_index ORDER BY c.sentence_index) AS after,
       list(c.margin ORDER BY c.sentence_index) AS margins, avg(c.percentile) AS percentile,
       avg(c.order_margin) AS order_margin
FROM "documents_{encoding}" AS d JOIN "coherence_{encoding}" AS c ON c.doc_id = d.doc_id
WHERE d.version = $ordinal AND c.margin IS NOT NULL GROUP BY d.doc_id ORDER BY d.doc_id"""
_VECTORS = """
SELECT s.doc_id, s.embedding
FROM "sentences_{encoding}" AS s SEMI JOIN "documents_{encoding}" AS d ON d.doc_id = s.doc_id AND d.version = $ordinal
WHERE s.doc_id BETWEEN $first AND $last ORDER BY s.doc_id, s.sentence_index"""

Steps = tuple[str, str | None, list[int], list[float], float | None, float | None]
"""A row of _STEPS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One document's steps: their margins in log-odds, and after which sentences the text breaks.

    Texts of a model without an NSP head have no margins, and are none of these. `order_score` is in standard deviations
    above a random order, `order_margin` in log-odds; None if not known.
    """

    doc_id: str
    title: str | None
    margins: tuple[float, ...]
    worst_after: int
    percentile: float | None
    broken_after: tuple[int, ...]
    deepest_after: int | None
    break_margin: float
    order_score: float | None
    order_margin: float | None

    @property
    def mean_margin(self) -> float:
        return sum(self.margins) / len(self.margins)


def read_run(con: duckdb.DuckDBPyConnection, run_id: str) -> list[list[Text]]:
    """Return the live documents of a run, and of the run before it in the same encoding.

    Raises UsageError for an unknown run.
    """
    run = con.execute(_RUN, {"run_id": run_id}).fetchone()
    if run is None:
        raise UsageError(f"There is no run {run_id!r} in this lake. polyseme status lists the last ones.")
    ordinal, encoding_id, encoding = run[0], run[1], escaped(run[2])
    (previous,) = con.execute(_PREVIOUS, {"ordinal": ordinal, "encoding_id": encoding_id}).fetchall()[0]
    return [_texts(con, encoding, which) if which is not None else [] for which in (ordinal, previous)]


def _texts(con: duckdb.DuckDBPyConnection, encoding: str, ordinal: int) -> list[Text]:
    """Return the live documents that one run committed."""
    steps = con.execute(_STEPS.format(encoding=encoding), {"ordinal": ordinal}).fetchall()
    cosines = con.execute(cosine_scale(f"_{encoding}")).fetchall()[0]
    scale = Scale(*(np.nan if cosine is None else cosine for cosine in cosines))
    return [
        _text(row, vectors, scale)
        for rows in in_batches(steps, lambda row: len(row[2]))
        for row, vectors in zip(rows, _vectors(con, encoding, ordinal, rows), strict=True)
    ]


def _vectors(con: duckdb.DuckDBPyConnection, encoding: str, ordinal: int, rows: list[Steps]) -> Iterator[Floats]:
    """Yield the sentence vectors of each row's document. Rows are sorted by doc_id."""
    asked = {"ordinal": ordinal, "first": rows[0][0], "last": rows[-1][0]}
    found = con.sql(_VECTORS.format(encoding=encoding), params=asked).to_arrow_table()
    doc_ids = found["doc_id"].to_pylist()
    flat = found["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = flat.reshape(len(doc_ids), -1)
    start = {doc_id: at for at, doc_id in reversed(list(enumerate(doc_ids)))}
    for doc_id, _, after, *_ in rows:
        yield vectors[start[doc_id] :][: len(after) + 1]


def _text(row: Steps, vectors: Floats, scale: Scale) -> Text:
    doc_id, title, after, margins, percentile, order_margin = row
    scores = np.array(margins)
    found, order = breaks(scores, vectors, scale), order_score(vectors)
    broken = np.flatnonzero(found.is_break)
    return Text(
        doc_id=doc_id,
        title=title,
        margins=tuple(margins),
        worst_after=after[int(scores.argmin())],
        percentile=percentile,
        broken_after=tuple(after[i] for i in broken),
        deepest_after=after[int(found.gain.argmax())] if len(broken) else None,
        break_margin=float(scores[broken].min()) if len(broken) else 0.0,
        order_score=None if np.isnan(order) else order,
        order_margin=order_margin,
    )
