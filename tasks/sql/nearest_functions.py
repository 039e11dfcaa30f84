"""SQL functions that search: the sentences and the words nearest to vectors, as Arrow functions over columns."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa

from polyseme.storage.sql.centroids import NearWord, WordCentroids
from polyseme.storage.sql.nearest import Neighbour
from polyseme.storage.sql.word_search import Occurrence
from polyseme.tasks.arrays import Floats
from polyseme.tasks.inference.cache import AnswerCache
from polyseme.tasks.inference.cached import at_least_one
from polyseme.tasks.sql.aggregates import Function, sql_type
from polyseme.tasks.sql.columns import Column, rows_of, structs

_QUESTIONS = 256
_AT_ONCE = 64
"""Questions that are asked together: some thousand rows are listed for each."""
_NEIGHBOURS = {"doc_id": pa.string(), "sentence_index": pa.int32(), "similarity": pa.float64(), "text": pa.string()}
_NEAR_WORDS = {"word": pa.string(), "occurrences": pa.int64(), "similarity": pa.float64()}

_OCCURRENCES = {"doc_id": pa.string(), "sentence_index": pa.int32(), "word_index": pa.int32(), "word": pa.string(),
                "char_start": pa.int64(), "char_end": pa.int64(), "similarity": pa.float64()}  # fmt: skip

T = TypeVar("T")
Nearest: TypeAlias = Callable[[Floats, int, pa.Array | None, bool], list[list[T]]]
"""What finds the `k` rows nearest to each of some vectors, among `docs` or all, exactly or by an index."""
Centroids = Callable[[int, bool], WordCentroids | None]


@dataclass(frozen=True, slots=True)
class _Question:
    """A vector as bytes, how many neighbours, and which documents: a hash of their ids, None for all."""

    vector: bytes
    k: int
    docs: bytes | None
    exact: bool


def search_functions(
    sentences: Nearest[Neighbour], words: Nearest[Occurrence], centroids: Centroids, width: int
) -> Iterator[Function]:
    """Yield the functions for vectors of `width` dimensions."""
    yield _nearest_rows("nearest_rows", sentences, width, _NEIGHBOURS)
    yield _nearest_rows("nearest_word_rows", words, width, _OCCURRENCES)
    yield _nearest_words(centroids, width)


def _nearest_rows(name: str, nearest: Nearest[T], width: int, fields: dict[str, pa.DataType]) -> Function:
    # DuckDB folds a constant call several times while planning.
    cache: AnswerCache[_Question, list[T]] = AnswerCache(_QUESTIONS)

    def body(wanted: Column, counts: Column, docs: Column, exact: Column) -> pa.Array:
        known: dict[bytes, pa.Array] = {}
        questions = [_question(*row, known) for row in zip(wanted, counts, docs, exact, strict=True)]
        return structs(cache.ask(questions, lambda new: _answers(new, known)), fields)

    def _answers(questions: list[_Question], known: dict[bytes, pa.Array]) -> list[list[T]]:
        together = defaultdict[tuple[int, bytes | None, bool], list[_Question]](list)
        for question in questions:
            together[question.k, question.docs, question.exact].append(question)
        found: dict[_Question, list[T]] = {}
        for (k, docs, exact), alike in together.items():
            for first in range(0, len(alike), _AT_ONCE):
                some = alike[first : first + _AT_ONCE]
                vectors = np.stack([np.frombuffer(question.vector, np.float32) for question in some])
                found |= zip(some, nearest(vectors, k, None if docs is None else known[docs], exact), strict=True)
        return [found[question] for question in questions]

    parameters = [f"FLOAT[{width}]", "BIGINT", "VARCHAR[]", "BOOLEAN"]
    return name, body, parameters, sql_type(fields)


def _question(
    vector: pa.Scalar, count: pa.Scalar, docs: pa.Scalar, exact: pa.Scalar, known: dict[bytes, pa.Array]
) -> _Question | None:
    """Return a row as a question, None for one with a NULL in it. Its documents are added to `known` by their hash."""
    if not all(value.is_valid for value in (vector, count, docs, exact)):
        return None
    numbers = vector.values.to_numpy(zero_copy_only=False).astype(np.float32)
    names: Any = docs.values
    of: bytes | None = None
    if not (len(names) == 1 and names[0].as_py() == "*"):
        # A subquery that finds no document has a list of NULL, which must not mean all documents.
        some = pa.concat_arrays([names.drop_null()]).cast(pa.string())
        of = hashlib.sha256("\0".join(some.to_pylist()).encode()).digest()
        known[of] = some
    return _Question(numbers.tobytes(), at_least_one(count.as_py()), of, exact.as_py())


def _nearest_words(centroids: Centroids, width: int) -> Function:
    def body(vectors: Column, counts: Column, least: Column, lemmas: Column, but: Column) -> pa.Array:
        rows = rows_of(vectors, counts, least, lemmas, but)
        return structs([None if row is None else words(*row) for row in rows], _NEAR_WORDS)

    def words(vector: list[float], k: int, at_least: int, by_lemma: bool, but: list[str]) -> list[NearWord]:
        found = centroids(at_least, by_lemma)
        return found.nearest(np.array(vector, np.float32), at_least_one(k), but=set(but)) if found else []

    types = [f"FLOAT[{width}]", "BIGINT", "BIGINT", "BOOLEAN", "VARCHAR[]"]
    return "nearest_words", body, types, sql_type(_NEAR_WORDS)
