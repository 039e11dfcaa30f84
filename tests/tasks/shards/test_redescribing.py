"""A new description costs its own row and nothing else, and is never shown with the rows of another text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import Counts, Document, Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.shards.stages import commit_shard
from tests.tasks.conftest import LEAN, Runs, document

WORDS = Outputs("words", None, nsp=False)
TEXT = "The river left its bank in spring. The fields were under water. " * 20
ROWS = "SELECT doc_id, sentence_index, text, embedding FROM sentences ORDER BY ALL"


def described(runs: Runs, *documents: Document, outputs: Outputs = LEAN) -> Counts:
    """Embed documents of which only the description changed; return the counts of their shard."""
    shard = runs.shard(*documents, outputs=outputs)
    assert shard.redescribes
    return commit_shard(runs.encode(shard), runs.catalog)


def test_nothing_is_encoded_and_no_vector_is_written(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.embed(document("a", TEXT), outputs=WORDS)
    before, size = runs.rows(ROWS), runs.catalog.totals(runs.engine.spec.encoding_id)["bytes"]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the model was asked for")

    monkeypatch.setattr(Engine, "in_lane", refuse)
    changed = replace(document("a", TEXT, title="Floods"), metadata='{"views": 2}')
    counts = described(runs, changed, outputs=WORDS)
    assert (counts.redescribed, counts.documents, counts.tokens, counts.forward_tokens) == (1, 0, 0, 0)
    assert 0 < counts.bytes < 0.2 * size  # a text of 1,300 characters; vectors of 16 dimensions are small
    assert runs.rows(ROWS) == before
    shown = runs.rows("SELECT title, metadata, n_sentences, n_tokens > 0 FROM documents")
    assert shown == [("Floods", '{"views": 2}', 40, True)]


def test_it_is_counted_in_the_run_and_not_as_a_document_that_was_encoded(runs: Runs) -> None:
    runs.embed(document("a"), document("b"))
    runs.embed(document("a", title="T"), document("b", "Another text."))
    assert runs.rows("SELECT documents, redescribed FROM runs ORDER BY ordinal") == [(2, 0), (1, 1)]


def test_many_descriptions_one_after_another_leave_one_row(runs: Runs) -> None:
    runs.embed(document("a"))
    before = runs.rows(ROWS)
    for i in range(4):
        described(runs, document("a", title=f"Title {i}"))
    assert runs.rows("SELECT title FROM documents") == [("Title 3",)]
    assert runs.rows(ROWS) == before


def test_a_new_text_after_a_new_description_replaces_all_rows(runs: Runs) -> None:
    runs.embed(document("a"))
    described(runs, document("a", title="T"))
    runs.embed(document("a", "Only one sentence.", title="T"))
    assert runs.rows("SELECT doc_id, sentence_index, text FROM sentences") == [("a", 0, "Only one sentence.")]
    assert runs.rows("SELECT text, title FROM documents") == [("Only one sentence.", "T")]


def test_a_document_whose_text_changed_after_the_scan_is_encoded(runs: Runs) -> None:
    runs.embed(document("a"))
    shard = runs.shard(document("a", title="T"))
    older = runs.shard(document("a", "Only one sentence."))  # a later run, which is faster
    commit_shard(runs.encode(older), runs.catalog)
    counts = commit_shard(runs.encode(shard), runs.catalog)
    assert (counts.documents, counts.redescribed) == (1, 0)
    # Of the two the text that was read later wins.
    assert runs.rows("SELECT text, title FROM documents") == [("Only one sentence.", None)]
    assert runs.rows("SELECT text FROM sentences") == [("Only one sentence.",)]


def test_a_text_that_is_committed_between_the_two_stages_is_never_given_another_description(runs: Runs) -> None:
    runs.embed(document("a"))
    slow = runs.shard(document("a", "Only one sentence."))
    later = runs.encode(runs.shard(document("a", title="T")))
    commit_shard(runs.encode(slow), runs.catalog)
    with pytest.raises(PolysemeError, match="run the same command again"):
        commit_shard(later, runs.catalog)
    assert runs.rows("SELECT text, title FROM documents") == [("Only one sentence.", None)]
    runs.embed(document("a", title="T"))
    assert runs.rows("SELECT text, title FROM documents") == [(document("a").text, "T")]
    assert len(runs.rows(ROWS)) == 2


def test_the_same_text_with_more_rows_committed_between_the_stages_keeps_them(runs: Runs) -> None:
    runs.embed(document("a"))
    more = runs.shard(document("a"), outputs=WORDS)
    later = runs.encode(runs.shard(document("a", title="T")))
    commit_shard(runs.encode(more), runs.catalog)
    commit_shard(later, runs.catalog)
    assert runs.rows("SELECT title FROM documents") == [("T",)]
    assert len(runs.rows(ROWS)) == 2
    assert len(runs.rows("SELECT word FROM words")) >= 5
    assert runs.embed(document("a", title="T"), outputs=WORDS).tally.unchanged == 1


def test_a_retry_writes_nothing_twice(runs: Runs) -> None:
    runs.embed(document("a"))
    shard = runs.shard(document("a", title="T"))
    first, second = runs.encode(shard), runs.encode(shard)
    commit_shard(first, runs.catalog)
    commit_shard(second, runs.catalog)
    assert runs.rows("SELECT title FROM documents") == [("T",)]


def test_a_description_in_another_encoding_is_brought_there_without_encoding(runs: Runs) -> None:
    """A backfill takes texts from the lake, with the version at which they were read."""
    runs.embed(document("a"))
    found = replace(document("a", title="T"), text_version=7)
    counts = described(runs, found)
    assert counts.forward_tokens == 0
    known = runs.catalog.lookup(runs.engine.spec.encoding_id, ["a"])["a"]
    assert (known.order, known.rows_version) == ((7, 2), 1)
    assert runs.embed(replace(document("a", title="Older"), text_version=6)).tally.unchanged == 1
