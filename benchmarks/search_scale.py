"""Search among millions of sentence vectors: time, memory and recall of the index, against exact search.

    python -m benchmarks.search_scale --lake big-lake --from lake --sentences 10000000

Makes a lake of jittered copies of the real vectors in another lake (kept for the next run), and asks for the ten
nearest to 200 real ones that have no copies in it. What is true is found by comparing all vectors. `--from random` are
random vectors, which are all about equally far from each other: the hardest there are.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.vector_lake import make, real_vectors
from polyseme.storage.catalog import Catalog
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.search.unit_vectors import Floats, unit_rows
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.nearest import SentenceVectors
from polyseme.storage.sql.sentence_search import SentenceSearch
from polyseme.tasks.sql.functions import ModelFunctions

_K = 10
_OTHERS = 50
_OF_COPIES = 20
"""One real vector in so many is kept for questions."""


def main() -> None:
    """Make the lake and the truth if there are none, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--from", dest="source", default="random")
    parser.add_argument("--sentences", type=int, default=1_000_000)
    parser.add_argument("--questions", type=int, default=200)
    options = parser.parse_args()
    lake = Lake(options.lake)
    truth = options.lake.with_name(f"{options.lake.name}-truth.npz")
    if not truth.is_file():
        _prepare(lake, truth, options)
    known = np.load(truth)
    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    assert snapshot.default is not None
    print(f"{options.sentences:,} sentences, {known['questions'].shape[1]} dimensions")
    _measure_index(snapshot, lake, snapshot.default, known)
    _measure_others(snapshot, lake, snapshot.default, known["questions"])
    _measure_sql(lake, known)
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB, mapped files included")


def _prepare(lake: Lake, truth: Path, options: argparse.Namespace) -> None:
    random = np.random.default_rng(7)
    if options.source == "random":
        width, real = 384, None
        questions = random.standard_normal((options.questions, width), np.float32)
    else:
        every = real_vectors(Lake(options.source))
        width, held = every.shape[1], random.permutation(len(every))
        questions = every[held[: min(options.questions, len(every) // _OF_COPIES)]]
        real = every[held[len(every) // _OF_COPIES :]]
    if not Path(str(lake.catalog_path)).is_file():
        began = time.perf_counter()
        make(lake, options.sentences, width, real)
        print(f"made in {time.perf_counter() - began:.0f} s")
    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    assert snapshot.default is not None
    np.savez(truth, questions=questions, scores=_true(snapshot, lake, snapshot.default, unit_rows(questions)))


def _true(snapshot: Snapshot, lake: Lake, encoding: Encoding, questions: Floats) -> Floats:
    """Return the cosines `(questions, 10)` of the nearest, the least first: what is found is right if it has them."""
    best = np.full((len(questions), _K), -np.inf, np.float32)
    for _, _, unit in SentenceVectors(snapshot, lake, encoding, cache_bytes=0).blocks():
        found = np.concatenate([best, questions @ unit.T], axis=1)
        best = np.partition(found, found.shape[1] - _K, axis=1)[:, -_K:]
    return np.sort(best, axis=1)


def _measure_index(snapshot: Snapshot, lake: Lake, encoding: Encoding, known: np.lib.npyio.NpzFile) -> None:
    search, questions = SentenceSearch(snapshot, lake, encoding), known["questions"]
    _timed("first question, index made if there is none", lambda: search.nearest(questions[:1], _K))
    took: list[float] = []
    used = time.process_time()
    right: list[npt.NDArray[np.bool_]] = []
    for question, scores in zip(questions, known["scores"], strict=True):
        began = time.perf_counter()
        (found,) = search.nearest(question[None], _K)
        took.append(time.perf_counter() - began)
        right.append(np.array([n.similarity for n in found]) >= scores[0] - 1e-6)
    used = (time.process_time() - used) / len(questions)
    print(f"index, one question: {_shown(took)}, {1e3 * used:.0f} ms of CPU, recall@{_K} {np.mean(right):.4f}")
    used = time.process_time()
    search.nearest(questions, _K)
    used = (time.process_time() - used) / len(questions)
    print(f"index, {len(questions)} questions at once: {1e3 * used:.0f} ms of CPU each")
    names = [f"document-{n:07d}" for n in range(sum(map(len, snapshot.parts.values())) * 1000)]
    for share in (10, 1000):
        docs = pa.array(names[::share])
        took = []
        for question in questions[:20]:
            began = time.perf_counter()
            search.nearest(question[None], _K, docs=docs)
            took.append(time.perf_counter() - began)
        print(f"index, one document in {share}: {_shown(took)}")


def _measure_others(snapshot: Snapshot, lake: Lake, encoding: Encoding, questions: Floats) -> None:
    """Print the recall of vectors that are no sentence's: the codes say less about their neighbours."""
    random = np.random.default_rng(3)
    search = SentenceSearch(snapshot, lake, encoding)
    for label, asked in (
        ("the mean of 30 sentences", [random.choice(questions, 30).mean(0) for _ in range(_OTHERS)]),
        ("the opposite of a sentence", [-question for question in questions[:_OTHERS]]),
    ):
        vectors = unit_rows(np.stack(asked))
        exact = search.exact.nearest(vectors, _K)
        found = [search.nearest(vector[None], _K)[0] for vector in vectors]
        right = [
            [n.similarity >= true[-1].similarity - 1e-6 for n in mine] for mine, true in zip(found, exact, strict=True)
        ]
        print(f"index, {label}: recall@{_K} {np.mean(right):.3f}")


def _measure_sql(lake: Lake, known: np.lib.npyio.NpzFile) -> None:
    with connect(lake, functions=ModelFunctions()) as con:
        for label, sql in (
            ("SQL, FROM nearest_to(…)", "FROM nearest_to($1)"),
            ("SQL, one document in 10", "FROM nearest_to($1, docs := (SELECT list(doc_id) FROM documents "
             "WHERE title LIKE '%7'))"),
            ("SQL, exact := true", "FROM nearest_to($1, exact := true)"),
        ):  # fmt: skip
            took: list[float] = []
            for question in known["questions"][: 1 if "exact" in sql else 20]:
                began = time.perf_counter()
                con.execute(sql, [question.tolist()]).fetchall()
                took.append(time.perf_counter() - began)
            print(f"{label}: {_shown(took)}")


def _timed(label: str, call: Callable[[], object]) -> None:
    began, used = time.perf_counter(), time.process_time()
    call()
    print(f"{label}: {time.perf_counter() - began:.1f} s, {time.process_time() - used:.1f} s of CPU")


def _shown(took: list[float]) -> str:
    middle, worst = np.percentile(took, [50, 95])
    return f"{1e3 * middle:.0f} ms (median; 95 %: {1e3 * worst:.0f} ms)"


if __name__ == "__main__":
    main()
