"""SQL for near-duplicates: a function that finds them in a lake, and the table macro above it. They need no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields

import pyarrow as pa

from polyseme.storage.sql.literals import escaped
from polyseme.tasks.inference.cache import AnswerCache
from polyseme.tasks.sql.aggregates import Function, sql_type
from polyseme.tasks.sql.near_duplicates import NearDuplicate, Question

_QUESTIONS = 8
_TYPES = {"similarity": pa.float64(), "same_text": pa.bool_(), "doc_id": pa.string()}
_ROW: dict[str, pa.DataType] = {field.name: _TYPES.get(field.name, pa.int64()) for field in fields(NearDuplicate)}


def near_duplicate_function(find: Callable[[Question], list[NearDuplicate]]) -> Function:
    """Return the function. `find` answers about the documents of the encoding."""
    # DuckDB folds a constant call several times while planning.
    cache: AnswerCache[Question, list[NearDuplicate]] = AnswerCache(_QUESTIONS)

    def body(docs: pa.ChunkedArray, least: pa.ChunkedArray) -> pa.Array:
        rows = zip(docs.to_pylist(), least.to_pylist(), strict=True)
        questions = [None if None in row else _question(*row) for row in rows]
        found = cache.ask(questions, lambda new: [find(one) for one in new])
        plain = [None if copies is None else [asdict(copy) for copy in copies] for copies in found]
        return pa.array(plain, pa.list_(pa.struct(list(_ROW.items()))))

    return "near_duplicate_rows", body, ["VARCHAR[]", "DOUBLE"], sql_type(_ROW)


def near_duplicates_macro(suffix: str) -> str:
    """Documents in groups, each as alike to the first of its group as asked for, with the place of each."""
    suffix = escaped(suffix)
    return f"""
CREATE MACRO "near_duplicates{suffix}"(at_least := 0.8, docs := ['*']) AS TABLE
SELECT hit.group_id, hit.copies, hit.place, hit.similarity, hit.same_text, d.doc_id, d.uri, d.title
FROM (SELECT unnest("near_duplicate_rows{suffix}"(docs::VARCHAR[], at_least::DOUBLE), recursive := true)) AS hit
JOIN "documents{suffix}" AS d ON d.doc_id = hit.doc_id
ORDER BY hit.group_id, hit.place"""


def _question(docs: list[str | None], at_least: float) -> Question:
    return Question(at_least, chosen_docs(docs))


def chosen_docs(docs: list[str | None]) -> tuple[str, ...] | None:
    """Return which documents are meant by the parameter `docs` of a macro, None for all."""
    # A subquery that finds no document has a list of NULL, which must not mean all documents.
    return None if docs == ["*"] else tuple(doc for doc in docs if doc is not None)
