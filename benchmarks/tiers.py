"""What each tier costs and takes: recall@10, cosine, bytes and seconds of a query, on the vectors of a lake.

    python -m benchmarks.tiers --lake lake [--words] [--choices]

Vectors are those of the lake's default encoding, which has them in float16. They are written into a lake of every tier,
and read through its view by plain SQL; the truth is the exact cosine of the float16 vectors. With `--choices`, the ways
that were tried and not taken: finer scales, a scale for each dimension, and other centres.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.parts import fetched_parts, write_part
from polyseme.storage.records import Counts, EncodingSpec, Outputs, Part, Shard, ShardResult
from polyseme.storage.schemas import embedding_type, table_schema
from polyseme.storage.sql.connection import connect
from polyseme.storage.tiers import STORES, Centre, Layout
from polyseme.tasks.arrays import unit
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.evaluation.centres import centres
from polyseme.tasks.inference.lake_model import config_like, place_of
from polyseme.tasks.shards.store_loss import recall, stored_bytes

Halves = npt.NDArray[np.float16]
QUERIES = 500


def main() -> None:
    """Print a line for each tier, and for each choice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--words", action="store_true", help="vectors of words, not of sentences")
    parser.add_argument("--most", type=int, default=20_000, help="the most vectors, drawn by chance")
    parser.add_argument("--choices", action="store_true")
    options = parser.parse_args()
    table = "words" if options.words else "sentences"
    vectors, spec = read(options.lake, table, options.most)
    print(f"{len(vectors):,} vectors of {table}, {vectors.shape[1]} numbers each, {QUERIES} questions")
    model = config_like(spec, model=place_of(spec), device="cpu", precision=spec.precision)
    centre = centres(shared_engine(replace(model, store="binary")))[table]
    print(f"{'tier':24} {'recall@10':>9} {'cosine':>8} {'least':>7} {'bytes':>7} {'share':>6} {'CPU s/M':>8}")
    with tempfile.TemporaryDirectory() as folder:
        base = 0.0
        for tier in STORES:
            layout = Layout(tier, vectors.shape[1], centre if tier == "binary" else None)
            size, seconds = measured(Path(folder) / tier, spec, table, vectors, layout)
            base = base or size
            show(tier, vectors, layout.rounded(vectors), f"{size:7.1f} {size / base:6.3f} {seconds:8.2f}")
    if options.choices:
        for label, read_as in choices(vectors):
            show(label, vectors, read_as)


def show(label: str, vectors: Halves, read_as: npt.NDArray[Any], more: str = "") -> None:
    """Print recall and cosines of vectors that read as `read_as`."""
    exact, stored = unit(vectors.astype(np.float32)), unit(read_as.astype(np.float32))
    queries = np.linspace(0, len(exact) - 1, QUERIES).astype(int)
    cosines = np.einsum("ij,ij->i", exact, stored)
    found = recall(exact, stored, queries)
    print(f"{label:24} {found:9.4f} {cosines.mean():8.6f} {cosines.min():7.4f} {more}", flush=True)


def read(lake: Path, table: str, most: int) -> tuple[Halves, EncodingSpec]:
    """Return up to `most` vectors of a lake, in the order of its documents, and their encoding."""
    with connect(lake) as con:
        sample = f"USING SAMPLE reservoir({most} ROWS) REPEATABLE (1)"
        rows = con.sql(f"FROM (SELECT doc_id, sentence_index, embedding FROM {table} {sample}) ORDER BY ALL")
        column = rows.to_arrow_table()["embedding"].combine_chunks()
    with Catalog.open(Lake(lake)) as catalog:
        spec = next(e.spec for e in catalog.encodings() if e.encoding_id == catalog.default_encoding())
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, spec.width).astype(np.float16), spec


def measured(root: Path, spec: EncodingSpec, table: str, vectors: Halves, layout: Layout) -> tuple[float, float]:
    """Return the bytes a vector takes in a lake of that tier, and the CPU seconds of one question to a million."""
    spec = replace(spec, store=layout.tier)
    lake = Lake(root)
    with Catalog.create_or_open(lake) as catalog:
        around = {} if layout.centre is None else dict.fromkeys(("sentences", "words"), layout.centre)
        catalog.register_encoding(spec, centres=around)
        version = catalog.begin_run("tiers", spec.encoding_id, [])
        rows = _rows("sentences", vectors, version)
        part = write_part(lake, rows, table="sentences", encoding_id=spec.encoding_id, width=spec.width, layout=layout)
        catalog.commit_shard(_result(spec, part, version))
        with fetched_parts(lake, [part]) as files, pa.parquet.ParquetFile(files[part.path]) as file:
            size = stored_bytes(file) / part.rows
    with connect(lake.root) as con:
        return size, _seconds(con, vectors[len(vectors) // 2]) / len(vectors) * 1e6


def _seconds(con: duckdb.DuckDBPyConnection, question: Halves) -> float:
    con.execute("SET threads = 1")
    sql = f"SELECT doc_id, array_cosine_similarity(embedding, $1::FLOAT[{len(question)}]) AS s FROM sentences "
    best = np.inf
    for _ in range(3):
        began = time.process_time()
        con.execute(f"{sql} ORDER BY s DESC LIMIT 10", [question.astype(float).tolist()]).fetchall()
        best = min(best, time.process_time() - began)
    return float(best)


def _rows(table: str, vectors: Halves, version: int) -> pa.Table:
    n = len(vectors)
    given = {
        "doc_id": [f"d{i:08}" for i in range(n)], "version": np.full(n, version), "sentence_index": np.zeros(n),
        "char_start": np.zeros(n), "char_end": np.ones(n), "text": ["x"] * n, "n_tokens": np.ones(n),
        "pll": pa.nulls(n), "pll_variant": pa.nulls(n),
        "embedding": pa.FixedSizeListArray.from_arrays(
            pa.array(vectors.reshape(-1)), type=embedding_type(vectors.shape[1])
        ),
    }  # fmt: skip
    return pa.table(given).cast(table_schema(table, vectors.shape[1]))


def _result(spec: EncodingSpec, part: Part, version: int) -> ShardResult:
    shard = Shard(
        run_id="tiers", ordinal=0, version=version, encoding_id=spec.encoding_id, outputs=Outputs("sentences"), path="",
        n_documents=0, n_chars=0, shard_key="0" * 64,
    )  # fmt: skip
    return ShardResult(shard=shard, parts=(part,), documents=(), rejects=(), counts=Counts())


def choices(vectors: Halves) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield a label and what the vectors would read as."""
    numbers = vectors.astype(np.float32)
    scales = np.abs(numbers).max(1, keepdims=True) / 127
    yield "int8, any scale", np.rint(numbers / scales) * scales
    scales = np.abs(numbers).max(0, keepdims=True) / 127
    yield "int8, by dimension", np.rint(numbers / scales) * scales
    yield "int8, one scale", np.rint(numbers / scales.max()) * scales.max()
    width = vectors.shape[1]
    random = np.random.default_rng(0).choice(len(vectors), min(512, len(vectors)), replace=False)
    some = {"around zero": None, "lake": vectors, "first 512": vectors[:512], "any 512": vectors[random]}
    for label, of in some.items():
        centre = Centre.of(vectors if of is None else of)
        centre = Centre(np.zeros(width, np.float16), centre.spread) if of is None else centre
        yield f"binary, {label}", Layout("binary", width, centre).rounded(vectors)


if __name__ == "__main__":
    main()
