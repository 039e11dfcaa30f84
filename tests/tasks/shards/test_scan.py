"""A scan stages the documents that are new or changed and counts the rest; the catalog alone decides."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from polyseme.storage.database.staleness import mark_damaged
from polyseme.storage.records import Document, Outputs, Reject
from polyseme.storage.staging import read_staged
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import list_sources
from polyseme.tasks.shards.deletion_guard import DeletionLimit
from polyseme.tasks.shards.scan import Item, Scan
from polyseme.tasks.shards.staging import SHARD_CHARS, SHARD_CHARS_MOST, shard_chars
from tests.tasks.conftest import LEAN, Runs, document


def test_new_changed_and_unchanged_documents_are_distinguished(runs: Runs) -> None:
    runs.embed(document("a"), document("b"))
    tally = runs.embed(document("a"), document("b", "Another text."), document("c")).tally
    assert (tally.documents, tally.new, tally.changed, tally.unchanged) == (3, 1, 1, 1)
    assert runs.rows("SELECT doc_id, text FROM documents WHERE doc_id = 'b'") == [("b", "Another text.")]


def test_a_new_title_or_other_metadata_is_no_change_of_the_text(runs: Runs) -> None:
    runs.embed(document("a"))
    tally = runs.embed(document("a", title="Now it has one")).tally
    assert (tally.redescribed, tally.changed, tally.new, tally.chars_to_encode) == (1, 0, 0, 0)
    tally = runs.embed(replace(document("a", title="Now it has one"), metadata='{"views": 2}')).tally
    assert (tally.redescribed, tally.changed, tally.unchanged) == (1, 0, 0)
    assert runs.embed(replace(document("a", title="Now it has one"), metadata='{"views": 2}')).tally.unchanged == 1


def test_documents_described_anew_are_staged_apart_from_those_to_encode(runs: Runs) -> None:
    runs.embed(document("a"), document("b"), document("c"))
    scan = runs.scan()
    found = [document("a", title="T"), document("b", "Another text."), document("c", title="T"), document("d")]
    shards = {s.redescribes: s for s in scan.shards(found)}
    staged = {kind: [d.doc_id for d in read_staged(runs.lake, s.path)] for kind, s in shards.items()}
    assert staged == {True: ["a", "c"], False: ["b", "d"]}
    assert (shards[True].n_chars, shards[False].n_chars) == (0, scan.tally.chars_to_encode)


def test_more_outputs_or_rows_that_were_lost_are_encoded_although_the_text_is_the_same(runs: Runs) -> None:
    runs.embed(document("a"), document("b"))
    with runs.catalog.writing() as connection:
        mark_damaged(connection, runs.engine.spec.encoding_id, ["b"])
    tally = runs.embed(document("a", title="T"), outputs=Outputs("words", None, False)).tally
    assert (tally.redescribed, tally.changed) == (0, 1)
    tally = runs.embed(document("b", title="T")).tally
    assert (tally.redescribed, tally.changed) == (0, 1)


def test_a_moved_document_is_not_encoded_again(runs: Runs) -> None:
    runs.embed(document("a"))
    tally = runs.embed(document("a", uri="file:///elsewhere")).tally
    assert (tally.unchanged, tally.moved) == (1, 1)
    assert runs.rows("SELECT uri FROM documents") == [("file:///elsewhere",)]


def test_the_second_document_with_an_id_is_rejected(runs: Runs) -> None:
    tally = runs.embed(document("a", "The first."), document("a", "The second.")).tally
    assert (tally.new, tally.rejected) == (1, 1)
    assert runs.rows("SELECT text FROM documents") == [("The first.",)]
    assert runs.rows("SELECT code FROM rejects") == [("duplicate-id",)]


def test_more_outputs_are_more_work_and_never_remove_rows(runs: Runs) -> None:
    runs.embed(document("a", "A bank. A court."), outputs=Outputs("words", frozenset({"bank"}), False))
    assert runs.embed(document("a", "A bank. A court."), outputs=LEAN).tally.unchanged == 1
    runs.embed(document("a", "A bank. A court."), outputs=Outputs("words", frozenset({"court"}), False))
    assert runs.rows("SELECT word FROM words ORDER BY word") == [("bank",), ("court",)]
    for less in (LEAN, *(Outputs("words", frozenset({word}), False) for word in ("bank", "court"))):
        assert runs.embed(document("a", "A bank. A court."), outputs=less).tally.unchanged == 1


def test_a_document_gets_no_rows_because_another_has_them(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.tasks.shards.scan._OPEN_STAGES", 2)
    texts = [document(name, "A bank. A court. A tree.") for name in "abcd"]
    for words, text in (({"bank"}, texts[0]), ({"court"}, texts[1]), (None, texts[2])):
        runs.embed(text, outputs=Outputs("words", None if words is None else frozenset(words), False))
    runs.embed(texts[3], outputs=LEAN)
    scan = runs.embed(*texts, outputs=Outputs("words", frozenset({"tree"}), False))
    assert (scan.tally.changed, scan.tally.unchanged) == (3, 1)
    found = runs.rows("SELECT doc_id, list(word ORDER BY word) FROM words WHERE doc_id <> 'c' GROUP BY ALL ORDER BY 1")
    assert found == [("a", ["bank", "tree"]), ("b", ["court", "tree"]), ("d", ["tree"])]


def test_documents_that_a_source_no_longer_yields_are_deleted_and_no_others(runs: Runs, tmp_path: Path) -> None:
    here, there = (tmp_path / name for name in ("here.txt", "there.txt"))
    here.write_text("x")
    mine, other = document("a", uri=here.as_uri()), document("b", uri=there.as_uri())
    runs.embed(mine, document("gone", uri=here.as_uri()), other)
    scan = runs.embed(mine)
    assert scan.delete_gone(resolve([str(here)])) == 1
    assert runs.rows("SELECT doc_id FROM documents ORDER BY 1") == [("a",), ("b",)]


@pytest.mark.parametrize("code", ["truncated", "unreadable", "corrupt"])
def test_a_file_that_was_not_read_to_its_end_deletes_nothing(runs: Runs, tmp_path: Path, code: str) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x")
    runs.embed(document("a", uri=file.as_uri()))
    scan = runs.embed(Reject(file.as_uri(), "", "read", code, "bad luck"))
    assert scan.delete_gone(resolve([str(file)])) == 0


def test_shards_grow_so_that_large_corpora_have_a_few_hundred_tasks() -> None:
    sizes = [shard_chars(i) for i in range(400)]
    assert sizes[0] == SHARD_CHARS
    assert max(sizes) == SHARD_CHARS_MOST
    assert sizes == sorted(sizes)
    assert sum(sizes[:150]) > 800e6


def test_shards_stage_all_documents_in_order_and_have_distinct_keys(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyseme.tasks.shards.staging.SHARD_CHARS", 30)
    documents = [document(str(i)) for i in range(5)]
    shards = list(runs.scan().shards(documents))
    assert [s.n_documents for s in shards] == [2, 2, 1]
    assert [d for s in shards for d in read_staged(runs.lake, s.path)] == documents
    assert len({s.shard_key for s in shards}) == 3


def test_the_number_of_documents_of_a_shard_is_bounded(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.tasks.shards.staging.SHARD_DOCUMENTS_MOST", 2)
    assert [s.n_documents for s in runs.scan().shards([document(str(i)) for i in range(5)])] == [2, 2, 1]


@pytest.mark.parametrize(
    "more",
    [
        Outputs("sentences", None, True),
        Outputs("words", None, False),
        Outputs("tokens", frozenset({"a"}), False),
        Outputs("sentences", None, False, "original"),
    ],
)
def test_an_unchanged_document_that_lacks_outputs_is_encoded_again(runs: Runs, more: Outputs) -> None:
    runs.embed(document("a"), document("b"))
    tally = runs.embed(document("a"), outputs=more).tally
    assert (tally.changed, tally.unchanged) == (1, 0)
    assert runs.embed(document("a"), outputs=more).tally.unchanged == 1
    assert runs.embed(document("b"), outputs=LEAN).tally.unchanged == 1


def test_a_document_that_is_rejected_keeps_its_last_good_version(runs: Runs, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("x")
    runs.embed(document("good", uri=file.as_uri()), document("bad", uri=file.as_uri()))
    rejected = Reject(file.as_uri(), "line 2", "read", "null-text", "no text", doc_id="bad")
    scan = runs.embed(document("good", uri=file.as_uri()), rejected)
    assert scan.delete_gone(resolve([str(file)])) == 0
    assert (scan.tally.rejected, scan.tally.unchanged) == (1, 1)
    assert runs.rows("SELECT doc_id FROM documents ORDER BY 1") == [("bad",), ("good",)]


def test_a_deleted_document_that_is_read_again_is_new(runs: Runs, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x")
    mine = document("a", uri=file.as_uri())
    runs.embed(mine)
    assert runs.embed().delete_gone(resolve([str(file)]), DeletionLimit.parse("100%")) == 1
    assert runs.rows("SELECT * FROM sentences") == []
    assert runs.embed(mine).tally.new == 1
    assert len(runs.rows("SELECT * FROM sentences")) == 2


def test_a_shard_key_follows_from_the_content_of_the_shard(runs: Runs) -> None:
    encoding_id = runs.engine.spec.encoding_id

    def key(*documents: Document, version: int = 1, outputs: Outputs = LEAN) -> str:
        with closing(Scan(runs.catalog, runs.lake, "run", version, encoding_id, outputs)) as scan:
            (shard,) = scan.shards(documents)
        return shard.shard_key

    usual = key(document("a"), document("b"))
    assert key(document("a"), document("b")) == usual
    others = [
        key(document("a")),
        key(document("b"), document("a")),
        key(document("a"), document("c")),
        key(document("a"), document("b", "Another.")),
        key(document("a"), document("b", title="t")),
        key(document("a"), document("b"), version=2),
        key(document("a"), document("b"), outputs=Outputs()),
    ]
    assert len({usual, *others}) == 8


def test_thousands_of_documents_are_compared_in_order(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.tasks.shards.comparison._DOCUMENTS", 7)
    runs.embed(*(document(f"{i:03}") for i in range(0, 60, 2)))
    scan = runs.scan()
    assert [p.document.doc_id for p in scan.pending(document(f"{i:03}") for i in range(60))] == [
        f"{i:03}" for i in range(1, 60, 2)
    ]
    assert (scan.tally.documents, scan.tally.unchanged, scan.tally.new) == (60, 30, 30)


def test_every_reject_is_recorded_however_many_there_are(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyseme.tasks.shards.reject_rows._BATCH", 4)
    scan = runs.embed(*(Reject("file:///a", f"line {i}", "read", "null-text", "no text") for i in range(10)))
    assert scan.tally.rejected == 10
    assert runs.rows("SELECT count(*) FROM rejects") == [(10,)]


def test_a_scan_says_at_which_file_it_is(runs: Runs, tmp_path: Path) -> None:
    for name in ("a.txt", "b.jsonl"):
        (tmp_path / name).write_text('{"text": "One."}\n{"text": "Two."}\n')
    scan = runs.scan()
    seen: list[tuple[int, str]] = []

    def watching(items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            if isinstance(item, Document):
                seen.append((scan.reading.files, scan.reading.uri.rpartition("/")[2]))
            yield item

    scan.watching = watching
    list(scan.shards(list_sources(resolve([str(tmp_path / "*.*")]), ReadOptions(), stdin=io.BytesIO())))
    assert seen == [(1, "a.txt"), (2, "b.jsonl"), (2, "b.jsonl")]
    assert (scan.reading.files, scan.reading.uri) == (2, "")
