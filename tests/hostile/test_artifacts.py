"""Artifacts, which Prefect renders as Markdown: ids, titles, names and errors of others mark up nothing in them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from markdown_it import MarkdownIt

from polyseme.storage.records import Counts, HeldBack
from polyseme.tasks.shards.tally import Tally
from polyseme.tasks.sql.run_texts import Text

PARSER = MarkdownIt("commonmark").enable("table")
HOSTILE = (
    "x`` | y\n\n# <img src=https://example.org/x.png> ![](https://example.org) [log in](https://example.org) \u202e"
)
PLAIN = "plain"


def kinds(page: str) -> Counter[str]:
    """Return what a page consists of, but for its text."""
    tokens = [inner for token in PARSER.parse(page) for inner in (token, *(token.children or ()))]
    return Counter(token.type for token in tokens if not token.type.startswith("text"))


def run_page(value: str) -> str:
    from polyseme.flows.runs.run_report import RunReport, markdown

    held = HeldBack(
        encoding_id="e", source=value, run_id="r", reason="too-many", documents=12, had=30, examples=(value,),
        confirm_with="12",
    )  # fmt: skip
    about = {"run_id": "r", "lake": value, "encoding_id": "e", "encoding": value}
    rest = {"counts": Counts(), "tally": Tally(), "shards": 1, "wall_seconds": 1.0}
    held_back = RunReport(state="held-back", held_back=(held,), **about, **rest)  # type: ignore[arg-type]
    failed = RunReport(state="failed", error=value, **about, **rest)  # type: ignore[arg-type]
    return f"{markdown(held_back)}\n\n{markdown(failed)}"


def coherence_page(value: str) -> str:
    from polyseme.flows.coherence import _page, level

    return _page("run", value, level([text(value)]), None, 1)


def training_page(value: str) -> str:
    from polyseme.flows.adapt import AdaptReport, markdown

    figures = {"step": 1.0, "mlm_top1": 0.5}
    report: dict[str, Any] = dict.fromkeys(AdaptReport.__dataclass_fields__, 0)
    report |= {"model": value, "first": figures, "last": figures, "warnings": [], "comparison": None}
    return markdown(AdaptReport(**report))


def text(value: str) -> Text:
    return Text(
        doc_id=value, title=value, margins=(1.0,), worst_after=0, percentile=None, broken_after=(0,), deepest_after=0,
        break_margin=0.0, order_score=None, order_margin=None,
    )  # fmt: skip


@pytest.mark.parametrize("page", [run_page, coherence_page, training_page])
def test_a_page_has_the_same_parts_whatever_names_and_errors_are_in_it(page: Any) -> None:
    assert kinds(page(HOSTILE)) == kinds(page(PLAIN))
    assert "\u202e" not in page(HOSTILE)


def test_the_cells_of_tables_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    from polyseme.flows.coherence import _break_row, _row

    for row in (_row, _break_row):
        cells = [value for value in row(text(HOSTILE)).values() if isinstance(value, str)]
        assert any("example.org" in cell for cell in cells)
        for cell in cells:
            assert not kinds(cell) - Counter({"paragraph_open": 1, "paragraph_close": 1, "inline": 1})
        assert len(row(text("x" * 1_000_000))["title"]) <= 200


def test_the_faults_of_a_lake_are_listed_as_text_and_not_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    from polyseme.flows import maintain

    pages = []
    monkeypatch.setattr(maintain, "create_markdown_artifact", lambda page, key: pages.append(page))
    for value in (HOSTILE, PLAIN):
        maintain._report("verify", value, {"parts": 1}, [value] * 3)
    assert kinds(pages[0]) == kinds(pages[1])
    maintain._report("verify", PLAIN, {"parts": 1}, [PLAIN] * 100_000)
    assert len(pages[2]) < 10_000
    assert "99,800 more: polyseme verify lists all" in pages[2]
