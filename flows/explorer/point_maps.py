"""Maps of the lake's sentences and of the occurrences of words: made in the background once, then kept.

Points stand in an order that is random but the same each time, so that any first part of them is a fair sample. Knows
neither texts nor colours.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from threading import Event, Lock, Thread
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.flows.explorer import kept_layouts
from polyseme.flows.explorer.kept_layouts import Layout
from polyseme.storage.sql.nearest import SentenceVectors
from polyseme.tasks.analysis.layout import MOST_LANDMARKS, Keys, lay_landmarks, mixed, place
from polyseme.tasks.analysis.sense_space import centred
from polyseme.tasks.arrays import Floats

MOST_OCCURRENCES = 50_000
OCCURRENCES = f"""
SELECT o.doc_id, o.sentence_index, o.word_index, o.char_start - s.char_start AS word_start,
       o.char_end - s.char_start AS word_end, o.embedding
FROM occurrences($word, by_lemma := $by_lemma) AS o
JOIN sentences AS s ON s.doc_id = o.doc_id AND s.sentence_index = o.sentence_index
ORDER BY hash(o.doc_id, o.sentence_index, o.word_index), o.doc_id, o.sentence_index, o.word_index
LIMIT {MOST_OCCURRENCES}"""
_GROWN = 4
"""Landmarks are chosen anew, and the map changes, once there are so many times the sentences that there were."""
_KEPT_MAPS = 8
_ROWS_A_STEP = 32_768
Places: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class PointMap:
    """Points, each a sentence or a word in one: `docs[doc]` and `sentence` say which, `place` `(points, 2)` where.

    `word`, for occurrences, is `(points, 3)`: the word's index, and where in the sentence it begins and ends. `version`
    names this numbering of the points.
    """

    version: str
    docs: pa.Array
    doc: Places
    sentence: Places
    place: Floats
    word: Places | None = None

    def __len__(self) -> int:
        return len(self.doc)

    @classmethod
    def empty(cls) -> PointMap:
        """Return a map without points."""
        none = np.empty(0, np.int32)
        return cls("empty", pa.array([], pa.string()), none, none, np.empty((0, 2), np.float32))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a map is: what is done now, and which share of it."""

    doing: str
    share: float = 0.0


_Report: TypeAlias = Callable[[Progress], None]
_Make: TypeAlias = Callable[[_Report], PointMap]


class Maps:
    """The maps that were asked for last, one made at a time. Safe to share between threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, ...], PointMap | Progress | Exception] = OrderedDict()
        self._lock, self._turn, self._closed = Lock(), Lock(), Event()

    def of_sentences(self, vectors: SentenceVectors) -> PointMap | Progress:
        """Return the map of all sentences, or how far it is. Raises what making it raised, once."""
        return self._get(vectors.identity, lambda report: _of_sentences(vectors, report))

    def of_word(self, key: tuple[object, ...], occurrences: Callable[[], pa.Table]) -> PointMap | Progress:
        """Return the map of a word's occurrences. `key` says which; `occurrences` asks for them, see `OCCURRENCES`."""
        return self._get(key, lambda report: _of_word(occurrences, report))

    def close(self) -> None:
        """End what is being made."""
        self._closed.set()

    def _get(self, key: tuple[object, ...], make: _Make) -> PointMap | Progress:
        with self._lock:
            if key not in self._known:
                self._known[key] = Progress("Waiting for its turn")
                while len(self._known) > _KEPT_MAPS:
                    self._known.popitem(last=False)
                Thread(target=self._make, args=(key, make), name="polyseme-map", daemon=True).start()
            self._known.move_to_end(key)
            found = self._known[key]
            if isinstance(found, Exception):
                del self._known[key]  # who asks again has it tried again
                raise found
            return found

    def _make(self, key: tuple[object, ...], make: _Make) -> None:
        def report(progress: PointMap | Progress | Exception) -> None:
            if self._closed.is_set():
                raise SystemExit  # ends this thread alone
            with self._lock:
                self._known[key] = progress

        with self._turn:
            try:
                report(make(report))
            except Exception as error:
                report(error)


def _of_sentences(vectors: SentenceVectors, report: _Report) -> PointMap:
    report(Progress("Counting the sentences"))
    blocks = list(vectors.keys())
    if not blocks:
        return PointMap.empty()
    names = pa.chunked_array([doc.cast(pa.string()) for doc, _ in blocks], pa.string()).combine_chunks()
    coded = names.dictionary_encode()
    doc = coded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    sentence = np.concatenate([index for _, index in blocks])
    keys = _keys(coded.dictionary, doc, sentence)
    order = np.argsort(keys, kind="stable")
    version = _version(keys[order], *vectors.identity)
    kept = kept_layouts.load(vectors.identity)
    if kept is None or kept.version != version:
        kept = replace(_laid_out(vectors, keys[order], kept, report), version=version)
        kept_layouts.save(vectors.identity, kept)
    return PointMap(version, coded.dictionary, doc[order], sentence[order], kept.place)


def _laid_out(vectors: SentenceVectors, keys: Keys, before: Layout | None, report: _Report) -> Layout:
    """Return the places of the sentences with these keys, which ascend, by landmarks of an earlier map if they fit."""
    rows = len(keys)
    report(Progress(f"Reading the vectors of {rows:,} sentences"))
    if before is not None and rows <= _GROWN * before.laid_for:
        landmarks, laid_for = before.landmarks, before.laid_for
    else:
        last = keys[min(rows, MOST_LANDMARKS) - 1]
        chosen = [unit[of_block <= last] for of_block, unit in _keyed(vectors)]
        report(Progress(f"Laying out {min(rows, MOST_LANDMARKS):,} of {rows:,} sentences by their meaning"))
        landmarks, laid_for = lay_landmarks(np.concatenate(chosen)), rows
    placed, found = 0, np.empty((rows, 2), np.float32)
    for of_block, unit in _keyed(vectors):
        report(Progress(f"Placing {rows:,} sentences among {len(landmarks.unit):,}", placed / rows))
        found[np.searchsorted(keys, of_block)] = place(unit, landmarks, of_block)
        placed += len(of_block)
    return Layout("", landmarks, laid_for, found)


def _keyed(vectors: SentenceVectors) -> Iterator[tuple[Keys, Floats]]:
    """Yield keys and vectors of all sentences, a few at a time."""
    for doc, sentence, unit in vectors.blocks():
        keys = _keys(doc.dictionary, doc.indices.to_numpy(zero_copy_only=False), sentence)
        for first in range(0, len(keys), _ROWS_A_STEP):
            step = slice(first, first + _ROWS_A_STEP)
            yield keys[step], unit[step]


def _of_word(occurrences: Callable[[], pa.Table], report: _Report) -> PointMap:
    report(Progress("Reading the occurrences"))
    found = occurrences()
    if not found.num_rows:
        return PointMap.empty()
    report(Progress("Laying the occurrences out by their meaning"))
    coded = found["doc_id"].combine_chunks().dictionary_encode()
    doc = coded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    sentence, *word = (
        found[name].to_numpy().astype(np.int32) for name in ("sentence_index", "word_index", "word_start", "word_end")
    )
    keys = mixed(_keys(coded.dictionary, doc, sentence), word[0])
    flat = found["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = centred(flat.reshape(found.num_rows, -1).astype(np.float32, copy=False))
    placed = place(vectors, lay_landmarks(vectors[:MOST_LANDMARKS]), keys)
    return PointMap(_version(keys), coded.dictionary, doc, sentence, placed, np.stack(word, axis=1))


def _keys(docs: pa.Array, doc: Places, sentence: Places) -> Keys:
    """Return a number for each sentence, as good as random, that depends on its document's id and its index alone."""
    named = [int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") for name in docs.to_pylist()]
    return mixed(np.array(named, np.uint64)[doc], sentence)


def _version(keys: Keys, *identity: str) -> str:
    return blake2b(keys.tobytes() + " ".join(identity).encode(), digest_size=8).hexdigest()
