"""One document: its text sentence by sentence with the coherence of each step and its breaks, and what is like it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from polyseme.flows.explorer.page import AbsentError, Asked, Content, Page, Parameters
from polyseme.tasks.arrays import unit

A_PAGE = 400
"""Sentences that are shown at once; the curve is of the whole document."""
_DOCUMENT = """
SELECT d.* EXCLUDE (text), d.text, p.perplexity FROM documents AS d LEFT JOIN perplexity AS p ON p.doc_id = d.doc_id
WHERE d.doc_id = $id"""
_STEPS = """
SELECT b.sentence_index, b.margin, c.percentile, c.cosine, b.is_break, b.depth, b.gain, b.text
FROM breaks($id) AS b LEFT JOIN coherence AS c ON c.doc_id = b.doc_id AND c.sentence_index = b.sentence_index
ORDER BY b.sentence_index"""
_SENTENCES = """
SELECT sentence_index, char_start, char_end, text, n_tokens, -pll / nullif(n_tokens, 0) AS surprisal FROM sentences
WHERE doc_id = $id ORDER BY sentence_index"""
_ALIKE = """
SELECT n.doc_id, any_value(n.title) AS title, count(*) AS sentences, max(n.similarity) AS best,
       arg_max(n.sentence_index, n.similarity) AS sentence_index, arg_max(n.text, n.similarity) AS text
FROM nearest_to($middle, k := 300) AS n WHERE n.doc_id <> $id
GROUP BY n.doc_id ORDER BY sentences * best DESC, n.doc_id LIMIT 8"""
_MIDDLE = """
SELECT embedding FROM sentences WHERE doc_id = $id ORDER BY n_tokens DESC, sentence_index LIMIT 64"""


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return the document. Raises AbsentError if the lake has none of this id."""
    doc_id = parameters.required("id", "document")
    documents = lake.ask(_DOCUMENT, id=doc_id)
    if not documents.num_rows:
        raise AbsentError(f"The lake has no document with the id {doc_id[:200]!r}.")
    sentences = lake.ask(_SENTENCES, id=doc_id)
    at = parameters.number("s", -1, least=-1)
    page = parameters.number("page", max(at, 0) // A_PAGE + 1, least=1)
    first = A_PAGE * (page - 1)
    (row,) = documents.to_pylist()
    steps = lake.ask(_STEPS, id=doc_id)
    tables = {
        "sentences": sentences,
        "steps": steps,
        "document": documents,
        "alike": _alike(lake, doc_id),
    }
    return Content(
        row["title"] or doc_id,
        tables,
        {"document": row, "page": page, "pages": -(-sentences.num_rows // A_PAGE),
         "shown": list(_shown(row["text"], steps.slice(max(first - 1, 0), A_PAGE), sentences.slice(first, A_PAGE))),
         "at": at, "has_surprisal": sentences["surprisal"].null_count < sentences.num_rows},
    )  # fmt: skip


def _shown(text: str, steps: pa.Table, sentences: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield sentences with the text between them: `gap` stands before a sentence, `step` is that to it."""
    found = {step["sentence_index"]: step for step in steps.to_pylist()}
    end = None
    for sentence in sentences.to_pylist():
        gap = "" if end is None else text[end : sentence["char_start"]]
        yield {**sentence, "gap": gap, "step": found.get(sentence["sentence_index"] - 1)}
        end = sentence["char_end"]


def _alike(lake: Asked, doc_id: str) -> pa.Table:
    """Return the documents with most sentences near the middle of this one's longest."""
    vectors = lake.ask(_MIDDLE, id=doc_id)["embedding"].to_pylist()
    if not vectors:
        return pa.table({"doc_id": pa.array([], pa.string())})
    return lake.ask(_ALIKE, id=doc_id, middle=unit(np.asarray(vectors, np.float32)).mean(0).tolist())


PAGE = Page("document", load)
