"""Document versions: listed by uri, in pages, in bounded memory."""

from __future__ import annotations

import contextlib
import sqlite3
import tracemalloc
from itertools import islice

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.records import EncodingSpec, Outputs
from tests import lakes


def test_documents_are_listed_by_exact_uri_prefix_in_pages(catalog: Catalog, spec: EncodingSpec) -> None:
    version = lakes.begin(catalog, spec, "r")
    uris = ["f:///a/1", "f:///a/2", "f:///a/ü_%", "f:///A/3", "f:///a", "f:///b/4"]
    documents = [lakes.document_version(f"d{i}", version, uri=uri) for i, uri in enumerate(uris)]
    documents += [lakes.document_version(f"same{i}", version, uri="f:///c/all.jsonl") for i in range(7)]
    catalog.commit_shard(lakes.make_result(spec, documents, run_id="r"))

    def under(prefix: str) -> list[list[str]]:
        return [[d for d, _ in page] for page in catalog.documents_under(spec.encoding_id, prefix, page=3)]

    assert under("f:///a/") == [["d0", "d1", "d2"]]
    assert under("f:///a/ü_%") == [["d2"]]
    assert under("f:///c/") == [["same0", "same1", "same2"], ["same3", "same4", "same5"], ["same6"]]
    assert sum(map(len, under(""))) == 13
    assert under("f:///nothing") == []


def test_documents_may_be_deleted_while_they_are_listed(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.put(catalog, spec, "r", lakes.begin(catalog, spec, "r"), *(f"d{i:02}" for i in range(20)))
    seen = []
    for page in catalog.documents_under(spec.encoding_id, page=6):
        seen += [doc_id for doc_id, _ in page]
        catalog.delete_documents(spec.encoding_id, [doc_id for doc_id, _ in page], version=99)
    assert seen == [f"d{i:02}" for i in range(20)]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_hundreds_of_thousands_of_documents_are_looked_up_and_listed_in_bounded_memory(
    catalog: Catalog, spec: EncodingSpec
) -> None:
    many, page = 200_000, 1000
    with contextlib.closing(sqlite3.connect(catalog.lake.catalog_path)) as raw, raw:
        raw.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) "
            "INSERT INTO document_versions "
            "(encoding_id, doc_id, version, text_version, rows_version, uri, record_sha256, outputs, n_tokens, deleted)"
            " SELECT ?, printf('d%08d', i), 1, 1, 1, printf('f:///%08d', i), 'x', ?, 7, 0 FROM n",
            (many, spec.encoding_id, Outputs().to_json()),
        )
    doc_ids = [f"d{i:08}" for i in range(many)]
    for at in range(0, many, page):
        assert len(catalog.lookup(spec.encoding_id, doc_ids[at : at + page])) == page
    assert sum(map(len, catalog.documents_under(spec.encoding_id, page=page))) == many
    tracemalloc.start()
    assert sum(map(len, islice(catalog.documents_under(spec.encoding_id, page=page), 40))) == 40 * page
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6
