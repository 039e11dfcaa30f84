"""The lake that `benchmarks.large_catalog` measures: its shards, its growth, and runs over it.

In processes of their own, so that the measuring one stays small: on Linux the peak memory of a process includes that of
its parent when it was started. The catalog is the one of `POLYSEME_CATALOG`, if that is set.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import func, select

from benchmarks.catalog_cost import SPEC, documents
from polyseme.storage.catalog import Catalog
from polyseme.storage.database.schema import runs, shards
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance import tiering
from polyseme.storage.parts import write_part
from polyseme.storage.records import Counts, Document, DocumentVersion, Outputs, Part, Shard, ShardResult
from polyseme.storage.schemas import SORT_KEYS, embedding_type, table_schema
from polyseme.storage.sql.publish import publish
from polyseme.tasks.shards.scan import Scan

_RUN = "grows"
_TOKENS = 9
_LAST = 50
"""Commits of which the median is reported, the last before a mark."""
_MARKS = (0.01, 0.1, 0.25, 0.5, 1.0)
_WORDS = 5000


class Growing:
    """A lake that gets a shard of documents at a time, and what the last commits cost. It goes on if it was killed."""

    def __init__(self, lake: Lake) -> None:
        self.catalog = Catalog.create_or_open(lake)
        self.catalog.register_encoding(SPEC)
        with self.catalog.reading() as connection:
            begun = connection.scalar(select(runs.c.ordinal).where(runs.c.run_id == _RUN))
            self.shards = connection.scalar(select(func.count()).where(shards.c.run_id == _RUN)) or 0
        self.version = begun or self.catalog.begin_run(_RUN, SPEC.encoding_id, ["corpus"])
        self.costs: dict[str, list[float]] = {"write": [], "commit": [], "tidy": []}

    def add(self, found: list[Document]) -> None:
        """Write the parts of a shard, commit it and tidy, as `polyseme embed` does."""
        began = time.process_time()
        result = made_shard(self.catalog.lake, found, self.shards, self.version)
        written = time.process_time()
        self.catalog.commit_shard(result)
        committed = time.process_time()
        tiering.tidy(self.catalog, SPEC.encoding_id, now=datetime.now(UTC))
        at = (began, written, committed, time.process_time())
        for name, start, end in zip(self.costs, at, at[1:], strict=False):
            self.costs[name].append(1000 * (end - start))
        self.shards += 1

    def end(self) -> None:
        """End the run and publish the lake."""
        self.catalog.finish_run(_RUN, "completed", Counts(), skipped=0, deleted=0, rejected=0)
        publish(self.catalog)
        self.catalog.close()


def made_shard(lake: Lake, found: list[Document], number: int, version: int, *, run_id: str = _RUN) -> ShardResult:
    """Write the parts of a shard and return what is to be committed of it."""
    versions = tuple(
        DocumentVersion(
            doc_id=d.doc_id, uri=d.uri, version=version, record_sha256=d.record_sha256, outputs=Outputs(),
            n_tokens=_TOKENS, content_sha256=d.record_sha256,
        )
        for d in found
    )  # fmt: skip
    shard = Shard(
        run_id=run_id, ordinal=number, version=version, encoding_id=SPEC.encoding_id, outputs=Outputs(), path="",
        n_documents=len(found), n_chars=0, shard_key=f"{run_id} {number}",
    )  # fmt: skip
    parts = tuple(_written(lake, name, rows) for name, rows in _rows(found, version).items())
    counts = Counts(documents=len(found), tokens=_TOKENS * len(found))
    return ShardResult(shard=shard, parts=parts, documents=versions, rejects=(), counts=counts)


def _rows(found: list[Document], version: int) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of documents of one sentence, of which two words are stored."""
    rows: dict[str, list[dict[str, Any]]] = {"documents": [], "sentences": [], "words": [], "transitions": []}
    for d in found:
        at = {"doc_id": d.doc_id, "version": version}
        end = len(d.text)
        rows["documents"].append({
            **at, "uri": d.uri, "title": d.text[:12], "metadata": "{}", "text": d.text, "n_chars": end,
            "n_sentences": 1,
            "n_tokens": _TOKENS, "content_sha256": d.record_sha256, "ingested_at": datetime.now(UTC),
        })  # fmt: skip
        at |= {"sentence_index": 0, "char_start": 0, "char_end": end}
        rows["sentences"].append({**at, "text": d.text, "n_tokens": _TOKENS})
        rare = f"w{int(d.record_sha256[:8], 16) % _WORDS}"
        rows["words"] += [
            {**at, "word_index": n, "word": word, "word_lower": word, "tokens": [word]}
            for n, word in enumerate(("bank", rare))
        ]
        step = {"kind": "adjacent", "next_doc_id": d.doc_id, "next_sentence_index": 1, "n_truncated": 0}
        rows["transitions"].append({**at, **step, "nsp_logit_is_next": 1.0, "nsp_logit_not_next": 0.0, "cosine": 0.5})
    return rows


def _written(lake: Lake, table: str, rows: list[dict[str, Any]]) -> Part:
    ordered = sorted(rows, key=lambda row: tuple(row[key] for key in SORT_KEYS[table]))
    schema = table_schema(table, SPEC.width)
    made = {f.name: pa.array([row.get(f.name) for row in ordered], f.type) for f in schema if f.name != "embedding"}
    if "embedding" in schema.names:
        numbers = np.random.default_rng(len(rows)).standard_normal(len(rows) * SPEC.width).astype(np.float16)
        made["embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(numbers), type=embedding_type(SPEC.width))
    filled = pa.Table.from_arrays([made[name] for name in schema.names], schema=schema)
    return write_part(lake, filled, table=table, encoding_id=SPEC.encoding_id, width=SPEC.width)


def grow(lake: Lake, count: int, parts: int) -> Iterator[dict[str, Any]]:
    """Make the lake, and yield what commits cost at some sizes; at the last one it is complete and published."""
    tiering._LARGEST_BYTES = 1
    growing, some = Growing(lake), max(1, count // parts)
    found = islice(documents(count), growing.shards * some, None)
    marks = sorted({max(1, round(parts * mark)) for mark in _MARKS})
    while shard := list(islice(found, some)):
        growing.add(shard)
        if growing.shards in marks:
            medians = {f"{name}_cpu_ms": round(statistics.median(c[-_LAST:]), 1) for name, c in growing.costs.items()}
            yield {
                "documents": growing.shards * some,
                "parts_a_table": growing.shards,
                **medians,
                "catalog_mb": round(catalog_bytes(lake) / 1e6, 1),
            }
    growing.end()


def plan(lake: Lake, count: int) -> None:
    """Scan documents that are all there, as an unchanged run does. Raises SystemExit if not all were unchanged."""
    with Catalog.open(lake) as opened:
        version = opened.begin_run("second", SPEC.encoding_id, [])
        scan = Scan(opened, opened.lake, "second", version, SPEC.encoding_id, Outputs())
        staged = list(scan.shards(documents(count)))
        gone = scan.delete_gone([])
        scan.close()
        opened.finish_run("second", "completed", Counts(), skipped=count, deleted=0, rejected=0)
    if staged or gone or scan.tally.unchanged != count:
        raise SystemExit(f"not everything was unchanged: {scan.tally}")


def revise(lake: Lake, count: int) -> None:
    """Make a run that reads another text of every ten-thousandth document, or of one, and finds the next one gone."""
    tiering._LARGEST_BYTES = 1
    step = min(count, 10_000)
    found = [replace(d, text=f"{d.text} It opened again.") for d in islice(documents(count), 0, count, step)]
    gone = [d.doc_id for d in islice(documents(count), 1, count, step)]
    with Catalog.open(lake) as catalog:
        version = catalog.begin_run("revises", SPEC.encoding_id, ["corpus"])
        catalog.commit_shard(made_shard(lake, found, 0, version, run_id="revises"))
        catalog.delete_documents(SPEC.encoding_id, gone, version=version)
        tiering.tidy(catalog, SPEC.encoding_id, now=datetime.now(UTC))
        catalog.finish_run("revises", "completed", Counts(), skipped=0, deleted=len(gone), rejected=0)
        publish(catalog)


def catalog_bytes(lake: Lake) -> int:
    """Return the bytes of the catalog's database, its indexes included."""
    with Catalog.open(lake) as catalog, catalog.reading() as connection:
        sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        if connection.dialect.name == "postgresql":
            sql = "SELECT pg_database_size(current_database())"
        return int(connection.exec_driver_sql(sql).scalar_one())


def main() -> None:
    """Grow a lake, plan a run over one, or change some of its documents."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("grow", "plan", "revise"))
    parser.add_argument("documents", type=int)
    parser.add_argument("--parts", type=int)
    parser.add_argument("--lake", type=Path, required=True)
    options = parser.parse_args()
    lake = Lake(options.lake, os.environ.get("POLYSEME_CATALOG"))
    if options.what != "grow":
        {"plan": plan, "revise": revise}[options.what](lake, options.documents)
        return
    for found in grow(lake, options.documents, options.parts):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
