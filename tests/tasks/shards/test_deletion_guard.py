"""What people are told about documents that are held back: the question fits the kind of source."""

from __future__ import annotations

import pytest

from polyseme.storage.records import HeldBack
from polyseme.tasks.shards.deletion_guard import explain


def held(source: str, *, documents: int = 2) -> str:
    return explain(
        HeldBack(
            encoding_id="e", source=source, run_id="r", reason="nothing-found", documents=documents, had=2,
            examples=(f"{source}/a",), confirm_with="100%",
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "question"),
    [
        ("/srv/corpus", "Is it mounted"),
        ("/srv/s3://x", "Is it mounted"),
        ("https://example.org/a.jsonl", "Does its server"),
        ("s3://bucket/news/", "Is the bucket there"),
        ("gs://bucket/", "Is the bucket there"),
        ("hf://datasets/owner/name/", "Is the repository there"),
        ("sqlite:////srv/a.db?table=t", "Is it the right database"),
        ("mysql://host/db?query=SELECT 1", "Is it the right database"),
        ("delta:///srv/table", "Is the table there"),
        ("stdin:mail", "Is it whole"),
    ],
)
def test_a_source_is_asked_about_in_words_of_its_kind(source: str, question: str) -> None:
    assert question in held(source)
    assert ("mounted" in held(source)) == source.startswith("/")


def test_one_document_is_one() -> None:
    assert held("/a", documents=1).startswith("1 document of /a was held back")
    assert "If it is gone" in held("/a", documents=1)
    assert held("/a").startswith("2 documents of /a were held back")
