"""Search beside its peers: the ten nearest of one lake's sentences, by each engine that is installed, in turns.

    python -m benchmarks.search_scale --lake big-lake --from lake --sentences 1000000    # makes the lake and the truth
    pip install faiss-cpu usearch pylance
    python -m benchmarks.search_peers --lake big-lake

Each engine has the same vectors, as float32 of length 1, and two threads. Those with a setting that trades time for
recall get the fastest one that finds 99 % of the true neighbours of 50 questions; the others of the 200 are asked in
turns, so that whatever else the machine does slows all alike. CPU seconds are of the whole process.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.search.unit_vectors import Floats, unit_rows
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.nearest import SentenceVectors
from polyseme.storage.sql.sentence_search import SentenceSearch
from polyseme.tasks.sql.functions import ModelFunctions

_K, _TUNED, _ENOUGH, _THREADS = 10, 50, 0.99, 2
_CELLS = 1024
Ask = Callable[[Floats], Floats]
"""Returns the cosines of the ten nearest to a question `(width,)`."""


@dataclass(slots=True)
class Engine:
    """One way to search: what it was set to, what making it took, and what asking takes."""

    name: str
    ask: Ask
    made_cpu_s: float = 0.0
    bytes: int = 0
    few: bool = False
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    hits: list[float] = field(default_factory=list)


def main() -> None:
    """Make every engine's index, ask all, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--leave-out", nargs="*", default=[], choices=["faiss", "usearch", "lance"])
    options = parser.parse_args()
    known = np.load(options.lake.with_name(f"{options.lake.name}-truth.npz"))
    questions, truth = unit_rows(known["questions"]), known["scores"]
    with tempfile.TemporaryDirectory() as folder:
        engines = list[Engine]()
        for engine in _engines(Lake(options.lake), questions[:_TUNED], truth[:_TUNED], Path(folder), options.leave_out):
            print(f"made: {engine.name}, {engine.made_cpu_s:.0f} s of CPU", file=sys.stderr, flush=True)
            engines.append(engine)
        for number, (question, scores) in enumerate(zip(questions[_TUNED:], truth[_TUNED:], strict=True)):
            for engine in engines:
                if not engine.few or number < 3:
                    _ask(engine, question, scores)
    print(
        "| engine | ms | ms of CPU | recall@10 | making it, s of CPU | bytes a vector |\n|---|---:|---:|---:|---:|---:|"
    )
    for engine in engines:
        print(
            f"| {engine.name} | {1e3 * np.median(engine.wall):.1f} | {1e3 * np.median(engine.cpu):.1f} "
            f"| {np.mean(engine.hits):.3f} | {engine.made_cpu_s:.0f} | {engine.bytes / _rows(Lake(options.lake)):.0f} |"
        )


def _ask(engine: Engine, question: Floats, scores: Floats) -> None:
    began, used = time.perf_counter(), time.process_time()
    found = engine.ask(question)
    engine.wall.append(time.perf_counter() - began)
    engine.cpu.append(time.process_time() - used)
    engine.hits.append(float(np.mean(found >= scores[0] - 1e-4)))


def _rows(lake: Lake) -> int:
    with connect(lake) as con:
        return int(con.execute("SELECT count(*) FROM sentences").fetchall()[0][0])


def _engines(lake: Lake, questions: Floats, truth: Floats, folder: Path, without: Sequence[str]) -> Iterator[Engine]:
    yield from _polyseme(lake)
    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    assert snapshot.default is not None
    stored = SentenceVectors(snapshot, lake, snapshot.default, cache_bytes=64 << 30)
    vectors = np.concatenate([unit for _, _, unit in stored.blocks()])
    del stored
    tune = _Tuning(questions, truth)
    for name, make in {"faiss": _faiss, "usearch": _usearch, "lance": _lance}.items():
        try:
            yield from () if name in without else make(vectors, tune, folder)
        except ImportError as error:
            print(f"left out: {error}")


def _polyseme(lake: Lake) -> Iterator[Engine]:
    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    assert snapshot.default is not None
    search = SentenceSearch(snapshot, lake, snapshot.default)
    cache = Path(tempfile.mkdtemp())
    os.environ["XDG_CACHE_HOME"] = str(cache)
    used = time.process_time()
    search.nearest(np.ones((1, snapshot.default.spec.width), np.float32), 1)
    used = time.process_time() - used
    size = sum(path.stat().st_size for path in cache.rglob("*.codes"))

    def by_index(question: Floats) -> Floats:
        return np.array([n.similarity for n in search.nearest(question[None], _K)[0]])

    yield Engine("Polyseme, `SentenceSearch`", by_index, used, size)
    con = connect(lake, functions=ModelFunctions())
    cosine = f"array_cosine_similarity(embedding, $1::FLOAT[{snapshot.default.spec.width}])"
    for name, sql, few in (
        ("Polyseme, `FROM nearest_to(…)` with titles and texts", "FROM nearest_to($1)", False),
        ("DuckDB, `ORDER BY array_cosine_similarity(…)`",
         f"SELECT {cosine} AS similarity FROM sentences ORDER BY similarity DESC LIMIT 10", True),
    ):  # fmt: skip

        def by_sql(question: Floats, sql: str = sql) -> Floats:
            return np.array([row[0] for row in con.execute(sql, [question.tolist()]).fetchall()])

        yield Engine(name, by_sql, few=few)


@dataclass(frozen=True, slots=True)
class _Tuning:
    questions: Floats
    truth: Floats

    def fastest(self, settings: Sequence[int], ask: Callable[[Floats, int], Floats]) -> tuple[int, Ask]:
        """Return the first of the settings, the fastest first, that finds enough, and how to ask with it."""
        for setting in settings:
            hits = [
                np.mean(ask(question, setting) >= scores[0] - 1e-4)
                for question, scores in zip(self.questions, self.truth, strict=True)
            ]
            if np.mean(hits) >= _ENOUGH:
                break
        return setting, lambda question: ask(question, setting)


def _faiss(vectors: Floats, tune: _Tuning, folder: Path) -> Iterator[Engine]:
    import faiss

    faiss.omp_set_num_threads(_THREADS)
    kinds = (
        ("Flat", [1]),
        (f"IVF{_CELLS},Flat", [2, 4, 8, 16, 32, 64, 128, 256, 512]),
        (f"IVF{_CELLS},RaBitQfs", [8, 16, 32, 64, 128, 256, 512]),
    )
    for kind, probes in kinds:
        used = time.process_time()
        index: Any = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors[:: max(len(vectors) // (64 * _CELLS), 1)])
        index.add(vectors)
        used = time.process_time() - used

        def ask(question: Floats, probe: int, index: Any = index, kind: str = kind) -> Floats:
            if "IVF" in kind:
                index.nprobe = probe
            if "RaBitQ" not in kind:
                return np.asarray(index.search(question[None], _K)[0][0])
            rows = index.search(question[None], 400)[1][0]
            return np.sort(vectors[rows[rows >= 0]] @ question)[-_K:]

        size = len(faiss.serialize_index(index))
        probe, asked = tune.fastest(probes, ask)
        name = f"FAISS, `{kind}`" + (f", {probe} cells" if "IVF" in kind else "")
        yield Engine(name + (", 400 compared in memory" if "RaBitQ" in kind else ""), asked, used, size)


def _usearch(vectors: Floats, tune: _Tuning, folder: Path) -> Iterator[Engine]:
    from usearch.index import Index

    used = time.process_time()
    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f16")
    index.add(np.arange(len(vectors)), vectors, threads=_THREADS)
    used = time.process_time() - used

    def ask(question: Floats, expansion: int) -> Floats:
        index.expansion_search = expansion
        return vectors[np.asarray(index.search(question, _K).keys, np.int64)] @ question

    expansion, asked = tune.fastest([16, 32, 64, 128, 256, 512, 1024], ask)
    yield Engine(f"usearch, HNSW of float16, expansion {expansion}", asked, used, index.memory_usage)


def _lance(vectors: Floats, tune: _Tuning, folder: Path) -> Iterator[Engine]:
    import lance

    place = folder / "vectors.lance"
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    used = time.process_time()
    data = lance.write_dataset(pa.table({"vector": column}), str(place))
    before = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    data = data.create_index("vector", "IVF_RQ", metric="cosine", num_partitions=_CELLS, num_bits=1)
    used = time.process_time() - used
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) - before

    def ask(question: Floats, probe: int) -> Floats:
        found = data.to_table(
            columns=["_distance"], nearest={"column": "vector", "q": question, "k": _K, "nprobes": probe,
                                            "refine_factor": 40},
        )  # fmt: skip
        return 1 - found["_distance"].to_numpy()

    probe, asked = tune.fastest([4, 8, 16, 32, 64, 128, 256, 512], ask)
    yield Engine(f"Lance, IVF_RQ, {probe} cells, 400 compared", asked, used, size)


if __name__ == "__main__":
    main()
