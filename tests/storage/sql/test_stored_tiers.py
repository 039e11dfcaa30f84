"""Stored vectors in SQL: the views of every tier, ours and those of plain DuckDB, give what NumPy gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.maintenance.verification import Finding, verify
from polyseme.storage.parts import ROW_GROUP_ROWS, write_part
from polyseme.storage.records import StoreLoss
from polyseme.storage.schemas import table_schema
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish
from polyseme.storage.stored.part_file import PartFile
from polyseme.storage.tiers import SCALE, Centre, Layout, zero_centres
from tests import lakes

STORES = ["float16", "int8", "binary", "sentences=int8,words=binary"]
WIDTHS = [4, 13, 16]
TEXTS = {"a": ["The bank.", "It was steep."], "b": ["A bank of fog."], "c": ["Nobody came."]}
VECTORS = "SELECT embedding FROM {} ORDER BY doc_id, sentence_index"


def vectors(con: duckdb.DuckDBPyConnection, table: str, width: int) -> np.ndarray:
    found = con.execute(VECTORS.format(table)).fetchall()
    return np.array([row[0] for row in found], np.float32).reshape(-1, width)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("store", STORES[1:])
def test_sql_decodes_what_numpy_decodes_to_the_bit(catalog: Catalog, lake: Lake, store: str, width: int) -> None:
    plain, spec = lakes.make_spec(width=width), lakes.make_spec(width=width, store=store)
    for each in (plain, spec):
        lakes.commit(catalog, each, TEXTS)
    names = [e.name for e in catalog.encodings()]
    publish(catalog)
    for con in (connect(lake), duckdb.connect(str(Path(lake.root) / "catalog.duckdb"), read_only=True)):
        with con:
            for table in ("sentences", "words"):
                exact = vectors(con, f"{table}_{names[0]}", width)
                rounded = lakes.layouts_of(spec).of(table).rounded(exact.astype(np.float16))
                view = f"{table}_{names[1]}"
                assert (vectors(con, view, width) == rounded.astype(np.float32)).all()
                assert con.execute(f"SELECT DISTINCT typeof(embedding) FROM {view}").fetchall() == [
                    (f"FLOAT[{width}]",)
                ]
                assert con.view(view).columns == con.view(f"{table}_{names[0]}").columns


@pytest.mark.parametrize("store", STORES)
def test_a_tier_is_the_same_after_changes_compaction_and_verification(catalog: Catalog, lake: Lake, store: str) -> None:
    spec = lakes.make_spec(width=13, store=store)
    lakes.commit(catalog, spec, TEXTS)
    lakes.commit(catalog, spec, {"b": ["A bank of mist.", "It went."]})
    catalog.move_documents(spec.encoding_id, [("c", "file:///moved.txt")])
    with connect(lake) as con:
        before = (
            con.execute("FROM sentences ORDER BY ALL").fetchall(),
            con.execute("FROM words ORDER BY ALL").fetchall(),
        )
    assert len(before[0]) == 5
    merges = compact(catalog, CompactionPolicy(min_dead=0.0)).merges
    assert any(merge.table == "sentences" and merge.outcome == "merged" for merge in merges)
    with connect(lake) as con:
        after = con.execute("FROM sentences ORDER BY ALL").fetchall(), con.execute("FROM words ORDER BY ALL").fetchall()
    assert after == before
    assert faults(catalog) == []


@pytest.mark.parametrize(("tier", "most"), [("int8", 0.51), ("binary", 0.08)])
def test_a_tier_takes_its_share_of_the_bytes_and_rows_are_found_in_it(lake: Lake, tier: str, most: float) -> None:
    width, rows = 384, 2 * ROW_GROUP_ROWS
    table = lakes.arrow_table("sentences", width, [sentence(i) for i in range(rows)])
    sizes = []
    lake.create()
    for layout in (Layout("float16", width), Layout(tier, width, zero_centres(tier, width).get("words"))):
        part = write_part(lake, table, table="sentences", encoding_id="e", width=width, layout=layout)
        path = Path(str(lake.part_path(part.path)))
        file = pq.ParquetFile(path)
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        columns = [group.column(i) for group in groups for i in range(group.num_columns)]
        of_vectors = [c for c in columns if c.path_in_schema.split(".")[0] in ("embedding", SCALE)]
        sizes.append(sum(c.total_compressed_size for c in of_vectors))
        wanted = np.array([rows - 1, 3, 9000, 3])
        exact = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(rows, width)
        with PartFile(path, "sentences", width) as opened:
            assert (opened.vectors(wanted) == layout.rounded(exact[wanted])).all()
    assert sizes[1] / sizes[0] <= most


def faults(catalog: Catalog) -> list[Finding]:
    return list(verify(catalog, grace=timedelta(days=1), now=datetime.now(UTC)).findings)


def sentence(number: int) -> lakes.Row:
    return {
        "doc_id": f"d{number:06}", "version": 1, "sentence_index": 0, "char_start": 0, "char_end": 1, "text": "x",
        "n_tokens": 1,
    }  # fmt: skip


def test_an_encoding_with_bits_and_no_centre_is_neither_registered_nor_read(catalog: Catalog) -> None:
    spec = lakes.make_spec(store="binary")
    with pytest.raises(LakeError, match="width 4 for sentences"):
        catalog.register_encoding(spec)
    assert catalog.encodings() == ()
    catalog.register_encoding(spec, centres=lakes.layouts_of(spec).centres)
    with catalog.writing() as connection:
        connection.exec_driver_sql("DELETE FROM meta WHERE key LIKE 'centres/%%'")
    with pytest.raises(LakeError, match="width 4 for sentences"):
        catalog.encodings()


def test_a_part_that_is_stored_otherwise_is_named(catalog: Catalog, lake: Lake) -> None:
    spec = lakes.make_spec(store="binary")
    catalog.register_encoding(spec, centres=lakes.layouts_of(spec).centres)
    version = catalog.begin_run("r", spec.encoding_id, [])
    other = Centre(np.ones(4, np.float16), 1.0)
    result = lakes.encode(lake, spec, {"a": ["One."]}, run_id="r", version=version)
    rows = lakes.arrow_table("sentences", 4, [sentence(0) | {"doc_id": "a", "version": version, "text": "One."}])
    part = write_part(
        lake, rows, table="sentences", encoding_id=spec.encoding_id, width=4, layout=Layout("binary", 4, other)
    )
    parts = [part, *(p for p in result.parts if p.table != "sentences")]
    catalog.commit_shard(lakes.make_result(spec, result.documents, run_id="r", parts=parts))
    found = [f for f in faults(catalog) if f.kind == "schema"]
    assert [f.subject for f in found] == [part.path]


def test_what_is_measured_is_shown_and_more_vectors_replace_fewer(catalog: Catalog, lake: Lake) -> None:
    spec = lakes.make_spec(store="int8")
    lakes.commit(catalog, spec, TEXTS)
    for vectors_, recall in ((10, 0.5), (2000, 0.9), (30, 0.1)):
        measured = StoreLoss(vectors=vectors_, bytes_a_vector=6, cosine=0.9, least_cosine=0.8, recall_at_10=recall)
        catalog.record_store_loss(spec.encoding_id, "words", measured)
    with connect(lake) as con:
        sql = "SELECT store, stored_sentences, stored_words.vectors, stored_words.recall_at_10 FROM encodings"
        assert con.execute(sql).fetchall() == [("int8", None, 2000, 0.9)]


@pytest.mark.parametrize("name", ["sentences", "words", "tokens"])
def test_every_tier_of_a_table_has_its_columns_and_no_other(name: str) -> None:
    plain = table_schema(name, 4).names
    assert table_schema(name, 4, "binary").names == plain
    assert table_schema(name, 4, "int8").names == [*plain, SCALE]
