"""Pairs of sentences of a lake that say nearly the same: those whose vectors have at least a cosine.

Vectors are read twice: first for their one-bit codes, by which pairs are found, then those that are in a pair, for
their cosine. In memory are the codes of all, and these vectors. A text that a lake has several times
counts once, and one without a letter or a digit not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.search.one_bit import Coded, Frame, Halves, Words
from polyseme.storage.search.pairs import Alike, pairs
from polyseme.storage.search.pieces import Integers
from polyseme.storage.search.unit_vectors import Floats
from polyseme.storage.sql.sentence_blocks import SentenceBlock, sentence_blocks

LEAST = 0.8
"""The least cosine that can be asked for: below, most pairs of a corpus would have to be compared."""
MOST_PAIRS = 10_000_000
_PAIRS_AT_ONCE = 1 << 14
_ROUNDED = 1e-6
"""How far a cosine in float32 may be below what it is."""

Report = Callable[[str, float], None]
"""Takes what is being done, and the share of it that is done; called often, and raises to stop."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Which cosine is asked for, and among which documents: None is all."""

    at_least: float
    docs: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not LEAST <= self.at_least <= 1:
            raise UsageError(
                f"The least similarity of two sentences is the cosine of their vectors, from {LEAST} to 1; "
                f"got {self.at_least:g}."
            )


@dataclass(frozen=True, slots=True)
class SimilarPairs:
    """Pairs of sentences and their cosines `(pairs,)`, the most similar first; `one` and `other` count in the keys."""

    doc_id: pa.StringArray
    sentence_index: npt.NDArray[np.int32]
    one: Integers
    other: Integers
    cosine: Floats

    @staticmethod
    def none() -> SimilarPairs:
        """Return no pairs."""
        rows = np.zeros(0, np.int64)
        return SimilarPairs(pa.array([], pa.string()), np.zeros(0, np.int32), rows, rows, np.zeros(0, np.float32))


def similar_sentences(
    snapshot: Snapshot, lake: Lake, encoding: Encoding, question: Likeness, *, report: Report
) -> SimilarPairs:
    """Return the pairs that were found: of those that are just similar enough a few may be missing.

    Raises PolysemeError for more pairs than fit into memory, and LakeError for a part that cannot be read.
    """
    try:
        coded = _Coded(question)
        for block in sentence_blocks(snapshot, lake, encoding, texts=True):
            report("reading sentences", 0.0)
            coded.add(block)
        one, other = _candidates(coded, question, report)
        needed, places = np.unique(np.concatenate([one, other]), return_inverse=True)
        unit = np.zeros((len(needed), encoding.spec.width), np.float32)
        found = coded.keys.take(needed)
        for block in sentence_blocks(snapshot, lake, encoding) if len(needed) else ():
            report("comparing sentences", 1.0)
            found.fill(unit, block)
    except MemoryError as error:
        raise PolysemeError(
            "The sentences that may be similar did not fit into memory. Ask for those that are more similar (at_least "
            ":= 0.98), or for those of some documents."
        ) from error
    return _ranked(found, unit, places[: len(one)], places[len(one) :], question.at_least)


@dataclass(slots=True)
class _Keys:
    """The sentences that are compared, by document and place."""

    doc_id: list[str] = field(default_factory=list)
    sentence_index: list[int] = field(default_factory=list)

    def take(self, rows: Integers) -> _Keys:
        chosen = rows.tolist()
        return _Keys([self.doc_id[row] for row in chosen], [self.sentence_index[row] for row in chosen])

    def fill(self, unit: Floats, block: SentenceBlock) -> None:
        """Put the vectors of a block into the rows of these sentences."""
        place = {key: row for row, key in enumerate(zip(self.doc_id, self.sentence_index, strict=True))}
        here = block.rows_of(pa.array(sorted(set(self.doc_id)), pa.string()))
        names = block.doc_id.take(pa.array(here)).to_pylist()
        for row, key in zip(here.tolist(), zip(names, block.sentence_index[here].tolist(), strict=True), strict=True):
            if key in place:
                unit[place[key]] = block.unit[row]


class _Coded:
    """The codes of the sentences that are compared: of some documents, and of each text the first."""

    def __init__(self, question: Likeness) -> None:
        self._docs = None if question.docs is None else pa.array(sorted(set(question.docs)), pa.string())
        self._texts = set[int]()
        self._coded: list[Coded] = []
        self.frame: Frame | None = None
        self.keys = _Keys()

    def add(self, block: SentenceBlock) -> None:
        assert block.text is not None
        rows = np.flatnonzero(block.unit.any(1))
        if self._docs is not None:
            rows = np.intersect1d(rows, block.rows_of(self._docs))
        new: list[int] = []
        for row, text in zip(rows.tolist(), block.text.take(pa.array(rows)).to_pylist(), strict=True):
            key = hash(" ".join(text.split()))
            if key not in self._texts and any(map(str.isalnum, text)):  # rules and marks are all alike
                self._texts.add(key)
                new.append(row)
        if not new:
            return
        if self.frame is None:
            self.frame = Frame(block.unit.mean(0, dtype=np.float32))
        self._coded.append(self.frame.encode(block.unit[new]))
        self.keys.doc_id += block.doc_id.take(pa.array(new)).to_pylist()
        self.keys.sentence_index += block.sentence_index[new].tolist()

    @property
    def bits(self) -> Words:
        return np.concatenate([some.bits for some in self._coded], axis=1)

    @property
    def offset(self) -> Halves:
        return np.concatenate([some.offset for some in self._coded])


def _candidates(coded: _Coded, question: Likeness, report: Report) -> tuple[Integers, Integers]:
    nothing = np.zeros(0, np.int64)
    if coded.frame is None:
        return nothing, nothing
    alike = Alike.of(coded.frame, coded.offset, question.at_least)
    found, count = [(nothing, nothing)], 0
    for some in pairs(coded.bits, alike, lambda share: report("looking for similar sentences", share)):
        found.append(some)
        count += len(some[0])
        if count > MOST_PAIRS:
            raise PolysemeError(
                f"More than {MOST_PAIRS:,} pairs of sentences may be similar. Ask for those that are more similar "
                "(at_least := 0.98), or for those of some documents (docs := ['…'])."
            )
    one, other = zip(*found, strict=True)
    return np.concatenate(one), np.concatenate(other)


def _ranked(keys: _Keys, unit: Floats, one: Integers, other: Integers, at_least: float) -> SimilarPairs:
    cosine = np.zeros(len(one), np.float32)
    for at in range(0, len(one), _PAIRS_AT_ONCE):
        some = slice(at, at + _PAIRS_AT_ONCE)
        cosine[some] = np.einsum("ij,ij->i", unit[one[some]], unit[other[some]])
    doc_id = pa.array(keys.doc_id, pa.string())
    index = np.array(keys.sentence_index, np.int32)
    place = np.empty(len(doc_id), np.int64)
    place[_order(doc_id, index)] = np.arange(len(doc_id))
    kept = np.flatnonzero(cosine >= at_least - _ROUNDED)
    swapped = place[one[kept]] > place[other[kept]]
    first, second = np.where(swapped, other[kept], one[kept]), np.where(swapped, one[kept], other[kept])
    ranked = np.lexsort((place[second], place[first], -cosine[kept]))
    return SimilarPairs(doc_id, index, first[ranked], second[ranked], np.minimum(cosine[kept][ranked], 1))


def _order(doc_id: pa.StringArray, index: npt.NDArray[np.int32]) -> Integers:
    keys = pa.table({"doc_id": doc_id, "sentence_index": index})
    order: Integers = pc.sort_indices(keys, [("doc_id", "ascending"), ("sentence_index", "ascending")]).to_numpy()
    return order.astype(np.int64)
