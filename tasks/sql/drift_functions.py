"""SQL functions for change of meaning: a word in slices of a corpus, and all words between two. They need no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields

import numpy as np
import pyarrow as pa

from polyseme.storage.errors import UsageError
from polyseme.tasks.analysis.change import Change, Slice, slices_of_word
from polyseme.tasks.analysis.senses import load_clustering
from polyseme.tasks.analysis.slices import cut
from polyseme.tasks.arrays import Floats
from polyseme.tasks.inference.cache import AnswerCache
from polyseme.tasks.sql.aggregates import Function, matrices, sql_type
from polyseme.tasks.sql.vocabulary_drift import Question, WordDrift

_QUESTIONS = 8
_CHANGE = {field.name: pa.string() if field.name == "exchanged" else pa.float64() for field in fields(Change)}
SLICE: dict[str, pa.DataType] = {
    "slice_index": pa.int32(), "slice": pa.string(), "occurrences": pa.int64(), "documents": pa.int64(),
    "spread": pa.float64(), **_CHANGE, **{f"first_{name}": kind for name, kind in _CHANGE.items()},
    "shares": pa.list_(pa.float64()),
}  # fmt: skip
_COUNTS = ("occurrences", "other_occurrences", "documents", "other_documents")
WORD: dict[str, pa.DataType] = {
    field.name: pa.string() if field.name == "word" else pa.int64() if field.name in _COUNTS else pa.float64()
    for field in fields(WordDrift)
}

Drift = Callable[[Question], list[WordDrift]]


def drift_functions(
    width: int, vocabulary: Drift, unconfined: Callable[[Callable[[], None]], None]
) -> Iterator[Function]:
    """Yield the functions. `vocabulary` answers about all words of the encoding.

    `unconfined` makes a call in a thread that may write files: scikit-learn's import makes a semaphore.
    """

    def body(
        vectors: pa.ChunkedArray, values: pa.ChunkedArray, docs: pa.ChunkedArray, bins: pa.ChunkedArray,
        permutations: pa.ChunkedArray,
    ) -> pa.Array:  # fmt: skip
        unconfined(load_clustering)
        others = zip(*(column.to_pylist() for column in (values, docs, bins, permutations)), strict=True)
        rows = zip(matrices(vectors), others, strict=True)
        found = [None if matrix is None else _slices(matrix, *row) for matrix, row in rows]
        return pa.array(found, pa.list_(pa.struct(list(SLICE.items()))))

    parameters = [f"FLOAT[{width}][]", "VARCHAR[]", "VARCHAR[]", "VARCHAR", "BIGINT"]
    yield "drift_of_slices", body, parameters, sql_type(SLICE)
    yield _of_words(vocabulary)


def _of_words(vocabulary: Drift) -> Function:
    # DuckDB folds a constant call several times while planning.
    cache: AnswerCache[Question, list[WordDrift]] = AnswerCache(_QUESTIONS)

    def body(
        docs: pa.ChunkedArray,
        other: pa.ChunkedArray,
        least: pa.ChunkedArray,
        lemma: pa.ChunkedArray,
        p: pa.ChunkedArray,
    ) -> pa.Array:
        rows = zip(*(column.to_pylist() for column in (docs, other, least, lemma, p)), strict=True)
        questions = [None if None in row else _question(*row) for row in rows]
        found = cache.ask(questions, lambda new: [vocabulary(one) for one in new])
        plain = [None if words is None else [asdict(word) for word in words] for words in found]
        return pa.array(plain, pa.list_(pa.struct(list(WORD.items()))))

    parameters = ["VARCHAR[]", "VARCHAR[]", "BIGINT", "BOOLEAN", "BIGINT"]
    return "drift_of_words", body, parameters, sql_type(WORD)


def _question(docs: list[str | None], other: list[str | None], at_least: int, by_lemma: bool, p: int) -> Question:
    # A subquery that finds no document has a list of NULL.
    first, second = (tuple(doc for doc in found if doc is not None) for found in (docs, other))
    return Question(first, second, at_least, by_lemma, p)


def _slices(
    vectors: Floats, values: Sequence[str | None], docs: Sequence[str], bins: str | None, permutations: int | None
) -> list[dict[str, object]]:
    """Return the rows of a word. Occurrences without a value are left out. Raises UsageError as `cut` does."""
    if bins is None or permutations is None or permutations < 0:
        raise UsageError(f"bins must not be NULL, and permutations 0 or more; got {bins} and {permutations}.")
    cuts = cut(values, bins)
    known = np.flatnonzero(cuts.of >= 0)
    _, document = np.unique(np.array(docs, object).astype(str), return_inverse=True)
    found = slices_of_word(vectors[known], cuts.of[known], document[known], permutations=permutations)
    return [_row(row, cuts.names[row.number]) for row in found]


def _row(row: Slice, name: str) -> dict[str, object]:
    previous, first = (
        dict.fromkeys(_CHANGE) if change is None else {n: _known(v) for n, v in asdict(change).items()}
        for change in (row.to_previous, row.to_first)
    )
    return {
        "slice_index": row.number, "slice": name, "occurrences": row.occurrences, "documents": row.documents,
        "spread": _known(row.spread), **previous, **{f"first_{n}": v for n, v in first.items()},
        "shares": list(row.shares),
    }  # fmt: skip


def _known(value: object) -> object:
    return None if isinstance(value, float) and np.isnan(value) else value
