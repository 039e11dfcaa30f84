"""Counts in messages agree with their nouns."""

from __future__ import annotations

import re

import pytest

from polyseme.storage.wording import many
from tests.repository import ROOT


@pytest.mark.parametrize(
    ("number", "things", "expected"),
    [
        (0, "documents", "0 documents"),
        (1, "documents", "1 document"),
        (1, "more sources", "1 more source"),
        (2000, "records", "2,000 records"),
        (1, "corpora", "1 corpus"),
        (1, "uses", "1 use"),
    ],
)
def test_one_thing_is_in_the_singular(number: int, things: str, expected: str) -> None:
    assert many(number, things) == expected


def test_no_message_of_the_command_line_counts_documents_or_records_without_it() -> None:
    """A count of what may be one is written with `many`; a limit and a share are not counts."""
    counted = re.compile(r"\{[^{}]*:,\} (?:documents|records|files|sentences|words|tokens|transitions|shards) ")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("flows/display", "flows/commands", "flows/runs")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in path.read_text("utf-8").splitlines()
        if counted.search(line) and " if documents > 1 else " not in line
    ]
    assert found == []
