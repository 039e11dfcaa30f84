"""Cut points: where the windows of a long text end, by what stands there and not by how much comes before.

Content-defined chunking (Muthitacharoen et al. 2001; local minima after Bjørner et al. 2010), on sentences: a window
may end after half of its tokens, and ends where the next sentence has the least mark. An insertion moves the ends near
it; further on, the old and the new windows find the same minima and are the same again. Changing the marks changes
vectors of `--context window`, so they are part of its encoding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Ints

Marks = npt.NDArray[np.uint64]
_STEP = np.uint64(0x9E3779B97F4A7C15)


def sentence_marks(ids: npt.NDArray[np.int32], sentence_ptr: Ints) -> Marks:
    """Return `(sentences,)`: a number that follows from a sentence's token ids and their order alone."""
    lengths = np.diff(sentence_ptr)
    marks = np.zeros(len(lengths), np.uint64)
    filled = np.flatnonzero(lengths)
    if len(filled):
        place = np.arange(len(ids)) - np.repeat(sentence_ptr[:-1], lengths)
        terms = _mixed((ids.astype(np.uint64) << np.uint64(32)) + place.astype(np.uint64))
        marks[filled] = _mixed(np.add.reduceat(terms, sentence_ptr[:-1][filled]))
    return marks


def cut_before(sentence_ptr: Ints, marks: Marks, first: int, stop: int, capacity: int) -> int:
    """Return the sentence before which a window ends that begins with `first` and has room up to `stop`.

    That sentence is after `first` and at most `stop`, which the text must have; the window is at least half full unless
    its next sentence would not fit.
    """
    half = np.searchsorted(sentence_ptr, sentence_ptr[first] + capacity // 2)
    least = min(max(first + 1, int(half)), stop)
    return least + int(np.argmin(marks[least : stop + 1]))


def _mixed(values: Marks) -> Marks:
    """Return each number hashed, by the finalizer of SplitMix64 (Steele et al. 2014). Overflow is meant."""
    values = values + _STEP
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
