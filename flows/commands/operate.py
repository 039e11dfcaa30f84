"""`polyseme deploy`, `serve` and `watch`: a pipeline that runs by itself on a standing Prefect server."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from polyseme.flows.display.terminal import show
from polyseme.flows.settings import config_file, require_server
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.wording import many
from polyseme.tasks.engine import shared_engine

Exit = int


def deploy(*, pool: str | None = None) -> Exit:
    """Register the deployments of prefect.yaml with the Prefect server, for workers to run. Safe to repeat.

    Takes prefect.yaml of this folder if it has flows of Polyseme, else the one that comes with Polyseme, and creates
    the work pool if it is missing. Runs work in the folder of polyseme.toml, which configures the corpora. Start a
    worker next, here or where the same folder can be read: prefect worker start --pool local

    Example: polyseme deploy --pool local

    Parameters
    ----------
    pool
        Use this work pool, e.g. local, instead of those named in prefect.yaml.
    """
    require_server()
    from polyseme.flows.server.corpora import chosen
    from polyseme.flows.server.deployments import deployments_file, read_deployments

    corpora = chosen()
    path = deployments_file()
    found = read_deployments(path)
    for name in sorted({pool} if pool else {d["work_pool"]["name"] for d in found if "work_pool" in d}):
        _make_pool(name)
    with tempfile.TemporaryDirectory() as folder:
        chosen_file = _with_pool(path, pool, Path(folder)) if pool else path
        _prefect("deploy", "--all", "--no-prompt", "--prefect-file", str(chosen_file), cwd=_home())
    show(
        f"{many(len(found), 'deployments')} for {many(len(corpora), 'corpora')}: {', '.join(c.name for c in corpora)}."
    )
    return 0


def serve(*, limit: int = 4, poll_seconds: float = 2.0) -> Exit:
    """Run the deployments of prefect.yaml from this process, without a work pool or a worker, until it is stopped.

    Registers them with the Prefect server, then starts their runs when they are due. Each run is a process of its own;
    what runs left undone when this process was killed is done by the next reconcile.

    Example: polyseme serve --limit 2

    Parameters
    ----------
    limit
        Runs at the same time.
    poll_seconds
        Seconds between two queries for runs that are due.
    """
    require_server()
    from polyseme.flows.server.corpora import chosen
    from polyseme.flows.server.deployments import deployments_file, read_deployments
    from polyseme.flows.server.serving import serve as run

    for corpus in chosen():
        # A model that is not available is an error now, not in the first run at night.
        request = corpus.request()
        shared_engine(request.engine).check(request.outputs)
    found = read_deployments(deployments_file())
    os.chdir(_home())
    run(found, limit=limit, poll_seconds=poll_seconds)
    return 0


def watch(
    *places: str,
    settle: float = 2.0,
    poll: Annotated[bool, Parameter(negative="")] = False,
    listing: float = 60.0,
) -> Exit:
    """Send the Prefect server an event when files of a corpus arrive, change or go, until it is stopped.

    A file has arrived when it has not changed for some seconds. Object stores, files of the web and tables are listed
    again and again, and nothing in them is opened. An event is sent until the server acknowledges it; one is sent at
    the start, because files may have arrived while nobody watched.

    Example: polyseme watch news/ archive/

    Parameters
    ----------
    places
        Folders to watch, each part of a configured corpus, and addresses as configured, e.g. s3://bucket/prefix/; by
        default the sources of all corpora.
    settle
        Seconds without a change after which a file counts as complete.
    poll
        Compare the files again and again instead of waiting for the kernel's notifications: for network drives.
    listing
        Seconds between two listings of a source that reports no changes, such as a bucket.
    """
    require_server()
    from polyseme.flows.server.corpora import chosen
    from polyseme.flows.server.watch import Watcher, watched

    if settle <= 0:
        raise UsageError(f"--settle must be more than 0 seconds, got {settle:g}.")
    if listing <= 0:
        raise UsageError(f"--listing must be more than 0 seconds, got {listing:g}.")
    Watcher(watched(chosen(), list(places)), settle=settle, poll=poll, listing=listing).run()
    return 0


def _home() -> Path:
    path = config_file()
    return path.parent if path else Path.cwd()


def _make_pool(name: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(name)
        except ObjectNotFound:
            try:
                client.create_work_pool(WorkPoolCreate(name=name, type="process"))
                show(f"Created the work pool {name}.")
            except ObjectAlreadyExists:
                return


def _with_pool(path: Path, pool: str, folder: Path) -> Path:
    import yaml

    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for deployment in content["deployments"]:
        deployment["work_pool"] = {**deployment.get("work_pool", {}), "name": pool}
    copy = folder / path.name
    copy.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return copy


def _prefect(*arguments: str, cwd: Path) -> None:
    """Run Prefect's own command line; show its output only if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PolysemeError(f"`prefect {' '.join(arguments)}` failed:\n{done.stdout}{done.stderr}")
