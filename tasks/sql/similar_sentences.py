"""Pairs of sentences of a lake that say nearly the same: those whose vectors have at least a cosine.

Vectors are read twice: first for their one-bit codes, by which pairs are found, then those that are in a pair, for
their cosine. In memory are the codes of all, and these vectors. A text that a lake has several times
counts once, and one without a letter or a digit not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.search.one_bit import Coded, Frame
from polyseme.storage.search.pairs import Alike, pairs
from polyseme.storage.search.pieces import Integers
from polyseme.storage.search.unit_vectors import Floats
from polyseme.storage.sql.sentence_blocks import SentenceBlock, sentence_blocks

LEAST = 0.8
"""The least cosine that can be asked for: below, most pairs of a corpus would have to be compared."""
MOST_PAIRS = 10_000_000
_PAIRS_AT_ONCE = 1 << 14
_KEYS = pa.schema([("doc_id", pa.string()), ("sentence_index", pa.int32()), ("text", pa.int64())])
"""Of sentences, with a hash of their text."""
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
        read = _Read(question)
        for block in sentence_blocks(snapshot, lake, encoding, texts=True):
            report("reading sentences", 0.0)
            read.add(block)
        if read.frame is None:
            return SimilarPairs.none()
        keys, coded = read.first_of_each_text()
        one, other = _candidates(read.frame, coded, question, report)
        needed, places = np.unique(np.concatenate([one, other]), return_inverse=True)
        keys, unit = keys.take(pa.array(needed)), np.zeros((len(needed), encoding.spec.width), np.float32)
        row_of = {key: row for row, key in enumerate(zip(*keys.to_pydict().values(), strict=True))}
        named = pc.unique(keys["doc_id"])
        for block in sentence_blocks(snapshot, lake, encoding) if len(needed) else ():
            report("comparing sentences", 1.0)
            _fill(unit, row_of, block, block.rows_of(named))
    except MemoryError as error:
        raise PolysemeError(
            f"The sentences that may be similar did not fit into memory. {_narrower(question)}"
        ) from error
    return _ranked(keys, unit, places[: len(one)], places[len(one) :], question.at_least)


def _narrower(question: Likeness) -> str:
    """Return what to ask for instead, as SQL and as the command have it."""
    some = "some documents (docs := ['…'], --where CONDITION)"
    higher = min(round((1 + question.at_least) / 2, 4), 1)
    if higher <= question.at_least:
        return f"Ask for those of {some}."
    return f"Ask for those that are more similar (at_least := {higher:g}, --at-least {higher:g}), or of {some}."


class _Read:
    """Sentences that may be compared, as they are read: of some documents, with a direction, a letter or a digit."""

    def __init__(self, question: Likeness) -> None:
        self._docs = None if question.docs is None else pa.array(sorted(set(question.docs)), pa.string())
        self._keys, self._coded = [_KEYS.empty_table()], list[Coded]()
        self.frame: Frame | None = None

    def add(self, block: SentenceBlock) -> None:
        assert block.text is not None
        rows = np.flatnonzero(block.unit.any(1))
        if self._docs is not None:
            rows = np.intersect1d(rows, block.rows_of(self._docs))
        texts = block.text.take(pa.array(rows)).to_pylist()
        readable = np.array([any(map(str.isalnum, text)) for text in texts], np.bool_)
        if not readable.any():
            return
        rows = rows[readable]
        if self.frame is None:
            self.frame = Frame(block.unit.mean(0, dtype=np.float32))
        self._coded.append(self.frame.encode(block.unit[rows]))
        said = [hash(" ".join(text.split())) for text, kept in zip(texts, readable, strict=True) if kept]
        doc_id = block.doc_id.take(pa.array(rows)).cast(pa.string())
        self._keys.append(pa.table([doc_id, pa.array(block.sentence_index[rows]), pa.array(said)], schema=_KEYS))

    def first_of_each_text(self) -> tuple[pa.Table, Coded]:
        """Return `doc_id` and `sentence_index` of the first sentence with each text, in order, and their codes."""
        keys = pa.concat_tables(self._keys)
        order = pc.sort_indices(keys, [("doc_id", "ascending"), ("sentence_index", "ascending")]).to_numpy()
        _, first = np.unique(keys["text"].to_numpy()[order], return_index=True)
        rows = order[np.sort(first)].astype(np.int64)
        bits, scale, offset, cell = zip(*self._coded, strict=True)
        coded = Coded(np.concatenate(bits, axis=1), *map(np.concatenate, (scale, offset, cell)))
        taken = Coded(coded.bits[:, rows], coded.scale[rows], coded.offset[rows], coded.cell[rows])
        return keys.take(pa.array(rows)).drop_columns("text"), taken


def _fill(unit: Floats, row_of: Mapping[tuple[str, int], int], block: SentenceBlock, rows: Integers) -> None:
    """Put the vectors of some rows of a block where `row_of` has their sentences."""
    names = block.doc_id.take(pa.array(rows)).to_pylist()
    for row, *key in zip(rows.tolist(), names, block.sentence_index[rows].tolist(), strict=True):
        if (place := row_of.get((key[0], key[1]))) is not None:
            unit[place] = block.unit[row]


def _candidates(frame: Frame, coded: Coded, question: Likeness, report: Report) -> tuple[Integers, Integers]:
    alike = Alike.of(frame, coded.offset, question.at_least)
    found, count = [(np.zeros(0, np.int64),) * 2], 0
    for some in pairs(coded.bits, alike, lambda share: report("looking for similar sentences", share)):
        found.append(some)
        count += len(some[0])
        if count > MOST_PAIRS:
            raise PolysemeError(
                f"More than {MOST_PAIRS:,} pairs of sentences may have a similarity of {question.at_least:g}. "
                f"{_narrower(question)}"
            )
    one, other = zip(*found, strict=True)
    return np.concatenate(one), np.concatenate(other)


def _ranked(keys: pa.Table, unit: Floats, one: Integers, other: Integers, at_least: float) -> SimilarPairs:
    """Return the pairs that are similar enough; `keys` are in their order."""
    cosine = np.zeros(len(one), np.float32)
    for at in range(0, len(one), _PAIRS_AT_ONCE):
        some = slice(at, at + _PAIRS_AT_ONCE)
        cosine[some] = np.einsum("ij,ij->i", unit[one[some]], unit[other[some]])
    kept = np.flatnonzero(cosine >= at_least - _ROUNDED)
    first, second = np.minimum(one, other)[kept], np.maximum(one, other)[kept]
    ranked = np.lexsort((second, first, -cosine[kept]))
    doc_id = keys["doc_id"].combine_chunks()
    index = keys["sentence_index"].to_numpy()
    return SimilarPairs(doc_id, index, first[ranked], second[ranked], np.minimum(cosine[kept][ranked], 1))
