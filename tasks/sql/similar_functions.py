"""SQL for similar sentences: a function that finds pairs of them in a lake, and the table macro above it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from polyseme.storage.sql.literals import escaped
from polyseme.tasks.inference.cache import AnswerCache
from polyseme.tasks.sql.aggregates import Function, sql_type
from polyseme.tasks.sql.duplicate_functions import chosen_docs
from polyseme.tasks.sql.similar_sentences import Likeness, SimilarPairs

_QUESTIONS = 4
_PAIR: dict[str, pa.DataType] = {
    "similarity": pa.float64(), "doc_id": pa.string(), "sentence_index": pa.int64(), "other_doc_id": pa.string(),
    "other_sentence_index": pa.int64(),
}  # fmt: skip


def similar_sentence_function(find: Callable[[Likeness], SimilarPairs]) -> Function:
    """Return the function. `find` answers about the sentences of the encoding."""
    cache: AnswerCache[Likeness, pa.StructArray] = AnswerCache(_QUESTIONS)

    def body(docs: pa.ChunkedArray, least: pa.ChunkedArray) -> pa.Array:
        rows = zip(docs.to_pylist(), least.to_pylist(), strict=True)
        questions = [None if None in row else Likeness(row[1], chosen_docs(row[0])) for row in rows]
        found = cache.ask(questions, lambda new: [_rows(find(one)) for one in new])
        ends = np.cumsum([0, *(0 if one is None else len(one) for one in found)])
        values = pa.concat_arrays([_rows(None), *(one for one in found if one is not None)])
        nulls = pa.array([one is None for one in found])
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values, mask=nulls)

    return "similar_sentence_rows", body, ["VARCHAR[]", "DOUBLE"], sql_type(_PAIR)


def similar_sentences_macro(suffix: str) -> str:
    """Pairs of sentences whose vectors have at least a cosine, each pair once, without those of the same text."""
    suffix = escaped(suffix)
    # Of a column: a constant call DuckDB makes while it plans, twice, and keeps 700 bytes of each pair from it.
    rows = f'unnest("similar_sentence_rows{suffix}"(docs::VARCHAR[], at_least::DOUBLE + 0 * range), recursive := true)'
    return f"""
CREATE MACRO "similar_sentences{suffix}"(at_least := 0.95, docs := ['*']) AS TABLE
SELECT hit.similarity, hit.doc_id, hit.sentence_index, one.text, hit.other_doc_id, hit.other_sentence_index,
       other.text AS other_text
FROM (SELECT {rows} FROM range(1)) AS hit
JOIN "sentences{suffix}" AS one ON one.doc_id = hit.doc_id AND one.sentence_index = hit.sentence_index
JOIN "sentences{suffix}" AS other
    ON other.doc_id = hit.other_doc_id AND other.sentence_index = hit.other_sentence_index
ORDER BY hit.similarity DESC, hit.doc_id, hit.sentence_index, hit.other_doc_id, hit.other_sentence_index"""


def _rows(found: SimilarPairs | None) -> pa.StructArray:
    if found is None:
        return pa.StructArray.from_arrays([pa.array([], kind) for kind in _PAIR.values()], list(_PAIR))
    columns: list[pa.Array] = [pa.array(found.cosine.astype(np.float64))]
    for rows in (found.one, found.other):
        columns += [found.doc_id.take(pa.array(rows)), pa.array(found.sentence_index[rows].astype(np.int64))]
    return pa.StructArray.from_arrays(columns, list(_PAIR))
