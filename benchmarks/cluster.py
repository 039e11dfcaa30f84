"""A Dask cluster of machines that share nothing but a store and a catalog, against one machine: are the rows the same?

    python -m benchmarks.cluster --documents FILE.jsonl --shards 12      as root on Linux, some minutes

A scheduler, two workers and the machine that runs `polyseme embed` are network namespaces with addresses, host names
and temporary folders of their own (`benchmarks.namespaces`). The lake is in an S3-compatible server, its catalog in
PostgreSQL, both reached by address, as is a Prefect server. When a third of the documents is committed, one worker is
killed and a new machine takes its place. Then the same text is embedded on this machine alone, and every table of the
one lake is compared with the other, vectors bit for bit. Prints JSON; `--folder` keeps the logs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.namespaces import Machine, Network, network
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from tests import processes, servers

TABLES = {
    "documents": "* EXCLUDE (ingested_at, uri, path)", "sentences": "*", "words": "*",
    "transitions": "*",
}  # fmt: skip
_PORT = 8786
_REPOSITORY = Path(__file__).resolve().parent.parent


class Cluster:
    """The machines, the servers and the environment of every process."""

    def __init__(self, net: Network, folder: Path, stack: ExitStack) -> None:
        self.net, self.folder, self._stack = net, folder, stack
        self.catalog = stack.enter_context(servers.postgres(net.host))
        endpoint = stack.enter_context(servers.s3(net.host))
        port = servers.free_port(net.host)
        self.environment = {
            "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "cluster", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1", "PYTHONPATH": str(_REPOSITORY),
            "PREFECT_API_URL": f"http://{net.host}:{port}/api", "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }  # fmt: skip
        os.environ |= self.environment
        self._prefect(port)
        self.scheduler = net.add("scheduler")
        self.start(self.scheduler, "dask", "scheduler", "--host", self.scheduler.address, "--no-dashboard")

    def _prefect(self, port: int) -> None:
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", self.net.host, "--port", str(port)]
        (home := self.folder / "prefect").mkdir()
        log = self._stack.enter_context((self.folder / "prefect.log").open("ab"))
        mine = os.environ | {"PREFECT_HOME": str(home)}
        self._stack.enter_context(processes.started(*command, env=mine, stdout=log, stderr=log))
        import httpx

        def answers() -> bool:
            try:
                return httpx.get(f"{self.environment['PREFECT_API_URL']}/health", timeout=5).is_success
            except httpx.HTTPError:
                return False

        processes.wait_until(answers, "the Prefect server answers")

    def start(self, machine: Machine, *command: str, shown: Path | None = None) -> processes.Process:
        """Run a Python module on a machine until the end of the benchmark."""
        words = [sys.executable, "-m", *command]
        with_dask = ["dask"] if command[0] == "dask" else []
        words = [str(Path(sys.executable).with_name("dask")), *command[1:]] if with_dask else words
        log = self.folder / f"{machine.name}.log"
        nothing = self.folder / "nothing"
        nothing.mkdir(exist_ok=True)
        running = machine.running(*words, environment=self.environment, log=log, shown=shown or nothing)
        return self._stack.enter_context(running)

    def worker(self, name: str) -> tuple[Machine, processes.Process]:
        """Add a machine with one worker of one thread."""
        machine = self.net.add(name)
        there = [f"tcp://{self.scheduler.address}:{_PORT}", "--host", machine.address, "--name", name]
        options = ["--nthreads", "1", "--no-dashboard", "--memory-limit", "0", "--death-timeout", "120"]
        return machine, self.start(machine, "dask", "worker", *there, *options)


def embed(cluster: Cluster, source: Path, shards: int, root: str, *, kill: bool) -> dict[str, Any]:
    """Embed on the cluster, with a worker killed and replaced on the way. Return what happened."""
    machines = {name: cluster.worker(name) for name in ("worker-1", "worker-2")}
    driver = cluster.net.add("driver")
    target = ["--lake", root, "--catalog", cluster.catalog, "--scheduler", f"tcp://{cluster.scheduler.address}:{_PORT}"]
    began = time.perf_counter()
    running = cluster.start(
        driver, "benchmarks.cluster", "--documents", f"/mnt/{source.name}", "--shards", str(shards), *target,
        shown=source.parent,
    )  # fmt: skip
    found: dict[str, Any] = {}
    total = sum(1 for line in source.open("rb") if line.strip())
    while running.poll() is None:
        time.sleep(0.5)
        done = committed(Lake(root, cluster.catalog))
        if kill and not found and 3 * done >= total:
            processes_there = machines["worker-1"][1]
            os.killpg(processes_there.pid, 9)
            found = {"documents committed when a worker was killed": done}
            machines["worker-3"] = cluster.worker("worker-3")
    if running.returncode:
        raise SystemExit(
            f"embed ended with {running.returncode}:\n{(cluster.folder / 'driver.log').read_text()[-3000:]}"
        )
    if kill and not found:
        raise SystemExit("The run ended before a worker could be killed: give it more text.")
    moved = {m.name: m.moved_bytes() for m in (driver, *(m for m, _ in machines.values()))}
    return {
        "documents": total, **found, "wall s": round(time.perf_counter() - began, 1),
        "MB received, sent": {name: [round(n / 1e6, 2) for n in both] for name, both in moved.items()},
    }  # fmt: skip


def committed(lake: Lake) -> int:
    """Return how many documents are live."""
    try:
        with Catalog.open(lake) as catalog:
            return sum(catalog.totals(e.encoding_id)["documents"] for e in catalog.encodings())
    except LakeError:
        return 0  # the run has not made it yet


def differences(one: Lake, other: Lake) -> dict[str, dict[str, int]]:
    """Return for each table its rows in `one`, and how many either lake has that the other has not."""
    import duckdb

    found = {}
    with connect(one) as left, connect(other) as right, duckdb.connect() as con:
        for table, columns in TABLES.items():
            for name, source in (("a", left), ("b", right)):
                con.register(f"{name}_{table}", source.sql(f"SELECT {columns} FROM {table}").to_arrow_table())
            both = (("a", "b"), ("b", "a"))
            missing = [_count(con, f"FROM {x}_{table} EXCEPT ALL FROM {y}_{table}") for x, y in both]
            rows = _count(con, f"FROM a_{table}")
            found[table] = {"rows": rows, "only on the cluster": missing[0], "only on one machine": missing[1]}
    return found


def _count(con: Any, query: str) -> int:
    return int(con.execute(f"SELECT count(*) FROM ({query})").fetchall()[0][0])


def drive(options: argparse.Namespace) -> None:
    """Run `polyseme embed` in this process, with shards so small that there are as many as asked for."""
    from polyseme.flows.cli import main as polyseme
    from polyseme.tasks.shards import staging

    source = options.documents
    staging.SHARD_CHARS = max(1, Path(source).stat().st_size // options.shards)
    words = ["embed", source, "--lake", options.lake, "--model", options.model, "--json"]
    words += ["--text-field", "text", "--id-field", "doc_id"]
    words += ["--catalog", options.catalog] if options.catalog else []
    words += ["--runner", "dask", "--runner-address", options.scheduler] if options.scheduler else []
    sys.argv = ["polyseme", *words]
    polyseme()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Embed on the cluster and here, and compare."""
    (given := folder / "given").mkdir(parents=True)
    source = given / "corpus.jsonl"
    shutil.copy(options.documents, source)
    with ExitStack() as stack:
        cluster = Cluster(stack.enter_context(network()), folder, stack)
        import fsspec

        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("cluster")
        root = "s3://cluster/lake"
        found = embed(cluster, source, options.shards, root, kill=not options.no_kill)
        here = folder / "lake"
        alone = [
            sys.executable,
            "-m",
            "benchmarks.cluster",
            "--documents",
            str(source),
            "--shards",
            str(options.shards),
        ]
        mine = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"} | {"PREFECT_HOME": str(folder / "own")}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*alone, "--lake", str(here)], check=True, env=mine, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rows = differences(Lake(root, cluster.catalog), Lake(here))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        **found, "CPU s on one machine": round(cpu, 1),
        "CPU s of the cluster with its servers": round(used.ru_utime + used.ru_stime - cpu, 1), "tables": rows,
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", required=True, help="JSON lines with doc_id and text")
    parser.add_argument("--shards", type=int, default=12)
    parser.add_argument("--model", default="polyseme-mini")
    parser.add_argument("--no-kill", action="store_true", help="let both workers live")
    parser.add_argument("--folder", type=Path, help="for logs, which stay; temporary by default")
    for hidden in ("--lake", "--catalog", "--scheduler"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.lake:
        drive(options)
        return
    with tempfile.TemporaryDirectory(prefix="polyseme-") as folder:
        found = measure(options, options.folder or Path(folder))
    print(json.dumps(found, indent=1))
    if any(n for table in found["tables"].values() for name, n in table.items() if name != "rows"):
        raise SystemExit("The rows differ.")


if __name__ == "__main__":
    main()
