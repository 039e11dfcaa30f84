"""A run from the command line: nothing that it does not need is started.

A run begins with its scan. If that finds nothing to encode and no standing server is there to record a flow run, it
ends without Prefect or PyTorch. Otherwise a flow takes it over, while the scan goes on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

from polyseme.flows.display.progress_bar import shown
from polyseme.flows.display.terminal import note
from polyseme.flows.runs import temporary_server
from polyseme.flows.runs.job import Job
from polyseme.flows.runs.lemma_check import require_lemmas
from polyseme.flows.runs.progress import phase
from polyseme.flows.runs.recorded_request import recorded
from polyseme.flows.runs.run import Run, begun, handed_over
from polyseme.flows.runs.run_report import RunReport
from polyseme.flows.settings import prepare_prefect
from polyseme.storage.errors import PolysemeError

_NETWORK = "polyseme.tasks.model.encoder"
_UNREACHABLE = "Failed to reach API at"
"""What Prefect says, in a plain RuntimeError, of a server that does not answer when a flow begins."""

AtTheEnd = Callable[[PolysemeError], int]
"""Says what else there is to say before the process ends with an error, in a thread; returns the exit code."""


def exit_code_of(error: PolysemeError) -> int:
    """Return the exit code of an error, and say no more."""
    return error.exit_code


def run_job(job: Job, request: Any, *, flow: str, verbose: bool, at_the_end: AtTheEnd = exit_code_of) -> RunReport:
    """Do a job, which is that of `request`, show its progress, and report.

    `flow` names the flow that takes a request of its kind; Prefect's log is shown if `verbose`. `at_the_end` is called
    if this process has to end with the run. Raises what the flow
    raises, and PolysemeError if Prefect's temporary server does not start.
    """
    job.runner.check()
    prepare_prefect(verbose=verbose)
    with shown("embedding"), begun(job) as run:
        if not temporary_server.is_standing():
            if not run.scanning.has_work():
                return run.complete()
            require_lemmas(run.catalog, run.engine)
        phase("starting Prefect")
        module, _, name = flow.rpartition(".")
        temporary_server.start_if_needed(meanwhile=lambda: _import(module, network=job.runner.kind == "threads"))
        call: Callable[[Any], RunReport] = getattr(import_module(module), name)
        with (
            temporary_server.in_use(on_death=lambda error: _end_now(run, error, at_the_end)),
            handed_over(run),
            _naming_the_server(),
        ):
            return call(recorded(request))


@contextmanager
def _naming_the_server() -> Iterator[None]:
    """Say what to do if the server that is configured does not answer."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith(_UNREACHABLE):
            raise
        raise PolysemeError(
            f"No Prefect server answers at {str(error).removeprefix(_UNREACHABLE).strip()}. Start it, or remove its "
            "address, PREFECT_API_URL in the environment or Prefect's profile, to run with a temporary one."
        ) from error


def _import(module: str, *, network: bool) -> None:
    """Import Prefect, then PyTorch, in this thread: beside Prefect, another that imports PyTorch may hang."""
    import_module(module)
    if network:
        phase("loading PyTorch")
        import_module(_NETWORK)


def _end_now(run: Run, error: PolysemeError, at_the_end: AtTheEnd) -> NoReturn:
    """Record that a run failed and end the process: without its server, Prefect's client tries again without end."""
    code = error.exit_code
    try:
        run.fail(error)
    finally:
        try:
            note(f"polyseme: {error}")
            code = at_the_end(error)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
