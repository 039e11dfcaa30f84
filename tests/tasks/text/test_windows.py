"""Windows cover every token exactly once and never exceed the limit; batches run every window once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyseme.tasks.arrays import Ints
from polyseme.tasks.text.cut_points import Marks, sentence_marks
from polyseme.tasks.text.windows import (
    SentencePairs,
    Windows,
    batches,
    context_windows,
    pair_windows,
    paired_context_windows,
    sentence_windows,
)
from tests.frames import MINI

LIMITS = st.integers(16, 70)
LENGTHS = st.lists(st.one_of(st.integers(0, 12), st.integers(0, 200)), max_size=25)


def pointer(lengths: list[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def concatenated(documents: list[list[int]]) -> tuple[Ints, list[tuple[int, int]]]:
    """Return the pointer of all sentences of documents, and the range of sentences of each."""
    edges = np.cumsum([0, *(len(document) for document in documents)]).tolist()
    return pointer([length for document in documents for length in document]), list(pairwise(edges))


def marks_of(ptr: Ints) -> Marks:
    """Return marks of sentences of made-up tokens, the same for the same lengths before them."""
    return sentence_marks(np.arange(int(ptr[-1]), dtype=np.int32), ptr)


def assert_complete(windows: Windows, ptr: Ints, limit: int) -> None:
    """Assert that every token is taken once, from a window that contains it, and that no window is too long."""
    taken = np.zeros(int(ptr[-1]), dtype=int)
    for start, stop in zip(windows.take_start, windows.take_stop, strict=True):
        taken[start:stop] += 1
    assert (taken == 1).all()
    assert windows.taken == ptr[-1]
    assert (windows.lengths <= limit).all()
    held = windows.take_stop > windows.take_start
    assert (windows.take_start[held] >= windows.a_start[held]).all()
    assert (windows.take_stop[held] <= np.maximum(windows.a_stop, windows.b_stop)[held]).all()


@given(LENGTHS, LIMITS)
def test_sentence_windows_take_every_token_once(lengths: list[int], limit: int) -> None:
    ptr = pointer(lengths)
    windows = sentence_windows(ptr, range(len(lengths)), limit, MINI)
    assert_complete(windows, ptr, limit)
    assert set(windows.owner.tolist()) == set(range(len(lengths)))


@given(LENGTHS, LIMITS)
def test_a_sentence_that_fits_has_one_window_of_its_own(lengths: list[int], limit: int) -> None:
    ptr = pointer(lengths)
    windows = sentence_windows(ptr, range(len(lengths)), limit, MINI)
    for s, length in enumerate(lengths):
        (mine,) = np.nonzero(windows.owner == s)
        assert (len(mine) == 1) == (length <= limit - 2)
        assert windows.a_start[mine[0]] == ptr[s]
        assert windows.a_stop[mine[-1]] == ptr[s + 1]
        assert len(mine) == 1 or (windows.lengths[mine] == limit).all()


@given(LENGTHS, LIMITS)
def test_a_token_of_an_overlong_sentence_is_taken_where_it_is_most_central(lengths: list[int], limit: int) -> None:
    windows = sentence_windows(pointer(lengths), range(len(lengths)), limit, MINI)
    for s in range(len(lengths)):
        (mine,) = np.nonzero(windows.owner == s)
        centres = (windows.a_start[mine] + windows.a_stop[mine] - 1) / 2
        for w, centre in zip(mine, centres, strict=True):
            tokens = np.arange(windows.take_start[w], windows.take_stop[w])
            nearest = np.abs(tokens[:, None] - centres).min(axis=1, initial=np.inf)
            # Two windows may be equally near; cuts fall on whole tokens.
            assert (np.abs(tokens - centre) <= nearest + 1).all()


@given(LENGTHS, LIMITS)
def test_overlong_sentences_overlap_by_at_least_half_a_window(lengths: list[int], limit: int) -> None:
    windows = sentence_windows(pointer(lengths), range(len(lengths)), limit, MINI)
    same = windows.owner[1:] == windows.owner[:-1]
    overlap = (windows.a_stop[:-1] - windows.a_start[1:])[same]
    assert (overlap >= (limit - 2) // 2).all()


@given(st.lists(LENGTHS, min_size=1, max_size=5), LIMITS)
def test_context_windows_take_every_token_once_and_stay_in_their_document(
    documents: list[list[int]], limit: int
) -> None:
    ptr, ranges = concatenated(documents)
    windows = context_windows(ptr, ranges, limit, marks_of(ptr), MINI)
    assert_complete(windows, ptr, limit)
    borders = ptr[[0, *(last for _, last in ranges)]]
    document_of_start = np.searchsorted(borders, windows.a_start, side="right")
    document_of_stop = np.searchsorted(borders, np.maximum(windows.a_stop - 1, windows.a_start), side="right")
    filled = windows.a_stop > windows.a_start
    assert (document_of_start[filled] == document_of_stop[filled]).all()


@given(st.lists(LENGTHS, min_size=1, max_size=3), LIMITS)
def test_context_windows_have_complete_sentences_and_are_half_full_where_they_fit(
    documents: list[list[int]], limit: int
) -> None:
    ptr, ranges = concatenated(documents)
    windows = context_windows(ptr, ranges, limit, marks_of(ptr), MINI)
    joined = windows.owner < 0
    ends = {int(ptr[last]) for _, last in ranges}
    for start, stop in zip(windows.a_start[joined], windows.a_stop[joined], strict=True):
        assert {int(start), int(stop)} <= set(ptr.tolist())
        following = int(np.searchsorted(ptr, stop, side="left"))
        if int(stop) not in ends and ptr[following + 1] > stop:
            too_long = ptr[following + 1] - start > limit - 2
            assert too_long or stop - start >= (limit - 2) // 2


@given(st.lists(LENGTHS, min_size=1, max_size=3), LIMITS)
def test_neighbouring_context_windows_share_at_most_a_quarter(documents: list[list[int]], limit: int) -> None:
    ptr, ranges = concatenated(documents)
    windows = context_windows(ptr, ranges, limit, marks_of(ptr), MINI)
    (joined,) = np.nonzero(windows.owner < 0)
    starts, stops = windows.a_start[joined], windows.a_stop[joined]
    assert (np.diff(starts) > 0).all()
    assert (np.diff(stops) > 0).all()
    assert (stops[:-1] - starts[1:] <= (limit - 2) // 4).all()


@given(st.lists(LENGTHS, min_size=1, max_size=3), LIMITS)
def test_only_sentences_without_tokens_or_beyond_the_limit_have_windows_of_their_own(
    documents: list[list[int]], limit: int
) -> None:
    ptr, ranges = concatenated(documents)
    windows = context_windows(ptr, ranges, limit, marks_of(ptr), MINI)
    lengths = np.diff(ptr)
    alone = np.flatnonzero((lengths == 0) | (lengths > limit - 2))
    assert sorted(set(windows.owner[windows.owner >= 0].tolist())) == alone.tolist()


def test_a_shared_sentence_is_taken_where_it_is_more_central() -> None:
    ptr = pointer([20, 20, 5, 5, 20, 20])
    windows = context_windows(ptr, [(0, 6)], 62, np.array([9, 9, 9, 9, 0, 9], np.uint64), MINI)
    spans = list(zip(windows.a_start, windows.a_stop, windows.take_start, windows.take_stop, strict=True))
    assert spans == [(0, 50, 0, 45), (40, 90, 45, 90)]


@given(LENGTHS, LIMITS)
def test_pair_windows_keep_what_fits_and_count_the_rest(lengths: list[int], limit: int) -> None:
    ptr = pointer(lengths)
    first = np.arange(max(0, len(lengths) - 1), dtype=np.int64)
    windows, left_out = pair_windows(ptr, SentencePairs(first, first + 1), limit, MINI)
    total = ptr[first + 2] - ptr[first]
    kept = windows.a_stop - windows.a_start + windows.b_stop - windows.b_start
    assert (kept + left_out == total).all()
    assert (left_out[total <= limit - 3] == 0).all()
    assert (kept[total > limit - 3] == limit - 3).all()
    assert (windows.a_stop == ptr[first + 1]).all()
    assert (windows.b_start == ptr[first + 1]).all()
    half = (limit - 3) // 2
    for kept_of_one, whole in (
        (windows.a_stop - windows.a_start, ptr[first + 1] - ptr[first]),
        (windows.b_stop - windows.b_start, ptr[first + 2] - ptr[first + 1]),
    ):
        assert (kept_of_one >= np.minimum(whole, half)).all()
        assert (kept_of_one <= whole).all()


@given(st.lists(LENGTHS, min_size=1, max_size=4), LIMITS)
def test_paired_windows_take_every_token_once_and_score_every_pair(documents: list[list[int]], limit: int) -> None:
    ptr, _ = concatenated(documents)
    document = np.repeat(np.arange(len(documents)), [len(d) for d in documents])
    first = np.flatnonzero(document[:-1] == document[1:]).astype(np.int64)
    windows, _ = paired_context_windows(ptr, SentencePairs(first, first + 1), len(document), limit, MINI)
    assert_complete(windows, ptr, limit)
    assert windows.pair[windows.pair >= 0].tolist() == list(range(len(first)))


@given(LENGTHS.filter(lambda lengths: len(lengths) > 1), LIMITS)
def test_a_sentence_is_taken_as_the_first_of_its_pair_if_that_fits(lengths: list[int], limit: int) -> None:
    ptr = pointer(lengths)
    first = np.arange(len(lengths) - 1, dtype=np.int64)
    windows, left_out = paired_context_windows(ptr, SentencePairs(first, first + 1), len(lengths), limit, MINI)
    for s in np.flatnonzero((left_out == 0) & (np.diff(ptr)[:-1] > 0)):
        assert windows.take_start[s] == windows.a_start[s] == ptr[s]
        assert windows.take_stop[s] >= ptr[s + 1]


@given(st.lists(st.integers(1, 600), max_size=200), st.integers(1, 2000))
def test_batches_run_every_window_once_longest_first_within_the_budget(lengths: list[int], budget: int) -> None:
    sizes = np.array(lengths, dtype=np.int64)
    found = list(batches(sizes, budget))
    order = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (np.diff(sizes[order]) <= 0).all()
    assert all(sizes[batch].sum() <= budget or len(batch) == 1 for batch in found)


@given(LENGTHS, LIMITS, st.integers(1, 500))
def test_every_token_is_taken_from_one_row_of_all_batches(lengths: list[int], limit: int, budget: int) -> None:
    windows = sentence_windows(pointer(lengths), range(len(lengths)), limit, MINI)
    taken = np.zeros(sum(lengths), dtype=int)
    for numbers in batches(windows.lengths, budget):
        bounds = zip(windows.a_start[numbers].tolist(), windows.a_stop[numbers].tolist(), strict=True)
        source = np.array([row for start, stop in bounds for row in (-1, *range(start, stop), -1)])
        np.add.at(taken, source[windows.takes(numbers, source)], 1)
    assert (taken == 1).all()
