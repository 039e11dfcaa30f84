"""Shingles: runs of words whatever is between them, as numbers that do not change, and how many two texts share."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.word_keys import word_keys
from polyseme.tasks.analysis.shingles import WORDS, Shingler, jaccard
from tests import processes

TEXT = "The river left its bank in spring and the fields were under water"
LETTERS = "aB ßİ銀ी\u0301\u00ad\n\u00a0.,'-→_7\u200b\u3000\u2028"


def shared(first: str, second: str) -> float:
    made = Shingler()
    return jaccard(made.shingles(first), made.shingles(second))


def runs(text: str) -> set[tuple[str, ...]]:
    """Return the shingles of a text as words, by their definition."""
    words = [key for key in word_keys(text) if any(map(str.isalnum, key))]
    length = min(WORDS, len(words))
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)} if length else set()


@given(st.text(alphabet=LETTERS, max_size=60), st.text(alphabet=LETTERS, max_size=60))
def test_similarity_is_the_share_of_runs_of_five_words_that_both_texts_have(first: str, second: str) -> None:
    one, other = runs(first), runs(second)
    assert shared(first, second) == pytest.approx(len(one & other) / max(1, len(one | other)))
    assert len(Shingler().shingles(first)) == len(one)


@pytest.mark.parametrize(
    "same",
    [
        TEXT.upper(),
        TEXT.replace(" ", "\n\n"),
        f"«{TEXT}»!",
        TEXT.replace(" and", ", and —"),
        TEXT.replace("v", "v\u00ad"),
    ],
)
def test_case_punctuation_and_space_make_no_difference(same: str) -> None:
    assert shared(TEXT, same) == 1


def test_one_word_of_thirteen_is_in_five_runs_of_nine() -> None:
    assert shared(TEXT, TEXT.replace("spring", "autumn")) == 4 / 14


def test_a_text_of_few_words_is_one_run_and_one_without_words_has_none() -> None:
    made = Shingler()
    assert [len(made.shingles(text)) for text in ("a", "a b c", "a b c d e", "a b c d e f")] == [1, 1, 1, 2]
    assert [len(made.shingles(text)) for text in ("", "→ … — 🙂", "\u00ad")] == [0, 0, 0]
    assert shared("a b", "b a") == shared("a b", "a b c") == shared("", "") == shared("", "a") == 0


def test_shingles_are_ascending_distinct_and_the_same_in_every_process() -> None:
    found = Shingler().shingles(f"{TEXT}. {TEXT}.")
    assert (np.diff(found.astype(object)) > 0).all()
    code = f"from polyseme.tasks.analysis.shingles import Shingler; print(Shingler().shingles({TEXT!r}).tolist())"
    printed = [processes.run(sys.executable, "-c", code).stdout for _ in range(2)]
    assert printed == [f"{Shingler().shingles(TEXT).tolist()}\n"] * 2


def test_the_words_of_a_large_text_are_those_of_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Shingler().shingles(TEXT)
    monkeypatch.setattr("polyseme.tasks.analysis.shingles._AT_ONCE", 0)
    monkeypatch.setattr("polyseme.tasks.analysis.shingles._KEPT", 0)
    made = Shingler()
    for _ in range(2):
        assert (made.shingles(TEXT) == whole).all()
