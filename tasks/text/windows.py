"""Windows: what one forward pass sees, and the batches they run in.

Works on token *positions* only: token `t` is the t-th content token of a flat array that
holds the sentences of a shard one after another (`sentence_ptr` as in `TokenizedDocument`).
Knows nothing of token ids, text, models or torch.

A window is `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, where A and B are half-open ranges of
token positions. The vectors of the positions in its *take* range come from this window; the
take ranges of all windows of an encoding cover every token exactly once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Ints

SPECIALS_ONE = 2  # [CLS] A [SEP]
SPECIALS_PAIR = 3  # [CLS] A [SEP] B [SEP]


@dataclass(frozen=True, slots=True)
class Windows:
    """Columns of equal length, one row a window. B is empty (`b_start == b_stop`) for a single segment.

    `owner` is the sentence whose `[CLS]` and closing `[SEP]` these are (only where the window holds that
    sentence alone), else -1; `pair` is the transition the window scores, else -1.
    """

    a_start: Ints
    a_stop: Ints
    b_start: Ints
    b_stop: Ints
    take_start: Ints
    take_stop: Ints
    owner: Ints
    pair: Ints

    def __len__(self) -> int:
        return len(self.a_start)

    @property
    def lengths(self) -> Ints:
        """Tokens of each window, special tokens included."""
        b = self.b_stop - self.b_start
        return self.a_stop - self.a_start + b + np.where(b > 0, SPECIALS_PAIR, SPECIALS_ONE)

    @property
    def taken(self) -> int:
        """How many tokens get their vector from these windows."""
        return int((self.take_stop - self.take_start).sum())

    def takes(self, numbers: Ints, source: Ints) -> npt.NDArray[np.bool_]:
        """Return `(rows,)`: True for rows of a batch whose token gets its vector from the window the row is in.

        The batch holds the windows `numbers` one after another; `source` is each row's token position, -1 for special
        tokens.
        """
        window = np.repeat(numbers, self.lengths[numbers])
        return (source >= self.take_start[window]) & (source < self.take_stop[window])


Row = tuple[int, int, int, int, int, int, int, int]


def _columns(rows: Sequence[Row]) -> Windows:
    table = np.asarray(rows, dtype=np.int64).reshape(-1, 8)
    return Windows(*(np.ascontiguousarray(table[:, i]) for i in range(8)))


def sentence_windows(sentence_ptr: Ints, sentences: Sequence[int] | range, limit: int) -> Windows:
    """Return one window a sentence, or overlapping ones where it exceeds `limit` tokens.

    An overlong sentence is covered by evenly spaced windows that overlap by at least half, and each
    token is taken from the window whose centre is nearest: its most central one.
    """
    room = limit - SPECIALS_ONE
    rows: list[Row] = []
    for s in sentences:
        start, stop = int(sentence_ptr[s]), int(sentence_ptr[s + 1])
        if stop - start <= room:
            rows.append((start, stop, stop, stop, start, stop, s, -1))
            continue
        count = -(-(stop - start - room) // max(1, room // 2)) + 1
        starts = [start + round(i * (stop - start - room) / (count - 1)) for i in range(count)]
        cuts = [start, *((x + y + room) // 2 for x, y in itertools.pairwise(starts)), stop]
        for i, x in enumerate(starts):
            rows.append((x, x + room, x + room, x + room, cuts[i], cuts[i + 1], s, -1))
    return _columns(rows)


def context_windows(sentence_ptr: Ints, documents: Sequence[tuple[int, int]], limit: int) -> Windows:
    """Return windows filled with neighbouring sentences of one document.

    `documents` are half-open ranges of sentences. Neighbouring windows share up to a quarter of their
    tokens in whole sentences; a shared sentence is taken from the window where it is more central.
    """
    room = limit - SPECIALS_ONE
    ptr = sentence_ptr
    plain: list[Row] = []
    alone: list[int] = []
    for first, last in documents:
        spans: list[tuple[int, int]] = []
        i = first
        while i < last:
            if ptr[i + 1] - ptr[i] > room or ptr[i + 1] == ptr[i]:
                alone.append(i)
                i += 1
                continue
            j = i + 1
            while j < last and ptr[j + 1] > ptr[j] and ptr[j + 1] - ptr[i] <= room:
                j += 1
            spans.append((i, j))
            if j == last or ptr[j + 1] - ptr[j] > room or ptr[j + 1] == ptr[j]:
                i = j
                continue
            i = j
            while i - 1 > spans[-1][0] and ptr[j] - ptr[i - 1] <= room // 4 and ptr[j + 1] - ptr[i - 1] <= room:
                i -= 1
        plain += _take_most_central(ptr, spans)
    single = sentence_windows(ptr, alone, limit)
    return concatenate(_columns(plain), single)


def _take_most_central(ptr: Ints, spans: Sequence[tuple[int, int]]) -> list[Row]:
    """Rows for windows over sentence ranges that may overlap their neighbours by whole sentences."""
    rows: list[Row] = []
    take = spans[0][0] if spans else 0
    for k, (i, j) in enumerate(spans):
        end = j
        if k + 1 < len(spans) and spans[k + 1][0] < j:
            n, m = spans[k + 1]
            middle = (ptr[i] + ptr[j] + ptr[n] + ptr[m]) / 4
            end = next((s for s in range(n, j) if (ptr[s] + ptr[s + 1]) / 2 >= middle), j)
        take = max(take, i)
        start, stop = int(ptr[i]), int(ptr[j])
        rows.append((start, stop, stop, stop, int(ptr[take]), int(ptr[end]), -1, -1))
        take = end
    return rows


@dataclass(frozen=True, slots=True)
class SentencePairs:
    """Transitions to score: `first` and `second` are sentences, one row a transition."""

    first: Ints
    second: Ints

    def __len__(self) -> int:
        return len(self.first)


def pair_windows(sentence_ptr: Ints, pairs: SentencePairs, limit: int) -> tuple[Windows, Ints]:
    """Return one window a pair, and how many tokens each had to leave out.

    Over the limit the END of the first sentence and the START of the second are kept, half the room
    each unless one needs less. Nothing is taken from these windows: they only score.
    """
    room = limit - SPECIALS_PAIR
    a_start, a_stop = sentence_ptr[pairs.first], sentence_ptr[pairs.first + 1]
    b_start, b_stop = sentence_ptr[pairs.second], sentence_ptr[pairs.second + 1]
    a_len, b_len = a_stop - a_start, b_stop - b_start
    keep_a = np.where(a_len + b_len <= room, a_len, np.minimum(a_len, np.maximum(room - b_len, room // 2)))
    keep_b = np.where(a_len + b_len <= room, b_len, np.minimum(b_len, room - keep_a))
    left_out = a_len + b_len - keep_a - keep_b
    number = np.arange(len(pairs), dtype=np.int64)
    none = np.zeros(len(pairs), dtype=np.int64)
    windows = Windows(a_stop - keep_a, a_stop, b_start, b_start + keep_b, none, none, none - 1, number)
    return windows, left_out


def paired_context_windows(
    sentence_ptr: Ints, pairs: SentencePairs, sentences: int, limit: int
) -> tuple[Windows, Ints]:
    """Return windows that score adjacent `pairs` and give every sentence its vectors in one pass.

    A sentence is taken as the first half of its pair, the last one of a document as the second half.
    A sentence whose pair is over the limit, or that has no neighbour, gets windows of its own.
    """
    windows, left_out = pair_windows(sentence_ptr, pairs, limit)
    whole = np.flatnonzero(left_out == 0)
    as_first, as_second = (np.full(sentences, -1, dtype=np.int64) for _ in range(2))
    as_first[pairs.first[whole]] = whole
    as_second[pairs.second[whole]] = whole
    filled = np.diff(sentence_ptr[: sentences + 1]) > 0
    alone = np.flatnonzero(((as_first < 0) & (as_second < 0)) | ~filled)
    last = np.flatnonzero((as_first < 0) & (as_second >= 0) & filled)
    take_start, take_stop = windows.take_start.copy(), windows.take_stop.copy()
    first = np.flatnonzero((as_first >= 0) & filled)
    take_start[as_first[first]], take_stop[as_first[first]] = sentence_ptr[first], sentence_ptr[first + 1]
    # `[CLS] A [SEP] B [SEP]` of neighbours is one contiguous range, so A and B can both be taken.
    take_start[as_second[last]] = np.where(
        take_stop[as_second[last]] > take_start[as_second[last]], take_start[as_second[last]], sentence_ptr[last]
    )
    take_stop[as_second[last]] = sentence_ptr[last + 1]
    joined = Windows(
        windows.a_start, windows.a_stop, windows.b_start, windows.b_stop, take_start, take_stop,
        windows.owner, windows.pair,
    )  # fmt: skip
    return concatenate(joined, sentence_windows(sentence_ptr, alone.tolist(), limit)), left_out


def concatenate(*windows: Windows) -> Windows:
    """Return all windows in the given order."""
    names = Windows.__slots__
    return Windows(*(np.concatenate([getattr(w, name) for w in windows]) for name in names))


def batches(lengths: Ints, budget: int | Callable[[], int]) -> Iterator[Ints]:
    """Yield window numbers in batches of at most `budget` tokens (or one window), longest first.

    A function is asked for the budget of each batch: an encoder lowers it when a batch did not fit.

    Longest first puts windows of one length next to each other, so that attention runs unpadded over
    groups of equal lengths, and makes memory trouble show in the first batch. Ties keep input order.
    """
    order = np.argsort(-lengths, kind="stable")
    total = np.cumsum(lengths[order])
    start = 0
    while start < len(order):
        before = total[start - 1] if start else 0
        room = budget() if callable(budget) else budget
        stop = max(start + 1, int(np.searchsorted(total, before + room, side="right")))
        yield order[start:stop]
        start = stop
