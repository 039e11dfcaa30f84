"""coherence: the documents of a run ranked by coherence, with breaks and drift since the run before, as a Prefect flow.

Reads the scores in the lake and runs no model. Leaves tables and a page as artifacts, and one event for each document
that breaks. Ids and numbers only: the texts stay in the lake.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from shlex import quote
from typing import Any

import duckdb
import numpy as np
from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from polyseme.flows.events import CoherenceBreak, emit
from polyseme.flows.settings import lake_at
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import UsageError
from polyseme.storage.sql.connection import open_snapshot
from polyseme.tasks.analysis.order import order_score
from polyseme.tasks.analysis.segmentation import Scale, breaks
from polyseme.tasks.arrays import Floats
from polyseme.tasks.sql.step_queries import cosine_scale, step_margins

_SHOWN = 20
_EVENTS = 100
"""At most this many events for a run, those of the deepest breaks."""

_MEASURES = (
    ("documents", "{:,}", "documents"),
    ("steps", "{:,}", "steps"),
    ("mean margin", "{:+.2f}", "mean_margin"),
    ("standard deviation", "{:.2f}", "deviation"),
    ("breaks in 100 steps", "{:.1f}", "breaks"),
    ("mean order score", "{:+.2f}", "order_score"),
)
_ORDER = (
    "The order score is by how many standard deviations the neighbours of a document are more alike than in a random "
    "order of its sentences."
)
_RUN = """
SELECT runs.ordinal, runs.encoding_id, encodings.name
FROM runs JOIN encodings USING (encoding_id) WHERE run_id = $run_id"""
_PREVIOUS = """
SELECT max(ordinal) FROM runs WHERE ordinal < $ordinal AND encoding_id = $encoding_id AND documents > 0"""
_STEPS_AT_ONCE = 50_000
"""Steps whose sentence vectors are in memory at once: 77 MB of float32 with 384 dimensions."""
_STEPS = """
SELECT d.doc_id, any_value(d.title) AS title, list(c.sentence_index ORDER BY c.sentence_index) AS after,
       list(c.margin ORDER BY c.sentence_index) AS margins, avg(c.percentile) AS percentile,
       avg(o.order_margin) AS order_margin
FROM documents_{encoding} AS d JOIN coherence_{encoding} AS c ON c.doc_id = d.doc_id
JOIN ({steps}) AS o ON o.doc_id = c.doc_id AND o.sentence_index = c.sentence_index
WHERE d.version = $ordinal GROUP BY d.doc_id ORDER BY d.doc_id"""
_VECTORS = """
SELECT s.doc_id, s.embedding
FROM sentences_{encoding} AS s SEMI JOIN documents_{encoding} AS d ON d.doc_id = s.doc_id AND d.version = $ordinal
WHERE s.doc_id BETWEEN $first AND $last ORDER BY s.doc_id, s.sentence_index"""

Steps = tuple[str, str | None, list[int], list[float], float | None, float | None]
"""A row of _STEPS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One document's steps: their margins in log-odds, and after which sentences the text breaks.

    `order_score` is in standard deviations above a random order, `order_margin` in log-odds; None if not known.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How coherent the documents of one run are, taken together: margins in log-odds, breaks for each hundred steps."""

    documents: int
    steps: int
    mean_margin: float
    deviation: float
    breaks: float
    order_score: float


@flow(name="coherence", persist_result=False)
def coherence(lake: str, run_id: str) -> int:
    """Report the coherence of what a run committed; return how many documents break.

    Raises LakeError or UsageError if lake or run do not exist.
    """
    place = lake_at(lake)
    with Catalog.open(place) as catalog:
        lake_id, snapshot = catalog.lake_id, catalog.snapshot()
    with open_snapshot(snapshot, place) as con:
        texts, before = _read(con, run_id)
    worst = sorted(texts, key=lambda t: (t.mean_margin, t.doc_id))
    broken = sorted((t for t in texts if t.broken_after), key=lambda t: (t.break_margin, t.doc_id))
    create_table_artifact(
        [_row(t) for t in worst[:_SHOWN]],
        key="coherence-least",
        description=f"Least coherent documents of run {run_id}",
    )
    create_table_artifact(
        [_break_row(t) for t in broken[:_SHOWN]], key="coherence-breaks", description=f"Deepest breaks of run {run_id}"
    )
    create_markdown_artifact(
        _page(run_id, lake, level(texts), level(before), len(broken)),
        key="coherence-report",
        description=f"Coherence of run {run_id}",
    )
    for text in broken[:_EVENTS]:
        emit(
            CoherenceBreak(
                run_id=run_id, lake=lake, lake_id=lake_id, doc_id=text.doc_id, after_sentences=text.broken_after,
                worst_margin=round(text.break_margin, 3),
            )
        )  # fmt: skip
    return len(broken)


def level(texts: list[Text]) -> Level | None:
    """Return the level of a run's documents, each step with the same weight; None if nothing was scored."""
    margins = np.array([margin for text in texts for margin in text.margins])
    if not len(margins):
        return None
    return Level(
        documents=len(texts),
        steps=len(margins),
        mean_margin=float(margins.mean()),
        deviation=float(margins.std()),
        breaks=100 * sum(len(t.broken_after) for t in texts) / len(margins),
        order_score=float(np.mean([t.order_score for t in texts if t.order_score is not None] or [0.0])),
    )


def _read(con: duckdb.DuckDBPyConnection, run_id: str) -> list[list[Text]]:
    """Return the live documents of a run, and of the run before it in the same encoding."""
    run = con.execute(_RUN, {"run_id": run_id}).fetchone()
    if run is None:
        raise UsageError(f"There is no run {run_id!r} in this lake. polyseme status lists the last ones.")
    ordinal, encoding_id, encoding = run
    (previous,) = con.execute(_PREVIOUS, {"ordinal": ordinal, "encoding_id": encoding_id}).fetchall()[0]
    return [_texts(con, encoding, which) if which is not None else [] for which in (ordinal, previous)]


def _texts(con: duckdb.DuckDBPyConnection, encoding: str, ordinal: int) -> list[Text]:
    """Return the live documents that one run committed."""
    steps = con.execute(
        _STEPS.format(encoding=encoding, steps=step_margins(f"_{encoding}")), {"ordinal": ordinal}
    ).fetchall()
    cosines = con.execute(cosine_scale(f"_{encoding}")).fetchall()[0]
    scale = Scale(*(np.nan if cosine is None else cosine for cosine in cosines))
    return [
        _text(row, vectors, scale)
        for rows in _batches(steps)
        for row, vectors in zip(rows, _vectors(con, encoding, ordinal, rows), strict=True)
    ]


def _batches(rows: list[Steps]) -> Iterator[list[Steps]]:
    """Yield rows of about as many steps as may be in memory."""
    batch: list[Steps] = []
    count = 0
    for row in rows:
        batch.append(row)
        count += len(row[2])
        if count >= _STEPS_AT_ONCE:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch


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


def _row(text: Text) -> dict[str, Any]:
    return {
        "document": text.doc_id,
        "title": text.title or "",
        "steps": len(text.margins),
        "mean margin": round(text.mean_margin, 2),
        "worst margin": round(min(text.margins), 2),
        "after sentence": text.worst_after,
        "above so many random pairs": "" if text.percentile is None else f"{text.percentile:.0%}",
        "breaks": len(text.broken_after),
        "order score": "" if text.order_score is None else round(text.order_score, 2),
        "order margin": "" if text.order_margin is None else round(text.order_margin, 2),
    }


def _break_row(text: Text) -> dict[str, Any]:
    return {
        "document": text.doc_id,
        "title": text.title or "",
        "breaks after sentences": ", ".join(map(str, text.broken_after)),
        "deepest after": text.deepest_after,
        "least margin": round(text.break_margin, 2),
    }


def _page(run_id: str, lake: str, level: Level | None, before: Level | None, broken: int) -> str:
    if level is None:
        return (
            f"# Coherence of run {run_id}\n\nNothing was scored: the run committed no document of two sentences, or "
            "it ran without NSP."
        )
    lines = [
        f"# Coherence of run {run_id}",
        "",
        f"Lake `{lake}`: {broken:,} of {level.documents:,} documents break.",
        "",
        "| | this run | run before | change |",
        "|---|---:|---:|---:|",
    ]
    for name, form, field in _MEASURES:
        here = getattr(level, field)
        there = getattr(before, field) if before else None
        compared = "– | –" if there is None else f"{form.format(there)} | {here - there:+,.2f}"
        lines.append(f"| {name} | {form.format(here)} | {compared} |")
    lines += ["", _ORDER]
    one = f"One document's curve: `polyseme coherence DOCUMENT --lake {quote(lake)}`"
    lines += ["", _drift(level, before), "", one]
    return "\n".join(lines)


def _drift(level: Level, before: Level | None) -> str:
    """Return a line: how far the mean margin moved, in standard deviations of the run before (Glass's delta)."""
    if before is None or not before.deviation:
        return "No run before this one to compare with."
    moved = (level.mean_margin - before.mean_margin) / before.deviation
    return f"Drift: the mean margin moved by {moved:+.2f} standard deviations of the run before."
