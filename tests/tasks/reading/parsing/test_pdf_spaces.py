"""A gap as wide as a space is one, whatever moved the letters; letters that all stand apart are no words."""

from __future__ import annotations

import pytest

from polyseme.tasks.reading.parsing.parsed import ParseRequest
from tests import document_files as made
from tests.extras import require

pytestmark = pytest.mark.extra

MOVED = b"/F1 10 Tf 20 700 Td (the rules described belo) Tj 2.5 Tc 104 0 Td (wu) Tj 0 Tc 15.28 0 Td (nder as ) Tj"
"""As groff sets it: the letter before the space is moved away from the one behind it."""
APART = b"/F1 10 Tf 3 Tc 20 700 Td (CONTENTS) Tj"
ONE_LINE = b"/F1 10 Tf 20 700 Td (They are read in order.) Tj"


def text(*pages: str | bytes) -> str:
    require("pypdfium2", "documents")
    from polyseme.tasks.reading.parsing.pdf import parse_pdf

    data = made.pdf(pages)
    request = ParseRequest(suffix=".pdf", data=data, most_bytes=1 << 20, seconds=60, megabytes=512)
    (parsed,) = parse_pdf(data, request)
    return parsed.text


def test_a_gap_between_two_letters_is_a_space() -> None:
    assert text(MOVED) == "the rules described below under as"


def test_letters_that_all_stand_apart_are_one_word() -> None:
    assert text(MOVED, APART).split("\n\n")[1] == "CONTENTS"


def test_one_gap_on_a_page_that_is_tried_has_all_pages_looked_at() -> None:
    pages = [ONE_LINE] * 40
    pages[32] = pages[33] = MOVED
    assert text(*pages).count("below under") == 2


@pytest.mark.parametrize("line", ["A. B, c; (d) [e] -- f.g/h", "10 000 km² – “so” … 3,5 %", "fi AVAT To. W. Y, LT"])
def test_a_text_without_gaps_stays_as_it_is(line: str) -> None:
    assert text(MOVED, line).split("\n\n")[1] == line
