"""`--dry-run`: the plan of a job, for people or as JSON."""

from __future__ import annotations

import shutil
import sys

from polyseme.flows.display.output import write_json
from polyseme.flows.display.plan_screen import screen
from polyseme.flows.display.terminal import show
from polyseme.flows.runs.job import Job
from polyseme.flows.runs.plan import Plan, plan

_WIDTH = 100
"""Characters of a line where there is no terminal."""


def show_plan(job: Job, *, json: bool) -> int:
    """Show what a run of the job would do; return the exit code."""
    found = planned(job)
    if json:
        write_json(found.to_dict())
    else:
        print_plan(found)
    return 0


def planned(job: Job) -> Plan:
    """Return the plan of a job; on a terminal show how much has been read meanwhile."""
    if not sys.stderr.isatty():
        return plan(job)
    from polyseme.flows.display.progress_bar import shown

    with shown("planning", at_first="reading"):
        return plan(job)


def print_plan(found: Plan) -> None:
    """Show a plan to people."""
    width = shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else _WIDTH
    for line in screen(found, width=width):
        show(line)
