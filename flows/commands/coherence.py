"""`polyseme coherence`: documents ranked by coherence, and where a text breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.running import Json, Timeout
from polyseme.flows.display.coherence_curve import draw_coherence_curve
from polyseme.flows.display.output import write_json, write_table
from polyseme.storage.errors import UsageError

_RANKING = """
SELECT d.doc_id, d.title, d.uri, count(*) AS steps, avg(c.margin) AS mean_margin, min(c.margin) AS worst_margin,
       avg(c.percentile) AS mean_percentile,
       arg_min(c.sentence_index, c.margin) AS worst_after, list(c.margin ORDER BY c.sentence_index) AS margins
FROM coherence AS c JOIN documents AS d ON d.doc_id = c.doc_id
GROUP BY ALL ORDER BY mean_margin, d.doc_id"""

_NAMED = """
SELECT doc_id, title, uri FROM documents
WHERE doc_id = $name OR uri = $name OR title = $name OR parse_filename(uri) = $name
ORDER BY doc_id"""

_CURVE = """
SELECT b.sentence_index, b.margin, c.probability, c.percentile, c.z_score, b.depth, b.is_break, b.text, b.next_text
FROM breaks($doc_id) AS b
JOIN coherence AS c ON c.doc_id = b.doc_id AND c.sentence_index = b.sentence_index
ORDER BY b.sentence_index"""


def coherence(
    document: str | None = None,
    *,
    worst: int = 20,
    plot: Path | None = None,
    timeout: Timeout = None,
    lake: LakeOptions = LakeOptions(),
    json: Json = False,
) -> None:
    """Rank the documents by how well their sentences follow each other; or show one document's curve and breaks.

    Margins are NSP's log-odds that a sentence continues the one before it. The sparkline is the curve of margins.

    Example: polyseme coherence --worst 5

    Example: polyseme coherence essay.txt --plot curve.svg

    Parameters
    ----------
    document
        The doc_id, address, title or file name of a document, e.g. essay.txt.
    worst
        Show this many documents, the least coherent first; 0 for all.
    plot
        Draw the curve of DOCUMENT into this .svg or .html file.
    """
    from polyseme.storage.sql.connection import connect
    from polyseme.tasks.sql.execution import ask
    from polyseme.tasks.sql.functions import ModelFunctions

    if plot is not None and document is None:
        raise UsageError("--plot draws one document. Name it: polyseme coherence DOCUMENT --plot curve.svg")
    functions = ModelFunctions()
    con = connect(lake.lake(), functions=functions)
    try:
        if document is None:
            ranking = ask(con, _RANKING, functions, timeout=timeout)
            _show_ranking(ranking[:worst] if worst else ranking, json=json)
            return
        named = ask(con, _NAMED, functions, name=document)
        if len(named) != 1:
            raise UsageError(_which(document, named))
        steps = ask(con, _CURVE, functions, timeout=timeout, doc_id=named[0]["doc_id"])
    finally:
        con.close()
    if plot is not None:
        from polyseme.flows.display.svg import write_picture

        write_picture(draw_coherence_curve(named[0]["title"] or document, steps), plot)
    if json:
        write_json({**named[0], "steps": steps})
    else:
        _show_curve(named[0]["title"] or document, steps)


def _which(document: str, named: list[dict[str, Any]]) -> str:
    if not named:
        return f"No document has the doc_id, address, title or file name '{document}'. polyseme coherence lists them."
    several = ", ".join(str(row["doc_id"]) for row in named[:5])
    return f"'{document}' names {len(named)} documents: {several}. Give a doc_id."


def _show_ranking(ranking: list[dict[str, Any]], *, json: bool) -> None:
    from polyseme.flows.display.svg import sparkline

    if json:
        write_json(ranking)
        return
    rows = [
        {
            "document": row["title"] or row["doc_id"],
            "steps": row["steps"],
            "mean margin": round(row["mean_margin"], 2),
            "worst": round(row["worst_margin"], 1),
            "after sentence": row["worst_after"],
            "percentile": row["mean_percentile"] and round(row["mean_percentile"], 2),
            "curve": sparkline(row["margins"][:60]),
        }
        for row in ranking
    ]
    write_table(pa.Table.from_pylist(rows), "table") if rows else print("No text in the lake has two sentences.")  # noqa: T201


def _show_curve(title: str, steps: list[dict[str, Any]]) -> None:
    from polyseme.flows.display.svg import sparkline

    lines = [f"{title}: {len(steps)} steps, {sum(s['is_break'] for s in steps)} breaks"]
    lines.append("  " + sparkline([s["margin"] for s in steps]))
    lines.append("  " + "".join("^" if s["is_break"] else " " for s in steps))
    for s in steps:
        if s["is_break"]:
            standing = "" if s["percentile"] is None else f", above {s['percentile']:.0%} of random pairs"
            lines.append(f"Break after sentence {s['sentence_index']}: margin {s['margin']:+.1f}{standing}")
            lines += [f"  … {' '.join(s['text'].split())}", f"  → {' '.join(s['next_text'].split())}"]
    print("\n".join(lines).rstrip())  # noqa: T201
