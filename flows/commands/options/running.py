"""Options for where a flow runs and how it reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from polyseme.flows.commands.options.panels import REPORT, RUNNER

if TYPE_CHECKING:
    from polyseme.flows.runs.runners import Runner

_JSON = "Write JSON to stdout, for programs."
Json = Annotated[bool, Parameter(negative="", group=REPORT, help=_JSON)]
JsonOrNot = Annotated[bool, Parameter(group=REPORT, help=_JSON)]
"""With --no-json, against POLYSEME_JSON and `polyseme.toml`."""
Timeout = Annotated[
    float | None,
    Parameter(help="Stop after this many seconds, e.g. 30; by default never."),
]
Memory = Annotated[
    str | None,
    Parameter(help="The most memory for a query, e.g. 4GB; by default 80 % of the machine's."),
]
Spill = Annotated[
    str | None,
    Parameter(help="The most disk for what does not fit into memory, e.g. 50GB; by default half of what is free."),
]
DryRun = Annotated[
    bool,
    Parameter(
        negative="",
        group=REPORT,
        help="Show by source what a run would do, and its cost; write nothing.",
    ),
]


@Parameter(name="*", group=REPORT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """What a flow's command writes."""

    json: Json = False

    verbose: Annotated[bool, Parameter(alias="-v", negative="")] = False
    """Show Prefect's log on stderr."""


@Parameter(name="*", group=RUNNER)
@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """Where shards are encoded."""

    kind: Annotated[Literal["threads", "dask", "ray"], Parameter(name="--runner")] = "threads"
    """Encode in threads of this process, or on the workers of a Dask or Ray cluster. The rows are the same."""

    address: Annotated[str | None, Parameter(name="--runner-address")] = None
    """A cluster that runs already: tcp://host:8786 for Dask, ray://host:10001 for Ray. By default a local one."""

    workers: Annotated[int | None, Parameter(name="--runner-workers")] = None
    """Worker processes of a local cluster, e.g. 4; by default one a core, or one a GPU."""

    def runner(self) -> Runner:
        """Return the runner. Raises UsageError for options that contradict each other. Imports Prefect."""
        from polyseme.flows.runs.runners import Runner

        return Runner(kind=self.kind, address=self.address, workers=self.workers)
