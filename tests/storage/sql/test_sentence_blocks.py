"""Sentence vectors in blocks: the rows of the view, whatever the tier, without those that were replaced or deleted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.search.unit_vectors import Floats, unit_rows
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.sentence_blocks import _by_sql, sentence_blocks
from polyseme.storage.sql.vectors import vectors
from tests import lakes

Found = dict[tuple[str, int], Floats]


@pytest.mark.parametrize("store", ["float16", "int8", "binary"])
def test_blocks_have_the_rows_and_vectors_of_the_view(catalog: Catalog, lake: Lake, store: str) -> None:
    spec = lakes.make_spec(width=24, store=store)
    lakes.commit(catalog, spec, {"a": ["One.", "Two."], "b": ["Three."], "c": ["Four.", "Five."]})
    lakes.commit(catalog, spec, {"b": ["Six.", "Seven.", "Eight."], "d": ["Nine."]})
    catalog.delete_documents(spec.encoding_id, ["c"], version=99)
    found, expected = by_blocks(catalog, lake), by_view(lake)
    assert set(found) == set(expected) == {("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2), ("d", 0)}
    for key, unit in expected.items():
        np.testing.assert_allclose(found[key], unit, atol=1e-6)


def test_a_part_of_several_row_groups_is_read_whole(
    catalog: Catalog, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyseme.storage.parts.ROW_GROUP_ROWS", 4)
    lakes.commit(catalog, lakes.make_spec(), {"a": ["A."] * 5, "b": ["B."] * 6})
    found, expected = by_blocks(catalog, lake), by_view(lake)
    assert len(found) == len(expected) == 11
    assert all(np.allclose(found[key], unit, atol=1e-6) for key, unit in expected.items())


def test_by_sql_as_from_an_object_store_they_are_the_same(catalog: Catalog, lake: Lake) -> None:
    lakes.commit(catalog, lakes.make_spec(), {"a": ["One.", "Two."], "b": ["Three."]})
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    ways = [
        [
            (doc_id, index, text, unit.tolist())
            for block in read(snapshot, lake, snapshot.default, texts=True)
            for doc_id, index, text, unit in zip(
                block.doc_id.to_pylist(), block.sentence_index.tolist(), pa.array(block.text).to_pylist(),
                block.unit, strict=True,
            )
        ]
        for read in (sentence_blocks, _by_sql)
    ]  # fmt: skip
    assert sorted(ways[0]) == sorted(ways[1])
    assert [row[:3] for row in sorted(ways[0])] == [("a", 0, "One."), ("a", 1, "Two."), ("b", 0, "Three.")]


def by_blocks(catalog: Catalog, lake: Lake) -> Found:
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    found: Found = {}
    for block in sentence_blocks(snapshot, lake, snapshot.default):
        keys = zip(block.doc_id.to_pylist(), block.sentence_index.tolist(), strict=True)
        found |= dict(zip(keys, block.unit, strict=True))
    return found


def by_view(lake: Lake) -> Found:
    with connect(lake) as con:
        keys = con.execute("SELECT doc_id, sentence_index FROM sentences ORDER BY ALL").fetchall()
        unit = unit_rows(vectors(con.sql("SELECT embedding FROM sentences ORDER BY doc_id, sentence_index")))
    return dict(zip(keys, unit, strict=True))
