"""Several writers at once on one lake in an S3-compatible server and PostgreSQL: rates, losses, conflicts.

    python -m benchmarks.writers --writers 1 4 --seconds 120

Starts both servers, and for each number of writers a lake of its own. A writer is a process that makes runs of five
shards of twenty documents: it writes their parts to the store, commits, tidies, ends the run and publishes, as
`polyseme embed` does. A tenth of the first shard's documents are written by all writers again and again. In the end
every document must be there once, with the text of the run that read it last, in every table, and `verify` must find no
fault. Vectors have four dimensions and no model runs. The store is moto, one process of Python that serves one request
at a time: its CPU seconds bound the rate here. Prints a line of JSON for each number of writers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.catalog_cost import SPEC
from benchmarks.large_lake import made_shard
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.tiering import tidy
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.records import Counts, Document, ShardResult
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish
from tests import servers

_SHARDS_A_RUN, _DOCUMENTS_A_SHARD, _SHARED = 5, 20, 10
_TABLES = ("documents", "sentences", "words", "transitions")


def write(lake: tuple[str, str], writer: int, seconds: float, start: Any, found: Any) -> None:
    """Write runs until the time is over, and send what was written and what it cost."""
    done, written, draw, run = Counter[str](), list[tuple[int, list[str]]](), random.Random(writer), 0
    with Catalog.create_or_open(Lake(*lake)) as opened:
        opened.register_encoding(SPEC)
        start.wait()
        began, used = time.monotonic(), time.process_time()
        while not run or time.monotonic() < began + seconds:
            run_id = f"writer {writer} run {run}"
            version = opened.begin_run(run_id, SPEC.encoding_id, [f"writer {writer}"])
            for number in range(_SHARDS_A_RUN):
                ids = [f"{writer}-{run}-{number}-{n}" for n in range(_DOCUMENTS_A_SHARD)]
                if number == 0:
                    ids[:2] = [f"shared-{n}" for n in sorted(draw.sample(range(_SHARED), 2))]
                read = [Document(i, f"file:///{i}", f"Version {version} of {i} at the bank.", i) for i in ids]
                result = made_shard(opened.lake, read, number, version, run_id=run_id)
                done.update(_commit(opened, result))
                written.append((version, ids))
            opened.finish_run(run_id, "completed", Counts(), skipped=0, deleted=0, rejected=0)
            publish(opened)
            run += 1
    found.put((written, done, time.monotonic() - began, time.process_time() - used))


def _commit(catalog: Catalog, result: ShardResult) -> Counter[str]:
    """Commit a shard and tidy, as a run does. Return what happened."""
    done = Counter[str](commits=1)
    try:
        catalog.commit_shard(result)
    except PolysemeError:
        done["commits that had to be repeated"] += 1
        catalog.commit_shard(result)
    done.update(f"merges {merge.outcome}" for merge in tidy(catalog, SPEC.encoding_id, now=datetime.now(UTC)))
    return done


def measure(root: str, catalog: str, writers: int, seconds: float) -> dict[str, Any]:
    """Let writers write at once, and check every row. Raises SystemExit if one is lost, doubled or of an older run."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(writers), context.Queue()
    before = _store_seconds()
    working = [
        context.Process(target=write, args=((root, catalog), n, seconds, start, results), daemon=True)
        for n in range(writers)
    ]
    for process in working:
        process.start()
    found = [results.get() for _ in working]
    for process in working:
        process.join()
    done, expected, hidden = Counter[str](), dict[str, int](), 0
    for written, each, _, _ in found:
        done.update(each)
        for version, ids in written:
            hidden += sum(i in expected for i in ids)
            expected |= {i: max(version, expected.get(i, 0)) for i in ids}
    faults = check(Lake(root, catalog), expected)
    wall, cpu = max(each[2] for each in found), sum(each[3] for each in found)
    report = {
        "writers": writers, "seconds": round(wall, 1), **done, "commits a second": round(done["commits"] / wall, 2),
        "CPU s of writers": round(cpu, 1), "CPU ms a commit": round(1e3 * cpu / done["commits"]),
        "CPU s of the store": round(_store_seconds() - before, 1),
        "documents": len(expected), "of them written again by another run": hidden,
        "rows that are lost, doubled or old": faults,
    }  # fmt: skip
    if faults:
        raise SystemExit(json.dumps(report))
    return report


def check(lake: Lake, expected: dict[str, int]) -> int:
    """Return how many documents are lost, doubled or of an older run, over all tables, and add the broken parts."""
    faults = 0
    with connect(lake) as con:
        for table in _TABLES:
            a_document = 2 if table == "words" else 1
            rows = dict(con.execute(f"SELECT doc_id, count(*) FROM {table} GROUP BY doc_id").fetchall())
            faults += len(rows.keys() ^ expected.keys())
            faults += sum(n != a_document for n in rows.values())
        for table in ("documents", "sentences"):
            for doc_id, text in con.execute(f"SELECT doc_id, text FROM {table}").fetchall():
                faults += text != f"Version {expected.get(doc_id)} of {doc_id} at the bank."
    with Catalog.open(lake) as catalog:
        faults += len(verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).broken)
    return faults


def _store_seconds() -> float:
    """Return the CPU time of the store so far, by its process id in the environment; 0 if that is not there."""
    if "BENCHMARK_STORE" not in os.environ:
        return 0.0
    fields = Path(f"/proc/{os.environ['BENCHMARK_STORE']}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _servers() -> Iterator[str]:
    """Start PostgreSQL and the store, and set the environment for the store; give the catalog's URL."""
    import psutil

    with servers.postgres() as url, servers.s3() as endpoint:
        port = endpoint.rpartition(":")[2]
        store = next(p for p in psutil.Process().children(recursive=True) if port in p.cmdline())
        os.environ |= {
            "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "writer", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1", "BENCHMARK_STORE": str(store.pid),
        }  # fmt: skip
        yield url


def main() -> None:
    """Measure each number of writers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    with ExitStack() as stack:
        url = stack.enter_context(_servers())
        import fsspec

        for count in options.writers:
            bucket = f"writers-{count}"
            fsspec.filesystem("s3", skip_instance_cache=True).mkdir(bucket)
            schema = f"writers_{count}"
            servers.execute(url, f"CREATE SCHEMA {schema}")
            at = f"{url}?options=-csearch_path%3D{schema}"
            print(json.dumps(measure(f"s3://{bucket}/lake", at, count, options.seconds)), flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"CPU s of all processes, PostgreSQL included": round(used.ru_utime + used.ru_stime, 1)}))


if __name__ == "__main__":
    main()
