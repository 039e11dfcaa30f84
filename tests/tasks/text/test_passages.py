"""Passages have the tokens that each document has alone, and a bounded part of a large one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import pytest

from polyseme.storage.records import Document
from polyseme.tasks.engine import Engine
from polyseme.tasks.text.passages import Passage, passages
from polyseme.tasks.text.sentences import split

TEXTS = [
    "It rains. The unaffordable bank is 東京! " * 12,
    "",
    "\ufffd",
    "Nobody came.",
    "One.\n\nTwo two.\n\nThree three three.",
]


def documents() -> list[Document]:
    return [Document(str(name), "file:///x", text) for name, text in enumerate(TEXTS)]


def joined(found: list[Passage]) -> list[Passage]:
    """Return one passage per document."""
    whole = []
    for _, parts in groupby(found, key=lambda passage: passage.document.doc_id):
        first, *rest = parts
        for part in rest:
            first = first.joined(part)
        whole.append(first)
    return whole


@pytest.mark.parametrize("chars", [1, 60, 300, 100_000])
def test_every_document_has_the_tokens_it_has_alone(mini: Engine, monkeypatch: pytest.MonkeyPatch, chars: int) -> None:
    monkeypatch.setattr("polyseme.tasks.text.passages.GROUP_CHARS", chars)
    found = joined(list(passages(documents(), mini.wordpiece, mini.split)))
    assert [passage.document.doc_id for passage in found] == [str(name) for name in range(len(TEXTS))]
    for passage, text in zip(found, TEXTS, strict=True):
        sentences = split(text)
        alone = mini.wordpiece.tokenize(text, sentences)
        assert passage.last
        assert passage.spans.tolist() == [[s.start, s.stop] for s in sentences]
        assert passage.lengths.tolist() == np.diff(alone.sentence_ptr).tolist()
        for name in ("ids", "char_start", "char_end", "word"):
            assert getattr(passage, name).tolist() == getattr(alone, name).tolist(), name


def test_a_large_document_has_several_passages_that_do_not_depend_on_other_documents(
    mini: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyseme.tasks.text.passages.GROUP_CHARS", 100)
    large, *others = documents()
    alone, together = (
        [(s.first, len(s), s.last) for s in passages(some, mini.wordpiece, mini.split) if s.document is large]
        for some in ([large], [*others, large])
    )
    assert alone == together
    assert len(alone) > 5
    assert max(length for _, length, _ in alone) < 6


def test_no_more_is_read_than_one_passage_needs(mini: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.tasks.text.passages.GROUP_CHARS", 100)
    read: list[int] = []

    def reading() -> Iterator[Document]:
        for number in range(100):
            read.append(number)
            yield Document(str(number), "file:///x", "Some text of forty characters, more or less.")

    assert next(passages(reading(), mini.wordpiece, mini.split)).document.doc_id == "0"
    assert len(read) < 4
