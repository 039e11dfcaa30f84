"""What a run says that rounded documents: how many, to what, and where they are found."""

from __future__ import annotations

from typing import Any

import pytest

from polyseme.flows.commands.backfill import _print_summary
from polyseme.flows.display.rounded_text import shown_elsewhere, view_name, written_text
from polyseme.flows.display.run_summary import show_line, show_summary
from polyseme.flows.runs.run_report import RunReport, markdown
from polyseme.storage.records import Counts
from polyseme.tasks.shards.tally import Tally


def report(documents: int, rounded: int, **changes: Any) -> RunReport:
    found: dict[str, Any] = {
        "run_id": "r", "state": "completed", "lake": "/my lakes/n", "encoding_id": "e", "encoding": "small",
        "store": "int8", "default_encoding": "large", "shards": 1, "wall_seconds": 2.0,
        "tally": Tally(documents=documents + 1, new=documents, unchanged=1),
        "counts": Counts(documents=documents, rounded_documents=rounded, sentences=40, reused_sentences=30, tokens=900),
    }  # fmt: skip
    return RunReport(**found | changes)


@pytest.mark.parametrize(
    ("documents", "rounded", "text"),
    [
        (0, 0, "0 documents embedded"),
        (3, 0, "3 documents embedded"),
        (1, 1, "1 document rounded to int8 without the model"),
        (3, 2, "1 document embedded, 2 rounded to int8"),
    ],
)
def test_what_was_rounded_is_not_called_embedded(documents: int, rounded: int, text: str) -> None:
    assert written_text(report(documents, rounded)) == text


def test_a_run_that_only_rounded_has_no_speed_of_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(report(3, 3))
    said = capsys.readouterr().out
    assert "3 documents rounded to int8 without the model: 40 sentences, " in said
    assert not any(word in said for word in ("reused", "tokens/s", "at work", "embedded"))
    show_summary(report(3, 2))
    said = capsys.readouterr().out
    assert "1 document embedded, 2 rounded to int8: 40 sentences (30 reused), " in said
    assert "tokens/s" in said
    show_line("news", report(3, 3))
    assert "3 documents rounded to int8 without the model in 2.0 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("documents", "rounded", "text"),
    [
        (3, 3, "4 documents selected: 3 to round, 1 up to date. 3 rounded to int8 without the model: 40 sentences"),
        (3, 1, "2 to encode, 1 to round, 1 up to date. 2 encoded, 1 rounded to int8 without the model: 40 sentences"),
        (3, 0, "4 documents selected: 3 to encode, 1 up to date. 3 encoded: 40 sentences"),
    ],
)
def test_a_backfill_says_what_it_rounded(
    capsys: pytest.CaptureFixture[str], documents: int, rounded: int, text: str
) -> None:
    _print_summary(report(documents, rounded))
    assert text in capsys.readouterr().out


def test_views_are_named_that_show_what_the_run_wrote() -> None:
    beside, alone = report(3, 3), report(3, 3, default_encoding="small")
    assert view_name(beside, "sentences") == "sentences_small"
    assert "polyseme status --default small --lake '/my lakes/n'" in shown_elsewhere(beside)
    assert (view_name(alone, "sentences"), shown_elsewhere(alone)) == ("sentences", "")
    assert shown_elsewhere(report(0, 0)) == "", "nothing was written that anybody would look for"


def test_the_page_of_a_run_has_a_row_for_it() -> None:
    page = markdown(report(3, 2))
    assert "| documents rounded from vectors of the lake, not encoded | 2 |" in page
    assert "(e), stored as int8, " in page
    assert "stored as" not in markdown(report(3, 0, store="float16"))
