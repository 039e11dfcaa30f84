"""Files that were read are kept by address and encoding, with the documents that the catalog has of them."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import read_files
from polyseme.storage.database.schema import files
from polyseme.storage.errors import LakeError
from polyseme.storage.records import EncodingSpec
from polyseme.storage.source_files import DocumentsDigest, FileState, ReadFile, SkippedPart
from tests import lakes

PLAIN, ARCHIVE, GONE = "file:///a.txt", "file:///b.zip", "file:///b.zip2"


def read_file(uri: str, **changes: object) -> ReadFile:
    state = FileState(7, 1_700_000_000_000_000_001, "1700000000000000002 12")
    file = ReadFile(uri=uri, state=state, reading="r", documents=1, digest="d")
    return file._replace(**changes)  # type: ignore[arg-type]


def test_what_was_read_last_is_found(catalog: Catalog, spec: EncodingSpec) -> None:
    skipped = (SkippedPart(f"{PLAIN}!/a.png", "not-a-text-format", 3), SkippedPart(f"{PLAIN}!/.b", "hidden", 1))
    other = read_file(PLAIN, state=FileState(8, 9, "etag"), documents=2, skipped=skipped)
    with catalog.writing() as connection:
        read_files.put(connection, spec.encoding_id, [read_file(PLAIN), read_file(ARCHIVE, has_members=True)])
        read_files.put(connection, spec.encoding_id, [other])
    with catalog.reading() as connection:
        assert read_files.find(connection, spec.encoding_id, [PLAIN, ARCHIVE, GONE]) == {
            PLAIN: other, ARCHIVE: read_file(ARCHIVE, has_members=True),
        }  # fmt: skip
        assert read_files.find(connection, "0" * 16, [PLAIN]) == {}


@pytest.mark.parametrize("stored", ["[]", '{"a": ["hidden"]}', '{"a": [1, 1]}', '{"a": ["hidden", -1]}', "{", 7])
def test_what_no_release_wrote_is_refused(catalog: Catalog, spec: EncodingSpec, stored: object) -> None:
    with catalog.writing() as connection:
        read_files.put(connection, spec.encoding_id, [read_file(PLAIN)])
        connection.execute(update(files).values(skipped=str(stored)))
        with pytest.raises(LakeError, match=r"as files\.skipped"):
            read_files.find(connection, spec.encoding_id, [PLAIN])


def test_documents_are_found_at_an_address_and_within_it_and_files_without_any_are_forgotten(
    catalog: Catalog, spec: EncodingSpec
) -> None:
    version = lakes.begin(catalog, spec, "run")
    uris = {"a": PLAIN, "b": f"{ARCHIVE}!/x.txt", "c": f"{ARCHIVE}!/y/z.txt", "d": f"{GONE}!/x.txt"}
    found = [lakes.document_version(doc_id, version, uri=uri) for doc_id, uri in uris.items()]
    catalog.commit_shard(lakes.make_result(spec, found, run_id="run"))
    catalog.delete_documents(spec.encoding_id, ["d"], version=version + 1)
    with catalog.reading() as connection:
        at = [row[:2] for row in read_files.documents_at(connection, spec.encoding_id, [PLAIN, ARCHIVE])]
        within = [row[:2] for row in read_files.documents_in(connection, spec.encoding_id, ARCHIVE)]
    assert (at, within) == ([(PLAIN, "a")], [(uris["b"], "b"), (uris["c"], "c")])
    kept = [read_file(PLAIN), *(read_file(uri, has_members=True) for uri in (ARCHIVE, GONE))]
    with catalog.writing() as connection:
        read_files.put(connection, spec.encoding_id, kept)
        assert read_files.forget_gone(connection) == 1
        assert set(read_files.find(connection, spec.encoding_id, [PLAIN, ARCHIVE, GONE])) == {PLAIN, ARCHIVE}


def test_a_digest_is_of_a_set_of_documents() -> None:
    one, same, other, moved = (DocumentsDigest() for _ in range(4))
    for digest, documents in (
        (one, [("a", "1"), ("b", "2")]), (same, [("b", "2"), ("a", "1")]), (other, [("a", "2"), ("b", "1")]),
    ):  # fmt: skip
        for doc_id, record in documents:
            digest.add(doc_id, record)
    for doc_id, record in (("a", "1"), ("b", "2")):
        moved.add(doc_id, record, "!/x.txt")
    assert one.value == same.value
    assert len({digest.value for digest in (one, other, moved, DocumentsDigest())}) == 4
