"""Splitting only cuts: nothing is lost, nothing overlaps, and time is linear in any text."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import nupunkt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polyseme.tasks.text.splitting import punkt
from polyseme.tasks.text.splitting.punkt import MAX_CHARS, NAME, split

AWKWARD = st.text(
    alphabet=" \n\r\t\f\v\x1c\x85\xa0\u2028\u2029\u200b\ufeff.!?…,;:'\"”)]}(-*•1aA。！？」।؟é\u0301👩\u200d",
    max_size=200,
)


def parts(text: str) -> list[str]:
    return [text[sentence.start : sentence.stop] for sentence in split(text)]


@given(st.one_of(st.text(max_size=300), AWKWARD))
@example("")
@example(" \r\n\t ")
@example("\u2029a\r\n\r\nb\u2028\u2028c")
def test_every_visible_character_is_in_exactly_one_sentence(text: str) -> None:
    spans = split(text)
    assert all(a.stop <= b.start for a, b in pairwise(spans))
    assert all(0 <= span.start < span.stop <= len(text) for span in spans)
    assert all(part == part.strip() for part in parts(text))
    outside = list(text)
    for span in spans:
        outside[span.start : span.stop] = " " * (span.stop - span.start)
    assert not "".join(outside).strip()


@pytest.mark.parametrize(
    "expected",
    [
        ["Dr. Smith went to Washington.", "He paid $3.50.", "Really?!", "Yes... he did."],
        ["He lives in the U.S. with a cat.", "He likes it there."],
        ["J. R. R. Tolkien wrote it.", "It was 5 p.m. when he left.", "See Fig. 3 and p. 12."],
        ['"Stop!" he said.', '"I will go."', "She left."],
        ["“Go.”", "‘Yes.’", "(He went.)", "She stayed."],
        ["He asked “Is it true?” and left.", "Prices rose 3.14 percent, i.e. a lot."],
        ["Wait… what happened?", "Nothing."],
    ],
)
def test_abbreviations_numbers_quotes_and_ellipses_do_not_mislead(expected: list[str]) -> None:
    assert parts(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["你好。", "我叫小明。", "真的吗？！", "是的。"],
        ["「行こう！」", "彼は出かけた。"],
        ["यह पहला वाक्य है।", "यह दूसरा है।"],
        ["هل هذا صحيح؟", "نعم."],
    ],
)
@pytest.mark.parametrize("between", ["", " "])
def test_stops_of_other_scripts_end_a_sentence_with_their_closing_quotes(expected: list[str], between: str) -> None:
    assert parts(between.join(expected)) == expected


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028"])
def test_a_line_break_ends_no_sentence_but_a_blank_line_does(newline: str) -> None:
    wrapped = f"The first sentence{newline}goes on here. The next"
    assert parts(f"{wrapped}{newline} \t{newline}A heading{newline}{newline}{newline}Its text") == [
        f"The first sentence{newline}goes on here.",
        "The next",
        "A heading",
        "Its text",
    ]


def test_a_paragraph_separator_ends_a_sentence_alone() -> None:
    assert parts("one\u2029two") == ["one", "two"]


@pytest.mark.parametrize("markers", [("- ", "- "), ("* ", "* "), ("• ", "• "), ("1. ", "2. "), ("(a) ", "(b) ")])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\n  "])
def test_each_list_item_is_a_sentence_with_its_marker(markers: tuple[str, str], newline: str) -> None:
    items = [f"{markers[0]}bread and butter", f"{markers[1]}milk"]
    assert parts(f"We need these things:{newline}{newline.join(items)}") == ["We need these things:", *items]


def test_a_wrapped_line_that_begins_with_a_dash_or_number_is_not_a_list_item() -> None:
    assert len(split("He saw in the year\n1984. the film\n-5 degrees cold\n3.5 km away")) == 1


def test_a_sentence_longer_than_one_call_to_punkt_is_cut_between_words() -> None:
    text = "lorem ipsum " * MAX_CHARS
    found = parts(text)
    assert " ".join(found).split() == text.split()
    assert max(map(len, found)) <= MAX_CHARS


def test_how_a_long_paragraph_is_passed_to_punkt_does_not_change_its_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(f"Sentence number {n} was written by Dr. Smith of Acme Inc. in Ohio." for n in range(600))
    assert len(text) > 3 * MAX_CHARS
    cut = split(text)
    monkeypatch.setattr(punkt, "MAX_CHARS", len(text))
    assert cut == split(text)


def test_a_very_long_word_is_one_sentence_with_its_neighbours_intact() -> None:
    assert [len(p) for p in parts(f"Hello there. {'w' * 500_000}. Bye now.")] == [12, 500_001, 8]


@pytest.mark.parametrize(
    "unit", ["x", "\n", "\r\n", ".", "a. ", ".)", ".'", '".', "。", "?!", "- ", "\n ", " ", "\x1c"]
)
def test_time_is_linear_in_a_megabyte_of(unit: str) -> None:
    split("Warm up.")
    began = time.process_time()
    split(unit * (1_000_000 // len(unit)))
    # The worst case takes 2 s on a slow core; anything quadratic takes minutes.
    assert time.process_time() - began < 15


def test_the_splitter_names_the_version_of_its_model() -> None:
    assert f"nupunkt-{nupunkt.__version__}/1" == NAME


def test_no_pattern_has_a_possessive_group_which_early_releases_of_python_3_11_never_stop_matching() -> None:
    patterns = [value for value in vars(punkt).values() if isinstance(value, re.Pattern)]
    assert len(patterns) > 3
    assert not [pattern.pattern for pattern in patterns if re.search(r"\)[*+?]\+", pattern.pattern)]
