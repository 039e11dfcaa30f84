"""Windows: the input of one forward pass, and the batches they run in.

Works on token *positions* only: token `t` is the t-th content token of a flat array of the sentences of a chunk
(`sentence_ptr` as in `TokenizedDocument`). Knows nothing of token ids, text, models or torch.

A window is one or two segments in a `Frame` of special tokens, such as `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`,
where A and B are half-open ranges of token positions. The vectors of the positions in its *take* range come from this
window; the take ranges of all windows of an encoding cover every token exactly once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Ints
from polyseme.tasks.text.cut_points import Marks, cut_before
from polyseme.tasks.text.frames import Frame


@dataclass(frozen=True, slots=True)
class Windows:
    """Columns of equal length, one row per window. B is empty (`b_start == b_stop`) for a single segment.

    `frame` has the special tokens of all of them. `owner` is the one sentence that the window has tokens of, which its
    special tokens belong to, or -1 for several; `pair` is the transition that the window scores, or -1.
    """

    frame: Frame
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
        return self.a_stop - self.a_start + b + np.where(b > 0, self.frame.pair, self.frame.single)

    @property
    def taken(self) -> int:
        """The number of tokens that get their vector from these windows."""
        return int((self.take_stop - self.take_start).sum())

    def chosen(self, numbers: Ints) -> Windows:
        """Return the windows `numbers`, in that order."""
        return Windows(self.frame, *(getattr(self, name)[numbers] for name in _COLUMNS))

    def takes(self, numbers: Ints, source: Ints) -> npt.NDArray[np.bool_]:
        """Return `(rows,)`: True for the rows of a batch whose token gets its vector from that row's window.

        The batch is the windows `numbers` one after another; `source` is the token position of each row, -1 for special
        tokens.
        """
        window = np.repeat(numbers, self.lengths[numbers])
        return (source >= self.take_start[window]) & (source < self.take_stop[window])


_COLUMNS = ("a_start", "a_stop", "b_start", "b_stop", "take_start", "take_stop", "owner", "pair")
Row = tuple[int, int, int, int, int, int, int, int]
"""The columns of `Windows`, in their order."""


def _columns(rows: Sequence[Row], frame: Frame) -> Windows:
    table = np.asarray(rows, dtype=np.int64).reshape(-1, len(_COLUMNS))
    return Windows(frame, *(np.ascontiguousarray(table[:, i]) for i in range(len(_COLUMNS))))


def sentence_windows(sentence_ptr: Ints, sentences: Sequence[int] | range, limit: int, frame: Frame) -> Windows:
    """Return one window per sentence, or several overlapping ones if it exceeds `limit` tokens.

    An overlong sentence is covered by evenly spaced windows that overlap by at least half, and each token is taken from
    the window whose centre is nearest.
    """
    capacity = limit - frame.single
    rows: list[Row] = []
    for s in sentences:
        start, stop = int(sentence_ptr[s]), int(sentence_ptr[s + 1])
        if stop - start <= capacity:
            rows.append((start, stop, stop, stop, start, stop, s, -1))
            continue
        count = -(-(stop - start - capacity) // max(1, capacity // 2)) + 1
        starts = [start + round(i * (stop - start - capacity) / (count - 1)) for i in range(count)]
        cuts = [start, *((x + y + capacity) // 2 for x, y in itertools.pairwise(starts)), stop]
        for i, x in enumerate(starts):
            rows.append((x, x + capacity, x + capacity, x + capacity, cuts[i], cuts[i + 1], s, -1))
    return _columns(rows, frame)


def context_windows(
    sentence_ptr: Ints, documents: Sequence[tuple[int, int]], limit: int, marks: Marks, frame: Frame
) -> Windows:
    """Return windows of at most `limit` tokens, filled with neighbouring sentences of one document.

    `documents` are half-open ranges of sentences, `marks` is `(sentences,)` and says where windows end (`cut_points`).
    Windows are at least half full where neighbours fit. Neighbouring windows share up to a quarter of their tokens, in
    whole sentences; a shared sentence is taken from the window in which it is more central.
    """
    capacity = limit - frame.single
    ptr = sentence_ptr
    plain: list[Row] = []
    alone: list[int] = []
    for first, last in documents:
        spans: list[tuple[int, int]] = []
        i = first
        while i < last:
            if ptr[i + 1] - ptr[i] > capacity or ptr[i + 1] == ptr[i]:
                alone.append(i)
                i += 1
                continue
            j = i + 1
            while j < last and ptr[j + 1] > ptr[j] and ptr[j + 1] - ptr[i] <= capacity:
                j += 1
            if j == last or ptr[j + 1] - ptr[j] > capacity or ptr[j + 1] == ptr[j]:
                spans.append((i, j))
                i = j
                continue
            j = cut_before(ptr, marks, i, j, capacity)
            spans.append((i, j))
            i = j
            while i - 1 > spans[-1][0] and ptr[j] - ptr[i - 1] <= capacity // 4 and ptr[j + 1] - ptr[i - 1] <= capacity:
                i -= 1
        plain += _take_most_central(ptr, spans)
    single = sentence_windows(ptr, alone, limit, frame)
    return concatenate(_columns(plain, frame), single)


def _take_most_central(ptr: Ints, spans: Sequence[tuple[int, int]]) -> list[Row]:
    """Return rows for windows over sentence ranges that may overlap their neighbours by whole sentences."""
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
    """Pairs of sentences: `first` and `second` are `(pairs,)`, numbers of sentences."""

    first: Ints
    second: Ints

    def __len__(self) -> int:
        return len(self.first)


def pair_windows(sentence_ptr: Ints, pairs: SentencePairs, limit: int, frame: Frame) -> tuple[Windows, Ints]:
    """Return one window per pair, and `(pairs,)`: the number of tokens that did not fit.

    Over the limit the END of the first sentence and the START of the second are kept, half of the window each unless
    one needs less. No vectors are taken from these windows: they only score.
    """
    capacity = limit - frame.pair
    a_start, a_stop = sentence_ptr[pairs.first], sentence_ptr[pairs.first + 1]
    b_start, b_stop = sentence_ptr[pairs.second], sentence_ptr[pairs.second + 1]
    a_len, b_len = a_stop - a_start, b_stop - b_start
    keep_a = np.where(a_len + b_len <= capacity, a_len, np.minimum(a_len, np.maximum(capacity - b_len, capacity // 2)))
    keep_b = np.where(a_len + b_len <= capacity, b_len, np.minimum(b_len, capacity - keep_a))
    left_out = a_len + b_len - keep_a - keep_b
    number = np.arange(len(pairs), dtype=np.int64)
    none = np.zeros(len(pairs), dtype=np.int64)
    windows = Windows(frame, a_stop - keep_a, a_stop, b_start, b_start + keep_b, none, none, none - 1, number)
    return windows, left_out


def paired_context_windows(
    sentence_ptr: Ints, pairs: SentencePairs, sentences: int, limit: int, frame: Frame
) -> tuple[Windows, Ints]:
    """Return windows that score adjacent `pairs` and give every sentence its vectors in one pass.

    The vectors of a sentence come from the pair in which it is first, those of a document's last sentence from the pair
    in which it is second. A sentence whose pair is over the limit, or without a neighbour, gets windows of its own.
    The second result is `(pairs,)`: the number of tokens that did not fit.
    """
    windows, left_out = pair_windows(sentence_ptr, pairs, limit, frame)
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
    # A and B of neighbours are one contiguous range, so both can be taken.
    take_start[as_second[last]] = np.where(
        take_stop[as_second[last]] > take_start[as_second[last]], take_start[as_second[last]], sentence_ptr[last]
    )
    take_stop[as_second[last]] = sentence_ptr[last + 1]
    joined = replace(windows, take_start=take_start, take_stop=take_stop)
    return concatenate(joined, sentence_windows(sentence_ptr, alone.tolist(), limit, frame)), left_out


def concatenate(first: Windows, *others: Windows) -> Windows:
    """Return all windows in the order given. They have one frame."""
    parts = (first, *others)
    return Windows(first.frame, *(np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS))


def batches(lengths: Ints, budget: int | Callable[[], int]) -> Iterator[Ints]:
    """Yield window numbers in batches of at most `budget` tokens (or one window), longest first.

    If `budget` is a function, it is called before each batch: an encoder lowers it if a batch did not fit.

    Longest first puts windows of one length next to each other, so that attention runs unpadded over groups of equal
    lengths, and makes a lack of memory show in the first batch. Ties keep input order.
    """
    order = np.argsort(-lengths, kind="stable")
    total = np.cumsum(lengths[order])
    start = 0
    while start < len(order):
        before = total[start - 1] if start else 0
        most = budget() if callable(budget) else budget
        stop = max(start + 1, int(np.searchsorted(total, before + most, side="right")))
        yield order[start:stop]
        start = stop
