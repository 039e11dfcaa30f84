"""Documents are found by address, id and record in every encoding; other addresses and held-back deletions are kept."""

from __future__ import annotations

from dataclasses import replace

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import addresses
from polyseme.storage.records import EncodingSpec, HeldBack
from tests import lakes


def test_documents_that_moved_are_found_at_their_address(catalog: Catalog, spec: EncodingSpec) -> None:
    version = lakes.begin(catalog, spec, "run")
    here, there = "file:///new/a.txt", "file:///old/a.txt"
    b, c = "file:///new/b.txt", "file:///new/c.txt"
    found = [
        lakes.document_version(there, version, uri=here),
        lakes.document_version("own", version, uri=here),
        lakes.document_version(b, version, uri=b),
        lakes.document_version(f"{b}?7#1", version, uri=b),
        lakes.document_version(f"{b}?7#2", version, uri=c),
    ]
    catalog.commit_shard(lakes.make_result(spec, found, run_id="run"))
    with catalog.reading() as connection:
        assert addresses.ids_at(connection, sorted({d.uri for d in found})) == {
            here: {there}, b: {b, f"{b}?7#1"}, c: {f"{b}?7#2"},
        }  # fmt: skip
        assert addresses.addresses_of(connection, [there, "own", "no"]) == {there: {here}, "own": {here}}
        assert addresses.addresses_under(connection, [there, f"{b}?7", f"{b}?", "own", c]) == {
            there: {here}, f"{b}?7": {b, c}, "own": {here},
        }  # fmt: skip


def test_files_with_documents_at_them_or_in_them_are_found(catalog: Catalog, spec: EncodingSpec) -> None:
    version = lakes.begin(catalog, spec, "run")
    uris = ["file:///a.txt", "file:///b.zip!/c/d.txt", "file:///e.jsonl", "file:///gone.txt", "file:///x.txt.gz"]
    ids = dict(zip(uris, ["a", "d", "e", "gone", "x"], strict=True))
    found = [lakes.document_version(ids[uri], version, uri=uri) for uri in uris]
    found.append(lakes.document_version("e2", version, uri="file:///e.jsonl"))
    catalog.commit_shard(lakes.make_result(spec, found, run_id="run"))
    catalog.delete_documents(spec.encoding_id, ["gone"], version=version + 1)
    wanted = ["file:///a.txt", "file:///b.zip", "file:///b.zip!/c/d.txt", "file:///e.jsonl", "file:///gone.txt"]
    with catalog.reading() as connection:
        held = addresses.live_at(connection, [*wanted, "file:///b", "file:///x.txt", "file:///no.txt", "file:///"])
    assert held == set(wanted) - {"file:///gone.txt"}


def test_documents_are_found_by_their_record_and_not_by_the_start_of_its_hash(
    catalog: Catalog, spec: EncodingSpec
) -> None:
    version = lakes.begin(catalog, spec, "run")
    one, other = "0" * 16 + "1" * 48, "0" * 16 + "2" * 48
    found = [lakes.document_version("a", version, record_sha256=one), lakes.document_version("b", version)]
    catalog.commit_shard(lakes.make_result(spec, found, run_id="run"))
    with catalog.reading() as connection:
        assert addresses.documents_like(connection, [one]) == {("a", lakes.uri_of("a"), one)}
        assert addresses.documents_like(connection, [other]) == set()
    catalog.delete_documents(spec.encoding_id, ["a"], version=version + 1)
    with catalog.reading() as connection:
        assert addresses.documents_like(connection, [one]) == set()


def test_other_addresses_are_kept_once_and_dropped(catalog: Catalog, spec: EncodingSpec) -> None:
    pairs = [("a", "file:///1"), ("a", "file:///2"), ("b", "file:///1")]
    with catalog.writing() as connection:
        addresses.add_other(connection, spec.encoding_id, pairs)
        addresses.add_other(connection, spec.encoding_id, pairs[:1])
        assert addresses.others_of(connection, spec.encoding_id, ["a"]) == {"a": ["file:///1", "file:///2"]}
        assert addresses.others_after(connection, spec.encoding_id, None, rows=2) == pairs[:2]
        assert addresses.others_after(connection, spec.encoding_id, pairs[1], rows=2) == pairs[2:]
        addresses.drop_other(connection, spec.encoding_id, pairs[:2])
        assert addresses.others_after(connection, spec.encoding_id, None, rows=9) == pairs[2:]


def test_what_is_held_back_stays_until_its_source_is_judged(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.begin(catalog, spec, "run")
    held = HeldBack(
        encoding_id=spec.encoding_id, source="/corpus", run_id="run", reason="too-many", documents=12, had=30,
        examples=("file:///corpus/a.txt",), confirm_with="12",
    )  # fmt: skip
    catalog.replace_held_back(spec.encoding_id, [held], judged=lambda source: False)
    before = catalog.version
    catalog.replace_held_back(spec.encoding_id, [], judged=lambda source: source == "/elsewhere")
    (kept,) = catalog.held_back()
    assert replace(kept, held_at="") == held
    assert (catalog.version, kept.held_at[:2]) == (before, "20")
    catalog.replace_held_back(spec.encoding_id, [], judged=lambda source: source == "/corpus")
    assert catalog.held_back() == ()
    assert catalog.version == before + 1
