"""`polyseme coherence`: documents ranked by coherence of topic or order, and where a text breaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.running import Json, Timeout
from polyseme.flows.display.output import write_json, write_table
from polyseme.flows.display.terminal import show, terminal_width
from polyseme.storage.errors import UsageError
from polyseme.storage.wording import many
from polyseme.tasks.sql.step_queries import cosine_scale, in_batches, step_margins

Ask = Callable[..., list[dict[str, Any]]]
"""Takes SQL and named parameters, returns records."""

_RANKING = """
SELECT d.doc_id, d.title, d.uri, count(*) AS steps, avg(c.margin) AS mean_margin, min(c.margin) AS worst_margin,
       avg(c.percentile) AS mean_percentile, avg(c.cosine) AS mean_cosine,
       arg_min(c.sentence_index, c.margin) AS worst_after,
       coalesce(list(c.margin ORDER BY c.sentence_index) FILTER (c.margin IS NOT NULL), []) AS margins
FROM coherence AS c JOIN documents AS d ON d.doc_id = c.doc_id
GROUP BY ALL ORDER BY mean_margin, avg(c.order_margin), d.doc_id"""

_NAMED = """
SELECT doc_id, title, uri FROM documents
WHERE doc_id = $name OR uri = $name OR title = $name OR parse_filename(uri) = $name
ORDER BY doc_id"""

_CURVE = """
SELECT b.sentence_index, b.margin, c.probability, c.percentile, c.z_score, c.cosine, c.order_margin, b.depth, b.gain,
       b.is_break, b.text, b.next_text
FROM breaks($doc_id) AS b
JOIN coherence AS c ON c.doc_id = b.doc_id AND c.sentence_index = b.sentence_index
ORDER BY b.sentence_index"""

_DETAILS = f"""
WITH chosen AS (SELECT unnest($doc_ids) AS doc_id), scale AS ({cosine_scale("")}
), sentence AS (
    SELECT s.doc_id, s.sentence_index, s.embedding, t.margin, t.order_margin
    FROM sentences AS s SEMI JOIN chosen USING (doc_id)
    LEFT JOIN ({step_margins("")}) AS t ON t.doc_id = s.doc_id AND t.sentence_index = s.sentence_index
), document AS (
    SELECT doc_id, list(sentence_index ORDER BY sentence_index) AS numbers, avg(order_margin) AS mean_order_margin,
           list(embedding ORDER BY sentence_index) AS vectors, list(margin ORDER BY sentence_index) AS margins
    FROM sentence GROUP BY doc_id
)
SELECT doc_id, numbers, mean_order_margin, order_score(vectors) AS order_score,
       find_breaks(vectors, margins, unrelated, related) AS steps
FROM document CROSS JOIN scale"""


def coherence(
    document: str | None = None,
    *,
    worst: int = 20,
    by: Literal["margin", "order"] = "margin",
    plot: Path | None = None,
    timeout: Timeout = None,
    lake: LakeOptions = LakeOptions(),
    json: Json = False,
) -> None:
    """Rank the documents by how well their sentences follow each other; or show one document's curve and breaks.

    Topic: margins are NSP's log-odds that a sentence continues the one before it; the sparkline is their curve.
    Order: the order score is by how many standard deviations neighbours are more alike than in a random order of the
    same sentences (0 if shuffled; documents of fewer than 15 sentences seldom differ clearly). Neither recognises a
    text read backwards; the order margin does, if the checkpoint has an ordering head. A model with that head alone,
    such as ALBERT, gives no margins: its documents are ranked by the mean order margin.

    Example: polyseme coherence --worst 5

    Example: polyseme coherence --by order

    Example: polyseme coherence essay.txt --plot curve.svg

    Parameters
    ----------
    document
        The doc_id, address, title or file name of a document, e.g. essay.txt.
    worst
        Show this many documents, the least coherent first; 0 for all.
    by
        Rank by the mean margin, or by the order score, which reads every sentence vector.
    plot
        Draw the curve of DOCUMENT into this file: .svg, .png or .pdf (pip install 'polyseme[plot]'), or .html.
    """
    from polyseme.flows.pictures.picture import check_picture, write_picture
    from polyseme.tasks.sql.execution import Queries
    from polyseme.tasks.sql.functions import ModelFunctions

    if plot is not None and document is None:
        raise UsageError("--plot draws one document. Name it: polyseme coherence DOCUMENT --plot curve.svg")
    check_picture(plot)
    with Queries(lake.lake(), ModelFunctions()) as queries:
        query = partial(queries.ask, timeout=timeout)
        if document is None:
            _show_ranking(_ranking(query, worst, by), json=json)
            return
        named = query(_NAMED, name=document)
        if len(named) != 1:
            raise UsageError(_which(document, named))
        steps = query(_CURVE, doc_id=named[0]["doc_id"])
        found = _details(query, [{**named[0], "steps": len(steps)}])[0] if steps else {}
    if plot is not None:
        from polyseme.flows.pictures.coherence_curve import coherence_curve

        write_picture(coherence_curve(named[0]["title"] or document, steps), plot)
    if json:
        write_json({**named[0], **found, "steps": steps})
    else:
        _show_curve(named[0]["title"] or document, steps, found)


def _ranking(query: Ask, worst: int, by: str) -> list[dict[str, Any]]:
    """Return the `worst` documents (0 for all), the least coherent first; those without an order score last."""
    ranking = query(_RANKING)
    if by == "margin":
        return _details(query, ranking[:worst] if worst else ranking)
    ranking = sorted(_details(query, ranking), key=_by_order)
    return ranking[:worst] if worst else ranking


def _by_order(row: dict[str, Any]) -> tuple[bool, float]:
    return row["order_score"] is None, row["order_score"] or 0.0


def _details(query: Ask, ranking: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with their order score, mean order margin, number of breaks and deepest break."""
    found: dict[str, dict[str, Any]] = {}
    for documents in in_batches(ranking, lambda row: int(row["steps"])):
        for row in query(_DETAILS, doc_ids=[document["doc_id"] for document in documents]):
            steps = list(zip(row["numbers"], row["steps"], strict=False))  # no step follows the last sentence
            deepest = max(steps, key=lambda step: step[1]["gain"], default=None)
            found[row["doc_id"]] = {
                "order_score": row["order_score"],
                "mean_order_margin": row["mean_order_margin"],
                "breaks": sum(step["is_break"] for _, step in steps),
                "deepest_break": deepest[0] if deepest and deepest[1]["is_break"] else None,
            }
    return [{**row, **found[row["doc_id"]]} for row in ranking]


def _which(document: str, named: list[dict[str, Any]]) -> str:
    if not named:
        return f"No document has the doc_id, address, title or file name '{document}'. polyseme coherence lists them."
    several = ", ".join(str(row["doc_id"]) for row in named[:5])
    return f"'{document}' names {many(len(named), 'documents')}: {several}. Give a doc_id."


def _show_ranking(ranking: list[dict[str, Any]], *, json: bool) -> None:
    from polyseme.flows.display.coherence_ranking import ranking_lines
    from polyseme.flows.display.sparkline import sparkline

    if json:
        write_json(ranking)
        return
    rows = [
        {
            "document": row["title"] or row["doc_id"],
            "steps": row["steps"],
            "mean margin": _rounded(row["mean_margin"], 2),
            "worst": _rounded(row["worst_margin"], 1),
            "after sentence": row["worst_after"],
            "percentile": _rounded(row["mean_percentile"], 2),
            "order margin": _rounded(row["mean_order_margin"], 2),
            "order score": _rounded(row["order_score"], 1),
            "breaks": row["breaks"],
            "deepest": row["deepest_break"],
            "curve": sparkline(row["margins"][:60]),
        }
        for row in ranking
    ]
    for unknown in ("mean margin", "worst", "after sentence", "percentile", "order margin"):
        if all(row[unknown] is None for row in rows):  # the model has no head for it
            rows = [{name: value for name, value in row.items() if name != unknown} for row in rows]
    if rows and (width := terminal_width()) is not None:
        show("\n".join(ranking_lines(rows, width)))
    elif rows:
        write_table(pa.Table.from_pylist(rows), "table")
    else:
        show(
            "No text in the lake has scored steps: all are of one sentence, were embedded with --no-nsp, or by a model "
            "that has no head for it (polyseme doctor --model MODEL tells)."
        )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _show_curve(title: str, steps: list[dict[str, Any]], found: dict[str, Any]) -> None:
    from polyseme.flows.display.coherence_curve import curve_of
    from polyseme.flows.display.coherence_ranking import folded_curve
    from polyseme.flows.display.sparkline import sparkline

    lines = [f"{title}: {many(len(steps), 'steps')}, {many(sum(s['is_break'] for s in steps), 'breaks')}"]
    curve, marks = sparkline([s[curve_of(steps)] for s in steps]), "".join("^" if s["is_break"] else " " for s in steps)
    lines += folded_curve(curve, marks, terminal_width() or len(curve) + 2)
    if steps:
        lines += _topic_and_order(steps, found)
    for s in steps:
        if s["is_break"]:
            standing = "" if s["percentile"] is None else f", above {s['percentile']:.0%} of random pairs"
            deepest = " (deepest)" if s["sentence_index"] == found["deepest_break"] else ""
            lines.append(f"Break after sentence {s['sentence_index']}{deepest}: {_shown_margin(s)}{standing}")
            lines += [f"  … {' '.join(s['text'].split())}", f"  → {' '.join(s['next_text'].split())}"]
    show("\n".join(lines).rstrip())


def _shown_margin(step: dict[str, Any]) -> str:
    if step["margin"] is not None:
        return f"margin {step['margin']:+.1f}"
    return f"order margin {step['order_margin']:+.1f}"


def _topic_and_order(steps: list[dict[str, Any]], found: dict[str, Any]) -> list[str]:
    cosine = sum(s["cosine"] for s in steps) / len(steps)
    margins = [s["margin"] for s in steps if s["margin"] is not None]
    topic = f"mean margin {sum(margins) / len(margins):+.1f}, " if margins else ""
    score, order = found["order_score"], found["mean_order_margin"]
    told = "too few sentences" if score is None else f"{score:+.1f} standard deviations above a random order"
    return [
        f"Topic: {topic}mean cosine {cosine:.2f}",
        f"Order: {told}" + ("" if order is None else f", mean order margin {order:+.1f}"),
    ]
