"""How a run ended: its state in the lake, and that of its flow run on the server.

A flow run whose deletions were held back is Completed, because everything else was done and a retry would change
nothing, under a name of its own, so that an automation or a person who looks at the server sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from prefect.states import Completed

from polyseme.flows.runs.run_report import HELD_BACK, RunReport
from polyseme.storage.database.held_back import HeldBack
from polyseme.tasks.shards.deletion_guard import by_source, explain

NAME = "HeldBack"


def ended(failures: Sequence[str], held_back: Sequence[HeldBack]) -> tuple[str, str | None]:
    """Return the state of a run that came to its end, and why it is not `completed`."""
    if failures:
        return "failed", "; ".join(failures[:3])
    if held_back:
        return HELD_BACK, "; ".join(explain(held) for held in by_source(held_back))
    return "completed", None


def with_state(reports: Iterable[RunReport], result: Any = None) -> Any:
    """Return what a flow returns: its `result`, within a state if one of the `reports` has deletions held back."""
    held = [explain(one) for report in reports for one in report.held_back]
    return Completed(name=NAME, message=". ".join(held), data=result) if held else result
