"""The runs: when, over what, with which result, and where their time went."""

from __future__ import annotations

import json

from polyseme.flows.explorer.page import Asked, Content, Page, Parameters

A_PAGE = 50
_RUNS = """
SELECT runs.* EXCLUDE (ordinal), encodings.name AS encoding, encodings.store
FROM runs LEFT JOIN encodings ON encodings.encoding_id = runs.encoding_id
ORDER BY runs.ordinal DESC LIMIT {limit} OFFSET {offset}"""


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return one page of the runs, the latest first."""
    page = parameters.number("page", 1, least=1)
    (counted,) = lake.rows("SELECT count(*) AS runs FROM runs")
    found = lake.ask(_RUNS.format(**parameters.rows(A_PAGE)))
    shown = [{**row, "stages": _stages(row["seconds"]), "source_names": _names(row["sources"])}
             for row in found.to_pylist()]  # fmt: skip
    return Content("Runs", {"runs": found}, {"shown": shown, "total": counted["runs"], "page": page,
                                             "pages": -(-counted["runs"] // A_PAGE)})  # fmt: skip


def _stages(seconds: str | None) -> list[tuple[str, float]]:
    """Return the stages of a run with the seconds of each, the longest first."""
    found = json.loads(seconds or "{}")
    return sorted(((name, float(value)) for name, value in found.items()), key=lambda stage: -stage[1])


def _names(sources: str) -> list[str]:
    found = json.loads(sources or "[]")
    return [str(name) for name in found] if isinstance(found, list) else []


PAGE = Page("runs", load, "Runs")
