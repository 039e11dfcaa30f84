"""A lake for a notebook: its tables, words, senses and neighbours as results that are read once and kept.

    lake = polyseme.open("lake")
    lake.senses("bank").df()

Reads only, in a thread that can write nothing. Shows the lake as it was when it was opened, so that all cells agree,
until `refresh`. `polyseme.connect` is the door to DuckDB itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
import pyarrow as pa

from polyseme.flows.notebook.lake_html import lake_html
from polyseme.flows.notebook.results import Result, StoredDocument
from polyseme.storage.catalog import Catalog
from polyseme.storage.database.meta import State
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.document_lists import ALL_DOCUMENTS, ids_in
from polyseme.storage.wording import many
from polyseme.tasks.arrays import Floats
from polyseme.tasks.sql.execution import Queries
from polyseme.tasks.sql.functions import ModelFunctions

_ORDER = {
    "documents": "doc_id",
    "sentences": "doc_id, sentence_index",
    "tokens": "doc_id, sentence_index, token_index",
    "transitions": "doc_id, sentence_index, kind, next_doc_id, next_sentence_index",
    "rejects": "uri, locator, stage, code, run_id",
    "skipped": "source, extension, reason",
    "runs": "ordinal",
    "encodings": "name",
}
_OCCURRENCES = """
FROM occurrences($word, by_lemma := $by_lemma) ORDER BY doc_id, sentence_index, word_index"""
_SENSES = """
SELECT sense.*, o.embedding FROM senses($word, by_lemma := $by_lemma) AS sense
JOIN occurrences($word, by_lemma := $by_lemma) AS o USING (doc_id, sentence_index, word_index)
ORDER BY sense.sense, sense.rank"""
_COHERENCE = """
SELECT c.*, b.depth, b.gain, b.is_break FROM coherence AS c
JOIN breaks($doc_id) AS b USING (doc_id, sentence_index)
WHERE c.doc_id = $doc_id ORDER BY sentence_index"""
_NEAREST = """
SELECT hit.*, s.embedding FROM {macro}($question{cast}, k := $k, docs := {docs}, exact := {exact}) AS hit
JOIN sentences AS s USING (doc_id, sentence_index)
ORDER BY hit.similarity DESC, doc_id, sentence_index"""
_SELECTED = "selected_documents"
_OF_DOCUMENT = "FROM sentences WHERE doc_id = $doc_id ORDER BY sentence_index"


def open(
    lake: Lake | Path | str = "lake", *, catalog: str | None = None, functions: ModelFunctions | None = None
) -> OpenedLake:
    """Open a lake, a folder or a URL, for a notebook. Raises LakeError if there is none.

    `catalog` is the URL of its catalog, if `lake.json` does not name it; `functions` chooses model and device.
    """
    return OpenedLake(lake if isinstance(lake, Lake) else Lake(lake, catalog), functions or ModelFunctions())


class OpenedLake:
    """A lake at one version. Threads may share it: its queries run one after another."""

    def __init__(self, place: Lake, functions: ModelFunctions) -> None:
        self._place, self._functions = place, functions
        self._lock = threading.RLock()
        self._queries: Queries | None = Queries(place, functions)
        self._end = finalize(self, Queries.close, self._queries)

    def __enter__(self) -> OpenedLake:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the lake. Results that were read stay."""
        with self._lock:
            self._queries = None
            self._end()

    def refresh(self) -> OpenedLake:
        """Show what the lake holds now. Results that were read stay as they are."""
        with self._lock:
            newer = Queries(self._place, self._functions)
            self._end()
            self._queries, self._end = newer, finalize(self, Queries.close, newer)
        return self

    @property
    def version(self) -> int:
        """The version of the catalog that is shown."""
        with self._lock:
            return self._open().version

    @property
    def _state(self) -> State:
        with self._lock:
            return self._open().state

    @property
    def is_behind(self) -> bool:
        """Whether the lake has changed since: `refresh` shows how."""
        with Catalog.open(self._place) as catalog:
            return catalog.state != self._state

    @property
    def documents(self) -> Result:
        """Every document, by doc_id."""
        return self._view("documents")

    @property
    def sentences(self) -> Result:
        """Every sentence with its vector, in the order of documents and texts."""
        return self._view("sentences")

    @property
    def tokens(self) -> Result:
        """Every token with its vector, if the lake has them (`--level tokens`)."""
        return self._view("tokens")

    @property
    def transitions(self) -> Result:
        """Every scored pair of sentences."""
        return self._view("transitions")

    @property
    def rejects(self) -> Result:
        """The input that was refused, and why."""
        return self._view("rejects")

    @property
    def skipped(self) -> Result:
        """The kinds of files that were not read."""
        return self._view("skipped")

    @property
    def runs(self) -> Result:
        """The runs that wrote to the lake, the first one first."""
        return self._view("runs")

    @property
    def encodings(self) -> Result:
        """The encodings of the lake."""
        return self._view("encodings")

    def words(self, word: str, *, by_lemma: bool = False) -> Result:
        """Return the occurrences of a word or phrase with their vectors, in the order of documents and texts."""
        return self._result(_OCCURRENCES, word=word, by_lemma=by_lemma)

    def senses(self, word: str, *, by_lemma: bool = False) -> Result:
        """Return the occurrences of a word with their senses and vectors, the most typical of each sense first."""
        return self._result(_SENSES, word=word, by_lemma=by_lemma)

    def coherence(self, doc_id: str) -> Result:
        """Return the steps of a document with margins and breaks. Raises UsageError if there is no such document."""
        self._require_document(doc_id)
        return self._result(_COHERENCE, doc_id=doc_id)

    def nearest(
        self, question: str | Sequence[float] | Floats, k: int = 10, *, where: str | None = None, exact: bool = False
    ) -> Result:
        """Return the `k` sentences nearest to a text or a vector, best first, among documents that meet `where`.

        `where` is a SQL condition on `documents`; with `exact` no index is used. Its result raises UsageError if the
        condition is not one, or if k is below 1.
        """
        docs = ALL_DOCUMENTS if where is None else ids_in(_SELECTED)
        is_text = isinstance(question, str)
        sql = _NEAREST.format(
            macro="nearest" if is_text else "nearest_to",
            cast="" if is_text else "::FLOAT[]",
            docs=docs,
            exact="true" if exact else "false",
        )
        asked = question if is_text else np.asarray(question, np.float32).tolist()

        def read(queries: Queries) -> pa.Table:
            if where is not None:
                queries.select(_SELECTED, where)
            return queries.answer(sql, {"question": asked, "k": k})

        return Result(lambda: self._read(read))

    def document(self, doc_id: str) -> StoredDocument:
        """Return one document with its text and sentences. Raises UsageError if there is none."""
        row = self._require_document(doc_id)
        return StoredDocument(
            doc_id=doc_id, title=row["title"], text=row["text"], fields=row,
            sentences=self._result(_OF_DOCUMENT, doc_id=doc_id),
        )  # fmt: skip

    def sql(self, query: str, **parameters: object) -> Result:
        """Return the rows of a query, with `$name` parameters. Its result raises PolysemeError if it fails."""
        return self._result(query, **parameters)

    def __repr__(self) -> str:
        found = self._figures()
        return (
            f"<Lake {self._place.root}: {many(found['documents'], 'documents')}, "
            f"{many(found['sentences'], 'sentences')}, encodings {', '.join(found['encodings']) or 'none'}>"
        )

    def _repr_html_(self) -> str:
        found = self._figures()
        runs = self._read(lambda q: q.ask("FROM runs ORDER BY ordinal DESC LIMIT 1"))
        first = self._read(
            lambda q: q.ask("SELECT coalesce(title, doc_id) AS title FROM documents ORDER BY doc_id LIMIT 5")
        )
        return lake_html(
            str(self._place.root), found, runs[0] if runs else None, [row["title"] for row in first],
            self.is_behind,
        )  # fmt: skip

    def _figures(self) -> dict[str, Any]:
        counted = ", ".join(
            f"(SELECT count(*) FROM {view}) AS {view}" for view in ("documents", "sentences", "words", "rejects")
        )
        name = "name || CASE store WHEN 'float16' THEN '' ELSE ' (stored as ' || store || ')' END"
        of_encodings = f"(SELECT list({name} ORDER BY name) FROM encodings) AS encodings"
        found: dict[str, Any] = self._read(lambda q: q.ask(f"SELECT {counted}, {of_encodings}"))[0]
        return {**found, "encodings": found["encodings"] or []}

    def _require_document(self, doc_id: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = self._read(
            lambda q: q.ask("FROM documents WHERE doc_id = $doc_id", doc_id=doc_id)
        )
        if not found:
            raise UsageError(f"There is no document '{doc_id}' in the lake. lake.documents lists all: give a doc_id.")
        return found[0]

    def _view(self, view: str) -> Result:
        ordered = f"FROM {view} ORDER BY {_ORDER[view]}"
        return Result(
            lambda: self._read(lambda q: q.answer(ordered, {})),
            count=lambda: self._read(lambda q: int(q.ask(f"SELECT count(*) AS n FROM {view}")[0]["n"])),
            head=lambda n: self._read(lambda q: q.answer(f"{ordered} LIMIT {n}", {})),
        )

    def _result(self, sql: str, **parameters: object) -> Result:
        return Result(lambda: self._read(lambda q: q.answer(sql, parameters)))

    def _read(self, read: Callable[[Queries], Any]) -> Any:
        with self._lock:
            return read(self._open())

    def _open(self) -> Queries:
        if self._queries is None:
            raise UsageError("This lake was closed. Open it again: polyseme.open(…).")
        return self._queries
