"""Concordance lines: keywords stay one below the other, whatever characters are around them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from polyseme.flows.display.concordance import ConcordanceLine, concordance, fitted, fitted_end

TEXT = st.lists(st.sampled_from([*"ab 日本é\u0301שלוםمرحبا\x1b\n\u202e", "👩\u200d👩", "e\u0301\u0300"]), max_size=30)


def line(before: str, keyword: str = "bank", after: str = " of it", source: str = "doc") -> ConcordanceLine:
    return ConcordanceLine(source=source, before=before, keyword=keyword, after=after)


def column(shown: str, word: str) -> int:
    return cell_len(shown[: shown.index(word)])


@given(st.lists(TEXT, min_size=1, max_size=5), st.integers(0, 40))
def test_keywords_begin_in_one_column_whatever_is_before_them(befores: list[list[str]], context: int) -> None:
    lines = [line("".join(before), "KEY") for before in befores]
    shown = concordance(lines, context=context, width=None, isolate=False)
    assert len({column(text, "KEY") for text in shown}) == 1
    assert not any(c in "".join(shown) for c in "\x1b\n\u202e")


def test_lines_are_as_wide_as_the_terminal_and_no_wider() -> None:
    shown = concordance([line("x" * 90, after="y" * 90)] * 2, context=60, width=80, isolate=False)
    assert {cell_len(text) for text in shown} == {79}


def test_text_from_right_to_left_keeps_its_column_on_a_terminal_and_is_bare_in_a_file() -> None:
    given = [line("של ה", "בנק", " הוא"), line("at the ", "bank")]
    bare = concordance(given, context=10, width=None, isolate=False)
    hebrew, english = concordance(given, context=10, width=None, isolate=True)
    assert english == bare[1]
    assert hebrew.startswith("\u200e\u2068doc\u2069")
    assert hebrew.count("\u2068") == hebrew.count("\u2069") == 4
    assert "\u2068" not in bare[0]


@pytest.mark.parametrize(
    ("text", "cells", "start", "end"), [("日本語", 4, "日…", "本語"), ("ae\u0301", 1, "…", "e\u0301")]
)
def test_what_does_not_fit_is_cut_between_characters(text: str, cells: int, start: str, end: str) -> None:
    assert fitted(text, cells) == start
    assert fitted_end(text, cells) == end
