"""One vector compared with all in SQL: what it costs, by how vectors lie in files, and in other engines.

    python -m benchmarks.search_scale --lake big-lake --from lake --sentences 1000000    # makes the lake
    pip install pylance pgvector 'psycopg[binary]'
    python -m benchmarks.sql_layout --lake big-lake

The first `--vectors` of the lake are written in several layouts of Parquet, into a table of DuckDB, into Lance and into
a table of a PostgreSQL server of its own, if pgvector is installed there. Each is asked, in turns and on one thread,
for the ten nearest to a question by comparing all, and for one vector by its key. CPU seconds are of the process that
compares, of pgvector its server's. The least of some turns is shown, for a million vectors.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.nearest import SentenceVectors
from polyseme.storage.sql.vectors import vectors
from tests import servers

Halves = npt.NDArray[np.float16]
_K = 10


@dataclass(slots=True)
class Way:
    """One way to keep vectors and to ask: `nearest` and `one` do, `used` returns the CPU seconds so far."""

    name: str
    rows: int
    bytes: int
    nearest: Callable[[list[float]], object]
    one: Callable[[int], object]
    used: Callable[[], float] = time.process_time
    cpu: list[float] = field(default_factory=list)
    one_ms: list[float] = field(default_factory=list)


def main() -> None:
    """Make all ways, ask them in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--vectors", type=int, default=200_000)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    with connect(Lake(options.lake)) as con:
        found = vectors(con.sql(f"SELECT embedding FROM sentences LIMIT {options.vectors}")).astype(np.float16)
    questions = found[:: max(len(found) // options.turns, 1)].astype(np.float32)
    with tempfile.TemporaryDirectory() as folder, servers.postgres() as url:
        ways = [*_of_lake(Lake(options.lake)), *_parquet(found, Path(folder)), _table(found, Path(folder))]
        ways += [*_lance(found, Path(folder)), *_pgvector(found, url.replace("+psycopg", ""))]
        for turn in range(options.turns):
            for way in ways:
                _ask(way, questions[turn].tolist(), turn)
    print("| way | s of CPU for a million | one vector, ms | bytes a vector |\n|---|---:|---:|---:|")
    for way in ways:
        million = 1e6 * min(way.cpu) / way.rows
        print(f"| {way.name} | {million:.2f} | {min(way.one_ms):.1f} | {way.bytes / way.rows:.0f} |")


def _ask(way: Way, question: list[float], turn: int) -> None:
    used = way.used()
    way.nearest(question)
    way.cpu.append(way.used() - used)
    began = time.perf_counter()
    way.one((turn * 7919) % way.rows)
    way.one_ms.append(1e3 * (time.perf_counter() - began))


def _of_lake(lake: Lake) -> Iterator[Way]:
    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    encoding = snapshot.default
    assert encoding is not None
    parts = snapshot.parts[(encoding.encoding_id, "sentences")]
    size = sum((lake.root / path).stat().st_size for path in parts)  # type: ignore[operator]
    con = connect(lake)
    con.execute("SET threads = 1")
    keys = con.execute("SELECT doc_id, sentence_index FROM sentences").fetchall()
    width = encoding.spec.width
    by_key = "SELECT embedding FROM sentences WHERE doc_id = ? AND sentence_index = ?"

    def one(row: int) -> object:
        return con.execute(by_key, list(keys[row])).fetchall()

    yield Way(
        "view `sentences` of a lake, plain SQL", len(keys), size,
        lambda question: con.execute(_sql("sentences", "sentence_index", width), [question]).fetchall(), one,
    )  # fmt: skip
    exact = SentenceVectors(snapshot, lake, encoding, cache_bytes=0)
    yield Way(
        "`nearest(…, exact := true)`, vectors not in memory", len(keys), size,
        lambda question: exact.nearest(np.array([question], np.float32), _K), one,
    )  # fmt: skip


def _sql(source: str, key: str, width: int) -> str:
    cosine = f"array_cosine_similarity(embedding::FLOAT[{width}], $1::FLOAT[{width}])"
    return f"SELECT {key}, {cosine} AS similarity FROM {source} ORDER BY similarity DESC LIMIT {_K}"


def _parquet(found: Halves, folder: Path) -> Iterator[Way]:
    wide = found.astype(np.float32)
    leaf = "embedding.list.element"
    for name, values, nullable, options in (
        ("float16, as in a part", found, True, {"row_group_size": 8192}),
        ("float16, nothing may be null", found, False, {"row_group_size": 8192}),
        ("float16, row groups of 122,880", found, True, {"row_group_size": 122_880}),
        ("float32", wide, True, {"row_group_size": 8192}),
        ("float32, BYTE_STREAM_SPLIT, zstd", wide, True,
         {"row_group_size": 8192, "column_encoding": {leaf: "BYTE_STREAM_SPLIT"}, "compression": "zstd"}),
    ):  # fmt: skip
        file = folder / f"{len(list(folder.iterdir()))}.parquet"
        kind = pa.list_(pa.field("element", pa.from_numpy_dtype(values.dtype), nullable=nullable), found.shape[1])
        column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), type=kind)
        fields = [pa.field("id", pa.int64()), pa.field("embedding", kind, nullable=nullable)]
        table = pa.table([pa.array(range(len(found))), column], schema=pa.schema(fields))
        pq.write_table(table, file, **({"compression": "none", "use_dictionary": False} | options))
        yield _by_duckdb(f"Parquet, list of {name}", f"read_parquet('{file}')", duckdb.connect(), found, file)


def _table(found: Halves, folder: Path) -> Way:
    file = folder / "vectors.duckdb"
    con = duckdb.connect(str(file))
    column = pa.FixedSizeListArray.from_arrays(pa.array(found.astype(np.float32).reshape(-1)), found.shape[1])
    con.register("given", pa.table({"id": range(len(found)), "embedding": column}))
    con.execute("CREATE TABLE kept AS FROM given")
    con.unregister("given")
    con.execute("CHECKPOINT")
    return _by_duckdb("table of DuckDB, `FLOAT[d]`", "kept", con, found, file)


def _by_duckdb(name: str, source: str, con: duckdb.DuckDBPyConnection, found: Halves, file: Path) -> Way:
    con.execute("SET threads = 1")
    sql = _sql(source, "id", found.shape[1])
    return Way(
        name, len(found), file.stat().st_size, lambda question: con.execute(sql, [question]).fetchall(),
        lambda row: con.execute(f"SELECT embedding FROM {source} WHERE id = ?", [row]).fetchall(),
    )  # fmt: skip


def _lance(found: Halves, folder: Path) -> Iterator[Way]:
    os.environ["LANCE_CPU_THREADS"] = "1"
    try:
        import lance
    except ImportError as error:
        print(f"left out: {error}")
        return
    place = folder / "vectors.lance"
    column = pa.FixedSizeListArray.from_arrays(pa.array(found.reshape(-1)), found.shape[1])
    kept = lance.write_dataset(pa.table({"id": range(len(found)), "embedding": column}), str(place))
    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())

    def nearest(question: list[float]) -> object:
        asked = {"column": "embedding", "q": np.array(question, np.float16), "k": _K, "metric": "cosine"}
        return kept.to_table(columns=["id"], nearest=asked | {"use_index": False})

    yield Way("Lance, float16, all compared", len(found), size, nearest, lambda row: kept.take([row]))


def _pgvector(found: Halves, url: str) -> Iterator[Way]:
    try:
        import psycopg
        from pgvector import HalfVector
        from pgvector.psycopg import register_vector
    except ImportError as error:
        print(f"left out: {error}")
        return
    con = psycopg.connect(url, autocommit=True)
    con.execute("CREATE EXTENSION vector")
    register_vector(con)
    con.execute(f"CREATE TABLE kept (id bigint PRIMARY KEY, embedding halfvec({found.shape[1]}))")
    con.execute("SET max_parallel_workers_per_gather = 0")
    with con.cursor().copy("COPY kept FROM STDIN WITH (FORMAT BINARY)") as copy:
        copy.set_types(["int8", "halfvec"])
        for row, vector in enumerate(found):
            copy.write_row([row, HalfVector(vector)])
    con.execute("VACUUM ANALYZE kept")
    size: Any = con.execute("SELECT pg_total_relation_size('kept')").fetchone()
    server: Any = con.execute("SELECT pg_backend_pid()").fetchone()
    sql = f"SELECT id FROM kept ORDER BY embedding <=> %s LIMIT {_K}"
    yield Way(
        "pgvector, `halfvec`, all compared", len(found), size[0],
        lambda question: con.execute(sql, [HalfVector(question)]).fetchall(),
        lambda row: con.execute("SELECT embedding FROM kept WHERE id = %s", [row]).fetchall(),
        lambda: _cpu_of(server[0]),
    )  # fmt: skip


def _cpu_of(process: int) -> float:
    taken = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return sum(map(int, taken)) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
