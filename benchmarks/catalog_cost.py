"""The cost of the catalog: scanning an unchanged corpus, committing a shard, querying a lake of many parts.

    python -m benchmarks.catalog_cost [--only commit|query|plan] [--documents 1000000] [--shards 300] [--parts 1000]

Real lakes in a temporary folder; vectors have four dimensions, so that the catalog is measured and not the data. `cpu`
is this process's CPU time, which other work on the machine does not change.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import insert

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.schema import document_versions
from polyseme.storage.lake import Lake
from polyseme.storage.parts import write_part
from polyseme.storage.records import Counts, Document, DocumentVersion, EncodingSpec, Outputs, Part, Shard, ShardResult
from polyseme.storage.schemas import embedding_type, table_schema
from polyseme.storage.sql.connection import open_snapshot
from polyseme.tasks.shards.scan import Scan

SPEC = EncodingSpec(
    model="bench", model_sha256="m", tokenizer_sha256="t", width=4, layers="last", pooling="mean", context="sentence",
    max_tokens=128, precision="fp32", splitter="s",
)  # fmt: skip
_ROWS = 10_000
_DOCUMENTS_A_SHARD = 100
_QUESTION = "SELECT count(*), sum(char_end) FROM words WHERE word_lower = 'bank'"
_TABLES_A_SHARD = ("documents", "sentences", "words", "transitions")


def documents(count: int) -> Iterator[Document]:
    """Yield short documents, like a scan of JSON lines."""
    for i in range(count):
        uri = f"file:///corpus/part-{i // 1000:04d}.jsonl"
        yield Document(f"{uri}#{i % 1000}", uri, f"Document {i} says that the bank was closed.", f"line {i % 1000}")


def planning(folder: Path, count: int) -> dict[str, Any]:
    """Scan `count` documents against a catalog that has them all."""
    lake = Lake(folder / "planning")
    with Catalog.create_or_open(lake) as catalog:
        catalog.register_encoding(SPEC)
        version = catalog.begin_run("first", SPEC.encoding_id, [])
        rows, outputs = [], Outputs().to_json()
        for d in documents(count):
            rows.append(
                {"encoding_id": SPEC.encoding_id, "doc_id": d.doc_id, "version": version, "text_version": version,
                 "uri": d.uri, "record_sha256": d.record_sha256, "outputs": outputs, "n_tokens": 9, "deleted": False}
            )  # fmt: skip
            if len(rows) == _ROWS:
                _load(catalog, rows)
                rows = []
        _load(catalog, rows)
    # In a process of its own, whose peak memory is that of the scan and not of the loading.
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.catalog_cost", "--plan-only", str(lake.root), "--documents", str(count)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    planned: dict[str, Any] = json.loads(found.stdout)
    return planned


def _load(catalog: Catalog, rows: list[dict[str, Any]]) -> None:
    if rows:
        with catalog.writing() as connection:
            connection.execute(insert(document_versions), rows)


def plan(root: Path, count: int) -> dict[str, Any]:
    """Scan in this process. Raises SystemExit if not everything was unchanged."""
    wall, cpu = time.perf_counter(), time.process_time()
    with Catalog.open(Lake(root)) as catalog:
        version = catalog.begin_run("second", SPEC.encoding_id, [])
        scan = Scan(catalog, catalog.lake, "second", version, SPEC.encoding_id, Outputs())
        staged = list(scan.shards(documents(count)))
        gone = scan.delete_gone([])
        scan.close()
    if staged or gone or scan.tally.unchanged != count:
        raise SystemExit(f"not everything was unchanged: {scan.tally}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "documents": count, "wall_s": round(time.perf_counter() - wall, 1),
        "cpu_s": round(time.process_time() - cpu, 1), "peak_mb": round(peak),
    }  # fmt: skip


def committing(folder: Path, shards: int) -> dict[str, Any]:
    """Commit `shards` shards of a hundred documents and four parts each."""
    lake = Lake(folder / "committing")
    with Catalog.create_or_open(lake) as catalog:
        results = list(_shards(catalog, SPEC, shards))
        wall: list[float] = []
        cpu = time.process_time()
        for result in results:
            began = time.perf_counter()
            catalog.commit_shard(result)
            wall.append(1000 * (time.perf_counter() - began))
    cpu_ms = 1000 * (time.process_time() - cpu) / shards
    return {
        "shards": shards, "median_ms": round(statistics.median(wall), 1),
        "p95_ms": round(statistics.quantiles(wall, n=20)[-1], 1), "cpu_ms": round(cpu_ms, 1),
    }  # fmt: skip


def commit_parts(catalog: Catalog, spec: EncodingSpec, parts: int) -> None:
    """Commit `parts` parts per table of one encoding, with vectors of four dimensions."""
    for result in _shards(catalog, spec, parts):
        catalog.commit_shard(result)


def _shards(catalog: Catalog, spec: EncodingSpec, count: int) -> Iterator[ShardResult]:
    catalog.register_encoding(spec)
    run_id = f"run {spec.encoding_id}"
    version = catalog.begin_run(run_id, spec.encoding_id, [])
    for ordinal in range(count):
        yield _shard(catalog.lake, spec, run_id, ordinal, version)


def _shard(lake: Lake, spec: EncodingSpec, run_id: str, ordinal: int, version: int) -> ShardResult:
    parts = tuple(_part(lake, spec, table, ordinal, version) for table in _TABLES_A_SHARD)
    versions = tuple(
        DocumentVersion(doc_id=f"d{ordinal}-{i}", uri=f"file:///{ordinal}", version=version, record_sha256="x",
                        outputs=Outputs(), n_tokens=9)
        for i in range(_DOCUMENTS_A_SHARD)
    )  # fmt: skip
    shard = Shard(
        run_id=run_id, ordinal=ordinal, version=version, encoding_id=spec.encoding_id, outputs=Outputs(), path="",
        n_documents=_DOCUMENTS_A_SHARD, n_chars=0, shard_key=f"{spec.encoding_id} {ordinal}",
    )  # fmt: skip
    return ShardResult(shard=shard, parts=parts, documents=versions, rejects=(), counts=Counts())


def _part(lake: Lake, spec: EncodingSpec, table: str, ordinal: int, version: int) -> Part:
    schema, n = table_schema(table, spec.width), _DOCUMENTS_A_SHARD
    ids = [f"d{ordinal}-{i:03d}" for i in range(n)]
    columns: dict[str, pa.Array] = {"doc_id": pa.array(ids)}
    data = [
        columns[f.name] if f.name in columns else _column(f, n, version) for f in schema
    ]  # fmt: skip
    return write_part(
        lake, pa.Table.from_arrays([c.cast(f.type) for c, f in zip(data, schema, strict=True)], schema=schema),
        table=table, encoding_id=spec.encoding_id, width=spec.width,
    )  # fmt: skip


def _column(field: pa.Field[Any], n: int, version: int) -> pa.Array:
    if field.name == "embedding":
        zeros = pa.array([0.0] * n * SPEC.width, pa.float32()).cast(pa.float16())
        return pa.FixedSizeListArray.from_arrays(zeros, type=embedding_type(SPEC.width))
    if field.name == "version":
        return pa.array([version] * n)
    if pa.types.is_list(field.type):
        return pa.array([["bank"]] * n)
    if pa.types.is_timestamp(field.type):
        return pa.array([datetime(2026, 11, 1, tzinfo=UTC)] * n)
    text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    return pa.array(["bank"] * n if text else [0] * n)


def asking(folder: Path, parts: int) -> dict[str, Any]:
    """Query a lake of many parts per table, and one that has the same rows in one part."""
    found: dict[str, Any] = {"parts_a_table": parts}
    for name, target in (("many", None), ("one", 1 << 40)):
        lake = Lake(folder / "asking")
        with Catalog.create_or_open(lake) as catalog:
            if target is None:
                commit_parts(catalog, SPEC, parts)
            else:
                _compact_to_one(catalog)
            cpu = time.process_time()
            con = open_snapshot(catalog.snapshot(), lake)
            found[f"{name}: open_cpu_s"] = round(time.process_time() - cpu, 3)
            wall_s, cpu_s = _best(lambda con=con: con.execute(_QUESTION).fetchall())  # type: ignore[misc]
            con.close()
        found |= {f"{name}: query_s": round(wall_s, 3), f"{name}: query_cpu_s": round(cpu_s, 3)}
    for kind in ("query_s", "query_cpu_s"):
        found[f"overhead: {kind}"] = round(found[f"many: {kind}"] - found[f"one: {kind}"], 3)
    return found


def _best(work: Callable[[], object]) -> tuple[float, float]:
    """Return the least wall and CPU seconds of several attempts."""
    times = []
    for _ in range(7):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(wall for wall, _ in times), min(cpu for _, cpu in times)


def _compact_to_one(catalog: Catalog) -> None:
    from polyseme.storage.maintenance.compaction import compact

    for _ in range(4):
        if not any(merge.outcome == "merged" for merge in compact(catalog).merges):
            return


def main() -> None:
    """Measure and print one line of JSON per measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=300)
    parser.add_argument("--parts", type=int, default=1000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", choices=("commit", "query", "plan"))
    parser.add_argument("--plan-only", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plan_only:
        print(json.dumps(plan(options.plan_only, options.documents)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for name, measured in (
            ("commit", lambda place: committing(place, options.shards)),
            ("query", lambda place: asking(place, options.parts)),
            ("plan", lambda place: planning(place, options.documents)),
        ):
            if options.only in (None, name):
                print(json.dumps({"what": name, **measured(Path(folder))}), flush=True)


if __name__ == "__main__":
    main()
