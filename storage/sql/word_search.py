"""Search over word vectors: the occurrences of any word whose use is most like a vector. Marks are not searched.

By an index where there is one to be had, as in `sentence_search`; otherwise, and where it is asked for, SQL compares
the vectors of all words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.search.pieces import READABLE
from polyseme.storage.search.unit_vectors import Floats, unit_rows
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.indexed_rows import CALLER, Caller, Hits, IndexedRows
from polyseme.storage.sql.literals import quote_name
from polyseme.storage.sql.shared import Shared
from polyseme.storage.sql.views import explained

_COLUMNS = ["doc_id", "sentence_index", "word_index", "word", "char_start", "char_end"]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An occurrence of a word, and the cosine similarity of its vector to the query, -1 to 1."""

    doc_id: str
    sentence_index: int
    word_index: int
    word: str
    char_start: int
    char_end: int
    similarity: float


class WordSearch:
    """The live words of one encoding at one catalog version. Safe to share between threads."""

    def __init__(self, snapshot: Snapshot, lake: Lake, encoding: Encoding) -> None:
        self._snapshot, self._lake, self._encoding = snapshot, lake, encoding
        self._indexed = IndexedRows(snapshot, lake, encoding, "words")

    def nearest(
        self, vectors: Floats, k: int, *, docs: pa.Array | None = None, exact: bool = False, caller: Caller = CALLER
    ) -> list[list[Occurrence]]:
        """Return, for each of some vectors `(questions, width)`, the `k` occurrences nearest to it, best first.

        Ties are by document and place. `docs` limits the search to these documents. A vector of zeros has no
        neighbours. Without `exact`, one in some hundred of them may be missing. Raises LakeError for a part that cannot
        be read.
        """
        if exact or not self._indexed.is_worth_it(caller):
            return [self._by_sql(unit, k, docs, caller) if unit.any() else [] for unit in unit_rows(vectors)]
        found = self._indexed.nearest(vectors, k, docs, caller)
        return [self._best(one, k, caller) for one in found]

    def _best(self, found: list[Hits], k: int, caller: Caller) -> list[Occurrence]:
        return sorted((o for hits in found for o in self._occurrences(hits, caller)), key=_rank)[:k]

    def _occurrences(self, hits: Hits, caller: Caller) -> Iterator[Occurrence]:
        rows = self._indexed.columns(hits, _COLUMNS, caller.check).to_pylist()
        for row, score in zip(rows, hits.scores.tolist(), strict=True):
            yield Occurrence(**row, similarity=score)

    def _by_sql(self, unit: Floats, k: int, docs: pa.Array | None, caller: Caller) -> list[Occurrence]:
        caller.check()
        chosen = "" if docs is None else "AND doc_id IN (SELECT doc_id FROM chosen)"
        cosine = f"array_cosine_similarity(embedding, $1::FLOAT[{self._encoding.spec.width}])"
        # A stored vector without a direction has a cosine of NaN, which DuckDB sorts before all others.
        sql = f"""
SELECT {", ".join(_COLUMNS)}, CASE WHEN isnan({cosine}) THEN 0 ELSE {cosine} END::DOUBLE AS similarity
FROM {quote_name(f"words_{self._encoding.name}")}
WHERE regexp_matches(word_lower, '{READABLE}') {chosen}
ORDER BY similarity DESC, doc_id, sentence_index, word_index
LIMIT $2"""
        with explained(self._lake), open_snapshot(self._snapshot, self._lake, spill="", macros=False) as con:
            caller.opened(con)
            if docs is not None:
                con.register("chosen", pa.table({"doc_id": docs}))
            return [Occurrence(*row) for row in con.execute(sql, [unit.tolist(), k]).fetchall()]


def _rank(found: Occurrence) -> tuple[float, str, int, int]:
    return -found.similarity, found.doc_id, found.sentence_index, found.word_index


_shared = Shared[WordSearch](2)


def shared_words(snapshot: Snapshot, lake: Lake, encoding: Encoding) -> WordSearch:
    """Return this process's search over the words of a lake's encoding, kept as long as it is the latest."""
    return _shared.get(snapshot, lake, encoding, lambda: WordSearch(snapshot, lake, encoding))
