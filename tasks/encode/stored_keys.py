"""The keys of stored rows. None are stored: they follow from a document's text, by the code that keys any text."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from polyseme.storage.records import Document
from polyseme.storage.schemas import ADJACENT
from polyseme.tasks.arrays import Ints
from polyseme.tasks.encode.input_keys import ChunkKeys, Key, with_words
from polyseme.tasks.encode.passes import Passes
from polyseme.tasks.text.chunks import Chunk

if TYPE_CHECKING:
    from polyseme.storage.stored.rows import StoredRows, StoredTable

log = logging.getLogger(__name__)

RowsByKey = dict[Key, list[int]]


@dataclass(frozen=True, slots=True)
class Keying:
    """How a run splits and cuts documents, and what it makes: scores of pairs, surprisals, vectors of words."""

    chunks: Callable[[Iterable[Document]], Iterable[Chunk]]
    passes: Callable[[Chunk], Passes]
    nsp: bool
    pll: bool
    words: bool

    def keys(self, chunk: Chunk, possible: Passes) -> ChunkKeys:
        """Return the keys of a chunk's results."""
        return ChunkKeys.of(chunk, possible, nsp=self.nsp, pll=self.pll)

    def vectors(self, chunk: Chunk, keys: ChunkKeys) -> list[Key]:
        """Return one key per sentence for all vectors that it has rows of."""
        return with_words(keys.vectors, chunk) if self.words else keys.vectors


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """Rows of `sentences` by the keys of vectors and likelihoods, rows of `transitions` by those of steps.

    `words` is the number of words of each sentence. Documents in `differing` have none: their sentences are not those
    of their text.
    """

    vectors: RowsByKey
    likelihoods: RowsByKey
    steps: RowsByKey
    words: Ints
    differing: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Places:
    """Of a chunk, `(sentences,)`: the stored row and document of each; of all stored sentences, their transition."""

    row: Ints
    number: Ints
    step_of: Ints


@dataclass(slots=True)
class _Found:
    """The keys of the documents so far, as `(key, row, document)`."""

    vectors: list[tuple[Key, int, int]] = field(default_factory=list)
    likelihoods: list[tuple[Key, int, int]] = field(default_factory=list)
    steps: list[tuple[Key, int, int]] = field(default_factory=list)

    def add(self, chunk: Chunk, keying: Keying, at: _Places) -> None:
        """Add the keys of a chunk."""
        possible = keying.passes(chunk)
        keys = keying.keys(chunk, possible)
        vectors = keying.vectors(chunk, keys)
        own = np.flatnonzero(chunk.own & (at.row >= 0))
        places = list(zip(own.tolist(), at.row[own].tolist(), at.number[own].tolist(), strict=True))
        self.vectors += [(vectors[sentence], row, document) for sentence, row, document in places]
        if keys.likelihoods is not None:
            likelihoods = keys.likelihoods
            self.likelihoods += [(likelihoods[sentence], row, document) for sentence, row, document in places]
        if keys.steps is not None and len(at.step_of):
            row = at.row[possible.pairs.first]
            steps = np.where(row >= 0, at.step_of[row], -1).tolist()
            columns = zip(keys.steps, steps, at.number[possible.pairs.first].tolist(), strict=True)
            self.steps += [(key, step, document) for key, step, document in columns if step >= 0]


def stored_keys(rows: StoredRows, keying: Keying) -> StoredKeys:
    """Return the keys of all stored rows."""
    documents = [Document(str(number), document.uri, document.text) for number, document in enumerate(rows.documents)]
    firsts = np.array([document.first_sentence for document in rows.documents], np.int64)
    expected = np.array([document.n_sentences for document in rows.documents], np.int64)
    step_of = _steps_by_sentence(rows)
    words, seen = np.zeros(int(expected.sum()), np.int64), np.zeros(len(documents), np.int64)
    found, differing = _Found(), set[int]()
    for chunk in keying.chunks(documents):
        of_slice = np.array([int(part.document.doc_id) for part in chunk.slices], np.int64)
        number = of_slice[chunk.slice_of]
        np.add.at(seen, number[chunk.own], 1)
        row = np.where(chunk.index < expected[number], firsts[number] + chunk.index, -1)
        differing.update(number[chunk.own & ~_agree(rows.tables["sentences"], chunk, row)].tolist())
        found.add(chunk, keying, _Places(row, number, step_of))
        own = np.flatnonzero(chunk.own & (row >= 0))
        words[row[own]] = _word_counts(chunk)[own]
    differing.update(np.flatnonzero(seen != expected).tolist())
    if differing:
        log.warning("%d documents whose stored sentences are not those of their text are encoded whole", len(differing))
    return StoredKeys(
        _grouped(found.vectors, differing), _grouped(found.likelihoods, differing), _grouped(found.steps, differing),
        words, frozenset(differing),
    )  # fmt: skip


def _agree(sentences: StoredTable, chunk: Chunk, row: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return `(sentences,)`: whether the stored sentence has the same characters and as many tokens."""
    there, at = row >= 0, np.maximum(row, 0)
    if not len(sentences):
        return there
    start, stop, tokens = (sentences.columns[name][at] for name in ("char_start", "char_end", "n_tokens"))
    lengths = np.diff(chunk.sentence_ptr)
    agree: np.ndarray[tuple[int], np.dtype[np.bool_]] = (
        there & (start == chunk.spans[:, 0]) & (stop == chunk.spans[:, 1]) & (tokens == lengths)
    )
    return agree


def _word_counts(chunk: Chunk) -> Ints:
    """Return `(sentences,)`: the number of words of each."""
    counts, ends = np.zeros(chunk.sentences, np.int64), chunk.sentence_ptr[1:]
    filled = np.flatnonzero(np.diff(chunk.sentence_ptr) > 0)
    counts[filled] = chunk.last_word[ends[filled] - 1] + 1
    return counts


def _steps_by_sentence(rows: StoredRows) -> Ints:
    """Return `(sentences,)`: the row of the transition from each stored sentence to the next, -1 for none."""
    found = np.full(len(rows.tables["sentences"]), -1, np.int64)
    steps = rows.tables.get("transitions")
    if steps is not None and len(steps):
        near = np.flatnonzero(steps.columns["kind"] == ADJACENT)
        firsts = np.array([document.first_sentence for document in rows.documents], np.int64)
        found[firsts[steps.document[near]] + steps.columns["sentence_index"][near]] = near
    return found


def _grouped(keyed: list[tuple[Key, int, int]], differing: set[int]) -> RowsByKey:
    rows: defaultdict[Key, list[int]] = defaultdict(list)
    for key, row, document in keyed:
        if document not in differing:
            rows[key].append(row)
    return dict(rows)
