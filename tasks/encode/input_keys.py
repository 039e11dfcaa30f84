"""Keys of what the model is given: two results with one key are the same to the bit, in one encoding on one device.

A result depends on the token ids of its windows and on what is taken from them, so that is what is hashed. Text,
offsets and documents are not: a sentence that moved has the key that it had.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from struct import Struct

import numpy as np

from polyseme.tasks.arrays import Ints
from polyseme.tasks.encode.passes import Passes, sentences_of
from polyseme.tasks.text.chunks import Chunk
from polyseme.tasks.text.windows import Windows

Key = bytes
_KEY_BYTES = 20
_ID_BYTES = 4
_WORD_BYTES = 8
_TAKEN = Struct("<4i?")
_LEFT_OUT = Struct("<3i")


@dataclass(frozen=True, slots=True)
class ChunkKeys:
    """The keys of a chunk: of each sentence's vectors and surprisals, and of each adjacent pair; None if not wanted."""

    vectors: list[Key]
    steps: list[Key] | None
    likelihoods: list[Key] | None

    @staticmethod
    def of(chunk: Chunk, passes: Passes, *, nsp: bool, pll: bool) -> ChunkKeys:
        """Return the keys of what the chunk could be run with."""
        steps, likelihoods = step_keys(chunk, passes) if nsp else None, likelihood_keys(chunk) if pll else None
        return ChunkKeys(vector_keys(chunk, passes.windows), steps, likelihoods)


def vector_keys(chunk: Chunk, windows: Windows) -> list[Key]:
    """Return one key per sentence, over all windows that its tokens are taken from.

    Of each window: the ids of A and of B, where the sentence's tokens lie in it, and whether its special tokens are
    the sentence's own, which enter a mean.
    """
    ids, ptr = chunk.ids.astype(np.int32, copy=False).tobytes(), chunk.sentence_ptr
    window, sentence = sentences_of(windows, ptr)
    a_start, a_stop, b_start, b_stop = (
        column[window] for column in (windows.a_start, windows.a_stop, windows.b_start, windows.b_stop)
    )
    start = np.maximum(windows.take_start[window], ptr[sentence])
    stop = np.minimum(windows.take_stop[window], ptr[sentence + 1])
    # B follows A without a gap wherever a token of it is taken, so that one number tells the place in either.
    columns = (sentence, a_start, a_stop, b_start, b_stop, start - a_start, stop - a_start, windows.owner[window] >= 0)
    found = [b""] * chunk.sentences
    for s, a0, a1, b0, b1, first, last, owned in zip(*(column.tolist() for column in columns), strict=True):
        taken = _TAKEN.pack(a1 - a0, b1 - b0, first, last, owned)
        found[s] += taken + ids[_ID_BYTES * a0 : _ID_BYTES * a1] + ids[_ID_BYTES * b0 : _ID_BYTES * b1]
    return [_digest(key) for key in found]


def with_words(keys: list[Key], chunk: Chunk) -> list[Key]:
    """Return keys of vectors that include where words begin, which the vectors of words depend on."""
    words, ptr = _bytes_of_words(chunk), chunk.sentence_ptr.tolist()
    return [_digest(key + words[_WORD_BYTES * ptr[i] : _WORD_BYTES * ptr[i + 1]]) for i, key in enumerate(keys)]


def step_keys(chunk: Chunk, passes: Passes) -> list[Key]:
    """Return one key per adjacent pair: its ids as far as they fit, and how many did not."""
    ids, steps = chunk.ids.astype(np.int32, copy=False).tobytes(), passes.steps
    columns = (steps.a_start, steps.a_stop, steps.b_start, steps.b_stop, passes.left_out)
    return [
        _digest(
            _LEFT_OUT.pack(a1 - a0, b1 - b0, left)
            + ids[_ID_BYTES * a0 : _ID_BYTES * a1]
            + ids[_ID_BYTES * b0 : _ID_BYTES * b1]
        )
        for a0, a1, b0, b1, left in zip(*(column.tolist() for column in columns), strict=True)
    ]


def likelihood_keys(chunk: Chunk) -> list[Key]:
    """Return one key per sentence for surprisals: its ids and where its words begin."""
    ids, words = chunk.ids.astype(np.int32, copy=False).tobytes(), _bytes_of_words(chunk)
    return [
        _digest(ids[_ID_BYTES * a : _ID_BYTES * b] + words[_WORD_BYTES * a : _WORD_BYTES * b])
        for a, b in pairwise(chunk.sentence_ptr.tolist())
    ]


def first_of_each(keys: list[Key]) -> Ints:
    """Return `(keys,)`: the place of the first key that equals each."""
    places: dict[Key, int] = {}
    return np.array([places.setdefault(key, place) for place, key in enumerate(keys)], np.int64)


def _bytes_of_words(chunk: Chunk) -> bytes:
    """Return for each token the first and the last of its words, eight bytes."""
    return np.stack([chunk.word, chunk.last_word], axis=1).astype(np.int32, copy=False).tobytes()


def _digest(data: bytes) -> Key:
    return blake2b(data, digest_size=_KEY_BYTES).digest()
