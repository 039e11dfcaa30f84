"""coherence: the documents of a run ranked by coherence, with breaks and drift since the run before, as a Prefect flow.

Reads the scores in the lake and runs no model. Leaves tables and a page as artifacts, and one event for each document
that breaks. Ids and numbers only: the texts stay in the lake.
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import Any

import numpy as np
from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from polyseme.flows.events import CoherenceBreak, emit
from polyseme.flows.received_events import check_run_id
from polyseme.flows.server.allowed_lakes import allowed_lake
from polyseme.storage.catalog import Catalog
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.views import explained
from polyseme.storage.wording import many
from polyseme.tasks.markdown import code, literal
from polyseme.tasks.sql.run_texts import Text, read_run

_SHOWN = 20
_TITLE_CHARS = 200
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How coherent the documents of one run are, taken together: margins in log-odds, breaks for each hundred steps.

    `order_score` is None if every document is too short for one.
    """

    documents: int
    steps: int
    mean_margin: float
    deviation: float
    breaks: float
    order_score: float | None


@flow(name="coherence", persist_result=False)
def coherence(lake: str, run_id: str) -> int:
    """Report the coherence of what a run committed; return how many documents break.

    Raises UsageError for a lake that is not configured, because events name lakes and anybody can send one, and
    LakeError or UsageError if lake or run do not exist.
    """
    place, run_id = allowed_lake(lake), check_run_id(run_id)
    lake = str(place.root)
    with Catalog.open(place) as catalog:
        lake_id, snapshot = catalog.lake_id, catalog.snapshot()
    with explained(place), open_snapshot(snapshot, place) as con:
        texts, before = read_run(con, run_id)
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
    orders = [text.order_score for text in texts if text.order_score is not None]
    return Level(
        documents=len(texts),
        steps=len(margins),
        mean_margin=float(margins.mean()),
        deviation=float(margins.std()),
        breaks=100 * sum(len(t.broken_after) for t in texts) / len(margins),
        order_score=float(np.mean(orders)) if orders else None,
    )


def _row(text: Text) -> dict[str, Any]:
    return {
        **_names(text),
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
        **_names(text),
        "breaks after sentences": ", ".join(map(str, text.broken_after)),
        "deepest after": text.deepest_after,
        "least margin": round(text.break_margin, 2),
    }


def _names(text: Text) -> dict[str, str]:
    # Prefect's page renders the texts in the cells of a table as Markdown.
    return {"document": literal(text.doc_id), "title": literal(text.title or "", longest=_TITLE_CHARS)}


def _page(run_id: str, lake: str, level: Level | None, before: Level | None, broken: int) -> str:
    if level is None:
        return (
            f"# Coherence of run {run_id}\n\nNothing was scored: the run committed no document of two sentences, or "
            "it ran without NSP, or with a model that has no NSP head."
        )
    lines = [
        f"# Coherence of run {run_id}",
        "",
        f"Lake {code(lake)}: {broken:,} of {many(level.documents, 'documents')} break.",
        "",
        "| | this run | run before | change |",
        "|---|---:|---:|---:|",
    ]
    for name, form, field in _MEASURES:
        here = getattr(level, field)
        there = getattr(before, field) if before else None
        change = "–" if here is None or there is None else f"{here - there:+,.2f}"
        shown = ["–" if value is None else form.format(value) for value in (here, there)]
        lines.append(f"| {name} | {' | '.join(shown)} | {change} |")
    lines += ["", _ORDER]
    one = f"One document's curve: {code(f'polyseme coherence DOCUMENT --lake {quote(lake)}')}"
    lines += ["", _drift(level, before), "", one]
    return "\n".join(lines)


def _drift(level: Level, before: Level | None) -> str:
    """Return a line: how far the mean margin moved, in standard deviations of the run before (Glass's delta)."""
    if before is None or not before.deviation:
        return "No run before this one to compare with."
    moved = (level.mean_margin - before.mean_margin) / before.deviation
    return f"Drift: the mean margin moved by {moved:+.2f} standard deviations of the run before."
