"""Passes: the windows that a chunk could be run with, before anybody knows which of their results are there already.

The only module that knows the meaning of `--context`. Knows positions, no token ids and no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import Context
from polyseme.tasks.arrays import Ints
from polyseme.tasks.encode.transitions import adjacent_pairs
from polyseme.tasks.text.chunks import Chunk
from polyseme.tasks.text.cut_points import sentence_marks
from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.windows import (
    SentencePairs,
    Windows,
    context_windows,
    pair_windows,
    paired_context_windows,
    sentence_windows,
)


@dataclass(frozen=True, slots=True)
class Passes:
    """All windows of a chunk. `windows` give every token its vector, `steps` score the adjacent `pairs` in order.

    `left_out` is `(pairs,)`: the tokens of each pair that did not fit. With `joined` the first `windows` are `steps`,
    so that one pass gives vectors and score. Without scores and joined windows there are no pairs.
    """

    windows: Windows
    pairs: SentencePairs
    steps: Windows
    left_out: Ints
    joined: bool


def passes(
    chunk: Chunk, frame: Frame, *, context: Context, max_tokens: int, nsp: bool, prompted: Frame | None = None
) -> Passes:
    """Return the windows of a chunk in `frame`, those of its transitions if `nsp`.

    Windows of one sentence are in the frame `prompted`, if it is given. Raises PolysemeError if a token has none.
    """
    ptr, joined = chunk.sentence_ptr, context == "pair"
    nothing = np.empty(0, np.int64)
    pairs = adjacent_pairs(chunk) if nsp or joined else SentencePairs(nothing, nothing)
    steps, left_out = pair_windows(ptr, pairs, max_tokens, frame)
    if context == "sentence":
        windows = sentence_windows(ptr, range(chunk.sentences), max_tokens, prompted or frame)
    elif context == "window":
        windows = context_windows(ptr, chunk.documents, max_tokens, sentence_marks(chunk.ids, ptr), frame)
    else:
        windows, left_out = paired_context_windows(ptr, pairs, chunk.sentences, max_tokens, frame)
    if windows.taken != len(chunk.ids):
        raise PolysemeError(f"{len(chunk.ids)} tokens went in and {windows.taken} came out; nothing was stored.")
    return Passes(windows, pairs, steps, left_out, joined)


def sentences_of(windows: Windows, sentence_ptr: Ints) -> tuple[Ints, Ints]:
    """Return the pairs of window and sentence, by window, in which the sentence has a token or a special token taken.

    A sentence without tokens has a window of its own.
    """
    first = np.searchsorted(sentence_ptr, windows.take_start, side="right") - 1
    last = np.searchsorted(sentence_ptr, windows.take_stop, side="left")
    counts = np.maximum(last - first, 0)
    counts[windows.take_stop <= windows.take_start] = 0
    alone = windows.owner >= 0
    counts[alone], first[alone] = 1, windows.owner[alone]
    window = np.repeat(np.arange(len(windows)), counts)
    inside = np.arange(len(window)) - np.repeat(np.cumsum(counts) - counts, counts)
    sentence = first[window] + inside
    # A range may begin or go on where sentences have no tokens: those are not in it.
    filled = (sentence_ptr[sentence + 1] > sentence_ptr[sentence]) | alone[window]
    return window[filled], sentence[filled]
