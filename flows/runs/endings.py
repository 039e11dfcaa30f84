"""How a run ended, as the state of its flow run on the server.

A flow run whose deletions were held back is Completed, because everything else was done and a retry would change
nothing, under a name of its own, so that an automation or a person who looks at the server sees it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prefect.states import Completed

from polyseme.flows.runs.run_report import RunReport
from polyseme.tasks.shards.deletion_guard import explain

NAME = "HeldBack"


def with_state(reports: Iterable[RunReport], result: Any = None) -> Any:
    """Return what a flow returns: its `result`, within a state if one of the `reports` has deletions held back."""
    held = [explain(one) for report in reports for one in report.held_back]
    return Completed(name=NAME, message=". ".join(held), data=result) if held else result
