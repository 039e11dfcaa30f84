"""Windows of a text that was edited are the old ones again some windows after the edit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from polyseme.tasks.text.cut_points import cut_before, sentence_marks
from polyseme.tasks.text.windows import context_windows
from tests.frames import MINI

LIMIT = 66


def windows_of(sentences: list[list[int]]) -> list[tuple[int, ...]]:
    """Return the token ids of each window of a document of these sentences."""
    ids = np.array([token for sentence in sentences for token in sentence], np.int32)
    ptr = np.cumsum([0, *map(len, sentences)]).astype(np.int64)
    found = context_windows(ptr, [(0, len(sentences))], LIMIT, sentence_marks(ids, ptr), MINI)
    return [tuple(ids[a:b].tolist()) for a, b in zip(found.a_start, found.a_stop, strict=True)]


def text(seed: int, sentences: int) -> list[list[int]]:
    random = np.random.default_rng(seed)
    return [random.integers(0, 30_000, size=int(random.integers(1, 20))).tolist() for _ in range(sentences)]


def test_an_insertion_changes_the_windows_near_it_and_no_others() -> None:
    changed = []
    for seed in range(40):
        before = text(seed, 400)
        at = 20 + seed
        after = windows_of([*before[:at], *text(1000 + seed, 1), *before[at:]])
        changed.append(len([window for window in after if window not in set(windows_of(before))]))
    # Of 86 windows; cut by length alone all those behind the insertion were new ones.
    assert np.mean(changed) < 5
    assert max(changed) < 20


def test_what_follows_an_edit_far_away_is_the_same_windows() -> None:
    before = text(3, 600)
    for first in (text(4, 1), text(5, 7), text(6, 90), []):
        assert windows_of([*first, *before])[-60:] == windows_of(before)[-60:]


def test_a_mark_depends_on_a_sentences_ids_and_their_order_alone() -> None:
    ids = np.array([5, 6, 7, 5, 6, 7, 7, 6, 5, 5, 6], np.int32)
    marks = sentence_marks(ids, np.array([0, 3, 3, 6, 9, 11]))
    assert marks[0] == marks[2]
    assert len({*marks.tolist()}) == 4
    assert marks[1] == 0


def test_the_marks_are_those_of_the_encoding() -> None:
    """Another value here is another encoding: raise ENCODING_SCHEMES["window"]."""
    marks = sentence_marks(np.array([101, 2003, 102, 7], np.int32), np.array([0, 3, 4]))
    assert marks.tolist() == [13295213005756412606, 11909183003098928054]


@given(st.lists(st.integers(1, 12), min_size=2, max_size=30), st.integers(0, 2**32), st.integers(12, 60))
def test_a_cut_is_where_the_mark_is_least_in_the_second_half(lengths: list[int], seed: int, capacity: int) -> None:
    ptr = np.cumsum([0, *lengths]).astype(np.int64)
    marks: npt.NDArray[np.uint64] = np.random.default_rng(seed).integers(0, 2**63, len(lengths)).astype(np.uint64)
    stop = min(len(lengths) - 1, int(np.searchsorted(ptr, capacity, side="right")) - 1)
    cut = cut_before(ptr, marks, 0, stop, capacity)
    half = [s for s in range(1, stop + 1) if ptr[s] >= capacity // 2] or [stop]
    assert cut in half
    assert marks[cut] == min(marks[s] for s in half)
