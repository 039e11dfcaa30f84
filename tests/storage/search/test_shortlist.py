"""Shortlists: exactly the rows of least Hamming distance, however codes, masks, threads and questions are cut."""

from __future__ import annotations

import numpy as np
import pytest

from polyseme.storage.search import shortlist
from polyseme.storage.search.shortlist import Codes, Words, shortlists


def codes(words: int, rows: int, seed: int = 0) -> Words:
    return np.random.default_rng(seed).integers(0, 2**63, size=(words, rows), dtype=np.uint64)


def by_sorting(bits: Words, question: np.ndarray, wanted: np.ndarray, length: int) -> list[int]:
    distances = np.bitwise_count(bits ^ question[:, None]).sum(0, dtype=np.int64)
    order = np.lexsort((np.arange(len(distances)), distances))
    return sorted(order[wanted[order]][:length].tolist())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("words", "length"), [(1, 10), (6, 100), (16, 1)])
def test_they_are_those_of_sorting_all(words: int, length: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlist, "_WORDS_A_BLOCK", 64 * words)
    monkeypatch.setattr(shortlist, "_THREADS", threads)
    bits, questions = codes(words, 5000), codes(words, 3, seed=1).T
    cut = [Codes(bits[:, :1900], 0), Codes(bits[:, 1900:1900], 1900), Codes(bits[:, 1900:], 1900)]
    found = shortlists(cut, questions, [length] * 3, lambda: None)
    every = np.ones(5000, np.bool_)
    assert [rows.tolist() for rows in found] == [by_sorting(bits, q, every, length) for q in questions]


@pytest.mark.parametrize("share", [0.5, 0.001, 0])
def test_rows_that_are_not_wanted_are_left_out_before(share: float) -> None:
    bits, questions = codes(2, 40_000), codes(2, 1, seed=1).T
    wanted = np.random.default_rng(2).random(40_000) < share
    (found,) = shortlists([Codes(bits, 0, wanted)], questions, [50], lambda: None)
    assert found.tolist() == by_sorting(bits, questions[0], wanted, 50)


def test_of_equally_near_rows_the_first_are_taken() -> None:
    (found,) = shortlists([Codes(np.zeros((1, 100_000), np.uint64), 0)], np.zeros((1, 1), np.uint64), [7], lambda: None)
    assert found.tolist() == list(range(7))


def test_a_search_can_be_stopped() -> None:
    class StoppedError(Exception):
        pass

    def stop() -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        shortlists([Codes(codes(1, 10), 0)], codes(1, 1).T, [1], stop)


def test_only_the_cells_that_are_chosen_are_searched_for_each_question() -> None:
    bits, questions = codes(2, 1000), codes(2, 3, seed=9).T
    cells = np.array([0, 300, 300, 700, 1000])
    near = [np.array(chosen, np.int64) for chosen in ([3, 0], [1, 2], [])]
    found = shortlists([Codes(bits, 5000, cells=cells)], questions, [20] * 3, lambda: None, near)
    of = np.repeat(np.arange(4), np.diff(cells))
    for question, chosen, mine in zip(questions, near, found, strict=True):
        assert (mine - 5000).tolist() == by_sorting(bits, question, np.isin(of, chosen), 20)
