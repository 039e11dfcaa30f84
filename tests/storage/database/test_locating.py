"""Locating: no part that has rows of a document is left out, and few others are named."""

from __future__ import annotations

from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import deletions
from polyseme.storage.database.locating import Located, documents_with_text, parts_holding
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.records import EncodingSpec
from polyseme.storage.schemas import TABLES
from tests import lakes
from tests.lakes import rows_of


def located(catalog: Catalog, spec: EncodingSpec, table: str, *doc_ids: str) -> Located:
    with catalog.reading() as connection:
        return parts_holding(connection, spec.encoding_id, table, doc_ids)


def test_a_document_is_in_the_part_of_its_shard(catalog: Catalog, spec: EncodingSpec) -> None:
    for doc_id in "abc":
        lakes.commit(catalog, spec, {doc_id: ["The bank."]})
    for doc_id, version in zip("abc", (1, 2, 3), strict=True):
        found = located(catalog, spec, "words", doc_id)
        assert found.versions == {doc_id: version}
        assert [row["doc_id"] for row in rows_of(catalog.lake, found.parts)] == [doc_id] * 2
    assert len(located(catalog, spec, "sentences", "a", "c").parts) == 2
    assert located(catalog, spec, "words", "nobody") == Located((), {})


def test_a_deleted_document_is_where_it_was_until_it_cannot_be_restored(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.commit(catalog, spec, {"a": ["The bank."]})
    before = located(catalog, spec, "words", "a")
    catalog.delete_documents(spec.encoding_id, ["a"], version=lakes.begin(catalog, spec, "deletes"))
    assert located(catalog, spec, "words", "a") == before
    with catalog.writing() as connection:
        deletions.forget_older(connection, than="9999")
    assert located(catalog, spec, "words", "a") == Located((), {})


def test_a_replaced_document_is_where_its_new_rows_are(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.commit(catalog, spec, {"a": ["The bank."]})
    lakes.commit(catalog, spec, {"a": ["It closed."]})
    found = located(catalog, spec, "sentences", "a")
    assert found.versions == {"a": 2}
    assert [row["text"] for row in rows_of(catalog.lake, found.parts)] == ["It closed."]


def test_a_merged_part_has_the_shards_of_all_that_it_was_made_of(catalog: Catalog, spec: EncodingSpec) -> None:
    for doc_id in "ab":
        lakes.commit(catalog, spec, {doc_id: ["The bank."]})
    compact(catalog)
    for doc_id in "cd":
        lakes.commit(catalog, spec, {doc_id: ["The bank."]})
    assert len(located(catalog, spec, "words", "a", "b").parts) == 1
    assert len(located(catalog, spec, "words", "a", "c").parts) == 2


def test_documents_are_found_by_their_text(catalog: Catalog, spec: EncodingSpec) -> None:
    same, other, gone = "5" * 64, "5" * 63 + "6", "7" * 64
    run_version = lakes.begin(catalog, spec, "run")
    texts = {"b": same, "a": same, "c": other, "d": gone, "unknown": None}
    documents = [
        lakes.document_version(d, run_version, content_sha256=text, device="cpu-here") for d, text in texts.items()
    ]
    catalog.commit_shard(lakes.make_result(spec, documents, run_id="run"))
    catalog.delete_documents(spec.encoding_id, ["d"], version=lakes.begin(catalog, spec, "deletes"))
    with catalog.reading() as connection:
        found = partial(documents_with_text, connection, spec.encoding_id, [same, gone], before=9, device="cpu-here")
        assert found() == {same: ["a", "b"]}
        assert found(device="cpu-there") == found(before=run_version) == {}
        assert documents_with_text(connection, "0" * 16, [same], before=9, device="cpu-here") == {}


def test_of_the_documents_of_one_text_the_oldest_few_are_found(catalog: Catalog, spec: EncodingSpec) -> None:
    same = "5" * 64
    for run in range(3):
        version = lakes.begin(catalog, spec, f"run{run}")
        documents = [
            lakes.document_version(f"{9 - run}{number}", version, content_sha256=same, device="cpu-here")
            for number in range(5)
        ]
        catalog.commit_shard(lakes.make_result(spec, documents, run_id=f"run{run}"))
    with catalog.reading() as connection:
        found = documents_with_text(connection, spec.encoding_id, [same], before=9, device="cpu-here")
    assert found == {same: ["90", "91", "92", "93", "94", "80", "81", "82"]}


STEPS = st.lists(st.one_of(st.sets(st.sampled_from("abcdef"), min_size=1, max_size=3), st.just("merge")), max_size=8)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_every_row_of_a_document_is_in_a_part_that_is_named(steps: list[set[str] | str]) -> None:
    spec = lakes.make_spec()
    with lakes.temporary() as root, Catalog.create_or_open(Lake(root)) as catalog:
        catalog.register_encoding(spec)
        for step in steps:
            if isinstance(step, str):
                compact(catalog, CompactionPolicy(target_bytes=15_000))
            else:
                lakes.commit(catalog, spec, {doc_id: ["The bank.", "It closed."] for doc_id in sorted(step)})
        with catalog.reading() as connection:
            live = catalog.lookup(spec.encoding_id, list("abcdef"))
            for table in TABLES:
                for doc_id, version in live.items():
                    found = parts_holding(connection, spec.encoding_id, table, [doc_id])
                    mine = [r for r in rows_of(catalog.lake, found.parts) if r["doc_id"] == doc_id]
                    now = [r for r in mine if r["version"] == version.version]
                    expected = {"documents": 1, "sentences": 2, "words": 4, "transitions": 1, "tokens": 0}
                    assert len(now) == expected[table]
