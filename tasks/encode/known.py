"""Known rows: which results of a chunk stored documents have already, found by the keys of their inputs.

A row is found if and only if the model would be given the same input again. Nothing is computed here.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from polyseme.storage.records import Outputs
from polyseme.storage.schemas import RANDOM
from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.encode.copied import BaselineRow, Copied, CopiedRows
from polyseme.tasks.encode.input_keys import ChunkKeys
from polyseme.tasks.encode.stored_keys import Keying, stored_keys
from polyseme.tasks.encode.transitions import Flags
from polyseme.tasks.encode.words import ChunkWords
from polyseme.tasks.text.chunks import Chunk

if TYPE_CHECKING:
    from polyseme.storage.stored.rows import StoredRows, StoredTable

_LOGITS = ("nsp_logit_is_next", "nsp_logit_not_next", "order_margin")
_KEPT = (*_LOGITS, "cosine", "n_truncated")
_TRIED = 8
"""Stored sentences of one key that are looked at: those that lack what is wanted, as after a run without words, often
all do."""


@dataclass(frozen=True, slots=True)
class StoredSource:
    """Stored rows to copy from. `own` is, by the id of a document of the run, the id of the stored one it replaces.

    `devices` are the kinds of device of documents of which every row is copied, if that may be another than here.
    """

    rows: StoredRows
    own: Mapping[str, str]
    devices: Mapping[str, str | None] = field(default_factory=dict)


class KnownRows:
    """The rows of stored documents, for the chunks of a run in their order. Not thread-safe."""

    def __init__(self, source: StoredSource, keying: Keying, outputs: Outputs) -> None:
        self._rows, self._keying, self._outputs = source.rows, keying, outputs
        self._sentences = source.rows.tables["sentences"]
        self._keys = stored_keys(source.rows, keying)
        self._words, self._tokens = (_Ranges.of(source.rows, name) for name in ("words", "tokens"))
        self._baseline = _baseline(source.rows)
        numbers = {
            document.doc_id: number
            for number, document in enumerate(source.rows.documents)
            if number not in self._keys.differing
        }
        self._own = {doc_id: numbers[stored] for doc_id, stored in source.own.items() if stored in numbers}
        self._last: dict[str, int] = {}
        self._places: dict[tuple[str, int], int] = {}
        """The sentence of a document of the run that has taken the place of a stored sentence, by id and row."""

    def copied(self, chunk: Chunk, keys: ChunkKeys, words: ChunkWords | None) -> Copied:
        """Return what is known of a chunk. `words` are those that get rows. Raises OSError for a damaged part."""
        word_ptr = None if words is None else np.searchsorted(words.sentence, np.arange(chunk.sentences + 1))
        rows, same = self._matched(chunk, keys, words, word_ptr)
        steps, logits = self._scores(keys)
        likelihoods, surprisals = self._likelihoods(chunk, keys)
        kept, tokens = self._replaced(chunk, same), self._token_places(chunk, rows)
        return Copied(
            sentences=_copied(rows, self._sentences, self._rows.width),
            words=None if words is None or word_ptr is None else self._word_rows(rows, words, word_ptr),
            tokens=None if tokens is None else _copied(tokens, self._rows.tables.get("tokens"), self._rows.width),
            steps=steps,
            logits=logits,
            likelihoods=likelihoods,
            surprisals=surprisals,
            replaced=None if tokens is None else self._replaced_logits(tokens),
            kept=kept,
            baseline=[] if kept is None else self._baseline_rows(chunk, kept),
        )

    def _matched(
        self, chunk: Chunk, keys: ChunkKeys, words: ChunkWords | None, word_ptr: Ints | None
    ) -> tuple[Ints, Ints]:
        """Return `(sentences,)` twice, -1 for none: the stored sentence that has every vector of each, and that of its
        own document whose place it takes, which may lack vectors of words."""
        rows, same = (np.full(chunk.sentences, -1, np.int64) for _ in range(2))
        ids = [part.document.doc_id for part in chunk.slices]
        lengths = np.diff(chunk.sentence_ptr)
        for sentence, key in enumerate(self._keying.vectors(chunk, keys)):
            candidates = self._keys.vectors.get(key)
            if candidates is None:
                continue
            doc_id = ids[int(chunk.slice_of[sentence])]
            for row in self._preferred(candidates, doc_id):
                is_whole = not chunk.own[sentence] or (
                    self._has_words(row, sentence, words, word_ptr) and self._has_tokens(row, int(lengths[sentence]))
                )
                if (is_whole or same[sentence] < 0) and chunk.own[sentence] and self._is_of(row, doc_id):
                    same[sentence] = row
                if is_whole:
                    rows[sentence] = row
                    break
            if same[sentence] >= 0:
                self._last[doc_id] = int(same[sentence])
        return rows, same

    def _preferred(self, candidates: Sequence[int], doc_id: str) -> Iterator[int]:
        """Yield a few candidates, those of the document's own stored version first, from where it was left.

        `candidates` are in order, so that a sentence that stands in a document ten thousand times costs no search of
        ten thousand rows for each.
        """
        if doc_id not in self._own:
            return islice(candidates, _TRIED)
        own = self._rows.documents[self._own[doc_id]]
        first = bisect_left(candidates, own.first_sentence)
        stop = bisect_left(candidates, own.first_sentence + own.n_sentences, first)
        after = bisect_right(candidates, self._last.get(doc_id, -1), first, stop)
        ranges = (range(after, stop), range(first, after), range(first), range(stop, len(candidates)))
        return (candidates[at] for at in islice(chain(*ranges), _TRIED))

    def _is_of(self, row: int, doc_id: str) -> bool:
        return int(self._sentences.document[row]) == self._own.get(doc_id)

    def _has_words(self, row: int, sentence: int, words: ChunkWords | None, word_ptr: Ints | None) -> bool:
        if words is None or word_ptr is None:
            return True
        if self._words is None:
            return False
        start, stop = self._words.bounds(row)
        if self._outputs.words is None:
            return stop - start == int(self._keys.words[row])
        wanted = words.index[word_ptr[sentence] : word_ptr[sentence + 1]]
        return bool(np.isin(wanted, self._words.table.columns["word_index"][start:stop]).all())

    def _has_tokens(self, row: int, count: int) -> bool:
        if self._outputs.level != "tokens":
            return True
        start, stop = (0, -1) if self._tokens is None else self._tokens.bounds(row)
        return stop - start == count

    def _word_rows(self, rows: Ints, words: ChunkWords, word_ptr: Ints) -> CopiedRows:
        at = np.full(len(words), -1, np.int64)
        if self._words is not None:
            for sentence in np.flatnonzero(rows >= 0).tolist():
                start, stop = self._words.bounds(int(rows[sentence]))
                places = slice(int(word_ptr[sentence]), int(word_ptr[sentence + 1]))
                stored = self._words.table.columns["word_index"][start:stop]
                at[places] = start + np.searchsorted(stored, words.index[places])
        return _copied(at, self._rows.tables.get("words"), self._rows.width)

    def _token_places(self, chunk: Chunk, rows: Ints) -> Ints | None:
        """Return `(tokens,)`: the stored row of each token, -1 for none; None if no tokens are stored."""
        if self._outputs.level != "tokens":
            return None
        at = np.full(len(chunk.ids), -1, np.int64)
        if self._tokens is not None:
            for sentence in np.flatnonzero((rows >= 0) & chunk.own).tolist():
                start, stop = self._tokens.bounds(int(rows[sentence]))
                at[chunk.sentence_ptr[sentence] : chunk.sentence_ptr[sentence + 1]] = np.arange(start, stop)
        return at

    def _replaced_logits(self, at: Ints) -> Floats:
        found = np.full(len(at), np.nan, np.float32)
        if self._tokens is not None:
            found[at >= 0] = self._tokens.table.columns["replaced_logit"][at[at >= 0]]
        return found

    def _scores(self, keys: ChunkKeys) -> tuple[Flags | None, Floats | None]:
        table = self._rows.tables.get("transitions")
        if keys.steps is None or table is None:
            return None, None
        rows = np.array([self._keys.steps.get(key, (-1,))[0] for key in keys.steps], np.int64)
        known = rows >= 0
        logits = np.full((len(rows), 3), np.nan, np.float32)
        for column, name in enumerate(_LOGITS):
            logits[known, column] = table.columns[name][rows[known]]
        return known, logits

    def _likelihoods(self, chunk: Chunk, keys: ChunkKeys) -> tuple[npt.NDArray[np.float64] | None, Floats | None]:
        if keys.likelihoods is None:
            return None, None
        found = np.full(chunk.sentences, np.nan, np.float64)
        surprisals = np.zeros(len(chunk.ids), np.float32)
        stored, variants = self._sentences.columns["pll"], self._sentences.columns["pll_variant"]
        for sentence in np.flatnonzero(chunk.own).tolist():
            tokens = slice(int(chunk.sentence_ptr[sentence]), int(chunk.sentence_ptr[sentence + 1]))
            for row in self._keys.likelihoods.get(keys.likelihoods[sentence], ())[:_TRIED]:
                of_tokens = self._surprisals(row, tokens.stop - tokens.start)
                if variants[row] == self._outputs.pll and not np.isnan(stored[row]) and of_tokens is not None:
                    found[sentence] = stored[row]
                    if self._outputs.level == "tokens":
                        surprisals[tokens] = of_tokens
                    break
        return found, surprisals

    def _surprisals(self, row: int, count: int) -> Floats | None:
        """Return the surprisals of a stored sentence's tokens, nothing if no rows need them; None if one is missing."""
        if self._outputs.level != "tokens":
            return np.empty(0, np.float32)
        if self._tokens is None:
            return None
        start, stop = self._tokens.bounds(row)
        values: Floats = self._tokens.table.columns["surprisal"][start:stop].astype(np.float32)
        return None if len(values) != count or np.isnan(values).any() else values

    def _replaced(self, chunk: Chunk, same: Ints) -> Flags | None:
        """Return `(sentences,)`: those that have taken the place of one whose pairs are stored, and remember them."""
        if not self._keying.nsp or "transitions" not in self._rows.tables:
            return None
        kept = np.zeros(chunk.sentences, bool)
        for sentence in np.flatnonzero(same >= 0).tolist():
            doc_id, row = chunk.slices[int(chunk.slice_of[sentence])].document.doc_id, int(same[sentence])
            if (doc_id, row) not in self._places:
                self._places[doc_id, row] = int(chunk.index[sentence])
                kept[sentence] = self._own[doc_id] in self._baseline.scored
        return kept

    def _baseline_rows(self, chunk: Chunk, kept: Flags) -> list[BaselineRow]:
        """Return the pairs that the documents keep: the first sentence is there, and the second if it is its own.

        A pair whose second sentence now follows the first is none of the baseline any more.
        """
        found = []
        for part in chunk.slices:
            doc_id = part.document.doc_id
            if doc_id not in self._own:
                continue
            document = self._rows.documents[self._own[doc_id]]
            for row in self._baseline.rows.get(self._own[doc_id], ()):
                columns = self._rows.tables["transitions"].columns
                first = self._places.get((doc_id, document.first_sentence + int(columns["sentence_index"][row])), -1)
                if not part.start <= first < part.stop:
                    continue
                next_id, second = str(columns["next_doc_id"][row]), int(columns["next_sentence_index"][row])
                if next_id == document.doc_id:
                    next_id, second = doc_id, self._places.get((doc_id, document.first_sentence + second), -1)
                    if second < 0 or second - first in (0, 1):
                        continue
                values = {name: _plain(columns[name][row]) for name in _KEPT}
                found.append(BaselineRow(doc_id, first, next_id, second, values))
        return found


@dataclass(frozen=True, slots=True)
class _Ranges:
    """The rows of a table by stored sentence: `ptr` is `(sentences + 1,)`."""

    table: StoredTable
    ptr: Ints

    @staticmethod
    def of(rows: StoredRows, name: str) -> _Ranges | None:
        table = rows.tables.get(name)
        if table is None:
            return None
        firsts = np.array([document.first_sentence for document in rows.documents], np.int64)
        sentence = firsts[table.document] + table.columns["sentence_index"] if len(table) else np.empty(0, np.int64)
        return _Ranges(table, np.searchsorted(sentence, np.arange(len(rows.tables["sentences"]) + 1)))

    def bounds(self, sentence: int) -> tuple[int, int]:
        return int(self.ptr[sentence]), int(self.ptr[sentence + 1])


@dataclass(frozen=True, slots=True)
class _Baseline:
    """The rows of the random baseline by stored document, and the documents that have scores at all."""

    rows: Mapping[int, Sequence[int]]
    scored: frozenset[int]


def _baseline(rows: StoredRows) -> _Baseline:
    table = rows.tables.get("transitions")
    if table is None:
        return _Baseline({}, frozenset())
    found: dict[int, list[int]] = {}
    for row in np.flatnonzero(table.columns["kind"] == RANDOM).tolist():
        found.setdefault(int(table.document[row]), []).append(row)
    return _Baseline(found, frozenset(table.document.tolist()))


def _copied(at: Ints, table: StoredTable | None, width: int) -> CopiedRows:
    """Return the stored vectors of the rows `at`, -1 for none; each row is read once."""
    known = np.flatnonzero(at >= 0)
    distinct, inverse = np.unique(at[known], return_inverse=True)
    places = np.full(len(at), -1, np.int64)
    places[known] = inverse
    vectors = np.empty((0, width), np.float16) if table is None else table.vectors(distinct, width)
    return CopiedRows(places, vectors)


def _plain(value: np.generic) -> float | int | None:
    plain: float | int = value.item()
    return None if math.isnan(plain) else plain  # NaN is how NULL was read
