"""Exports: what a target has are the rows of the lake, after whatever happened to lake and target in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from polyseme.tasks.exports.export import Exported, Request, opened_export
from polyseme.tasks.exports.folders import MARK
from polyseme.tasks.exports.source import Source
from tests import lakes
from tests.extras import require
from tests.tasks.exports.read_back import LIBRARIES, READERS, UNIT, Row

TEXTS = {
    "alpha": ["The bank is closed.", "Nobody came."],
    "beta": ["A river has two banks."],
    "gamma": ["She rowed.", "He slept.", "It rained."],
}
FORMATS = [pytest.param(name, marks=pytest.mark.extra) if name in LIBRARIES else name for name in READERS]
TABLES = ("sentences", "words", "documents")
SPEC = lakes.make_spec()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as opened:
        lakes.commit(opened, SPEC, TEXTS)
        yield opened


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def export(catalog: Catalog, out: Path, format: str, **more: Any) -> Exported:
    if format in LIBRARIES:
        require(*LIBRARIES[format])
    with opened_export(catalog.lake, Request(format=format, out=str(out), **more)) as work:
        return work.run()


def expected(lake: Lake, format: str, table: str = "sentences", where: str = "true", suffix: str = "") -> list[Row]:
    """Return the rows of the lake's views, with what every export adds of the document."""
    document = "SELECT doc_id, uri, title, metadata FROM documents"
    with connect(lake, functions=lambda *_: None) as con:
        con.execute("SET timezone = 'UTC'")
        if table == "documents":
            mean = ", ".join(f"avg(embedding[{i}])" for i in range(1, 5))
            means = f"SELECT doc_id, [{mean}]::FLOAT[4] AS embedding FROM sentences GROUP BY doc_id"
            sql = f"SELECT * EXCLUDE (version, path, filename, extension) FROM documents JOIN ({means}) USING (doc_id)"
        else:
            sql = f"FROM {table}{suffix} JOIN ({document}) USING (doc_id)"
        wanted = f"SEMI JOIN (SELECT doc_id FROM documents WHERE {where}) USING (doc_id)"
        rows = con.sql(f"FROM ({sql}) {wanted} ORDER BY ALL").to_arrow_table().to_pylist()
    for row in rows:
        if format in UNIT:
            vector = np.array(row["embedding"], np.float32)
            row["embedding"] = (vector / np.linalg.norm(vector)).tolist()
    return rows


def assert_same(found: list[Row], rows: list[Row], *, exact: bool = True) -> None:
    assert [{**row, "embedding": None} for row in found] == [{**row, "embedding": None} for row in rows]
    ours, theirs = (np.array([row["embedding"] for row in each]) for each in (found, rows))
    np.testing.assert_allclose(ours, theirs, rtol=0 if exact else 1e-6, atol=0 if exact else 1e-7)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("table", TABLES)
def test_what_is_read_back_are_the_rows_of_the_views(catalog: Catalog, out: Path, format: str, table: str) -> None:
    done = export(catalog, out, format, table=table)
    rows = expected(catalog.lake, format, table)
    assert_same(READERS[format](out), rows, exact=format not in UNIT and table != "documents")
    assert (done.rows, done.documents, done.rows_written) == (len(rows), 3, len(rows))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("store", ["int8", "binary"])
def test_vectors_of_every_tier_are_as_the_views_give_them(tmp_path: Path, out: Path, format: str, store: Any) -> None:
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as catalog:
        lakes.commit(catalog, lakes.make_spec(store=store), TEXTS)
        export(catalog, out, format)
        assert_same(READERS[format](out), expected(catalog.lake, format), exact=format not in UNIT)


@pytest.mark.parametrize("format", FORMATS)
def test_a_second_export_brings_a_target_up_to_date(catalog: Catalog, out: Path, format: str) -> None:
    export(catalog, out, format)
    lakes.commit(catalog, SPEC, {"beta": ["It has one.", "Or none."], "delta": ["New."]})
    version = catalog.begin_run("deleting", SPEC.encoding_id, [])
    catalog.delete_documents(SPEC.encoding_id, ["gamma"], version=version)
    done = export(catalog, out, format)
    assert_same(READERS[format](out), expected(catalog.lake, format), exact=format not in UNIT)
    assert (done.documents, done.rows) == (3, 5)
    if not done.whole:
        assert (done.new, done.replaced, done.removed, done.rows_written) == (1, 1, 1, 3)


@pytest.mark.parametrize("format", FORMATS)
def test_documents_that_only_go_are_removed(catalog: Catalog, out: Path, format: str) -> None:
    export(catalog, out, format)
    version = catalog.begin_run("deleting", SPEC.encoding_id, [])
    catalog.delete_documents(SPEC.encoding_id, ["alpha"], version=version)
    export(catalog, out, format)
    assert_same(READERS[format](out), expected(catalog.lake, format), exact=format not in UNIT)


@pytest.mark.parametrize("format", FORMATS)
def test_a_moved_and_a_renamed_document_are_written_anew(catalog: Catalog, out: Path, format: str) -> None:
    export(catalog, out, format)
    version = lakes.begin(catalog, SPEC, "describing")
    texts = {"beta": TEXTS["beta"]}
    catalog.commit_shard(
        lakes.describe(catalog.lake, SPEC, texts, run_id="describing", version=version, rows_version=1, title="Another")
    )
    catalog.move_documents(SPEC.encoding_id, [("alpha", "file:///elsewhere.txt")])
    export(catalog, out, format)
    found = READERS[format](out)
    assert_same(found, expected(catalog.lake, format), exact=format not in UNIT)
    assert {"Another", "file:///elsewhere.txt"} <= {row["title"] for row in found} | {row["uri"] for row in found}


@pytest.mark.parametrize("format", FORMATS)
def test_without_a_change_nothing_is_written(catalog: Catalog, out: Path, format: str) -> None:
    export(catalog, out, format)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    done = export(catalog, out, format)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert (done.rows_written, done.rows) == (0, 6)
    assert "Nothing changed" in done.in_words


@pytest.mark.parametrize("format", FORMATS)
def test_a_new_version_of_the_catalog_without_other_rows_only_moves_the_mark(
    catalog: Catalog, out: Path, format: str
) -> None:
    export(catalog, out, format)
    lakes.put(catalog, SPEC, "empty", lakes.begin(catalog, SPEC, "empty"), "without-rows")
    done = export(catalog, out, format)
    assert done.rows_written == 0
    assert json.loads((out / MARK).read_text())["catalog_version"] == catalog.snapshot().catalog_version


@pytest.mark.parametrize("format", FORMATS)
def test_another_condition_makes_the_target_what_it_selects(catalog: Catalog, out: Path, format: str) -> None:
    for where in ("doc_id <= 'beta'", "doc_id >= 'beta'"):
        export(catalog, out, format, where=where)
        assert_same(READERS[format](out), expected(catalog.lake, format, where=where), exact=format not in UNIT)
    with pytest.raises(UsageError, match="no sentences of documents that meet --where"):
        export(catalog, out, format, where="doc_id = 'none'")
    assert len(READERS[format](out)) == 4


@pytest.mark.parametrize("format", FORMATS)
def test_an_interrupted_export_leaves_the_old_target_or_one_that_is_completed(
    catalog: Catalog, out: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Source.rows

    def broken(source: Source, doc_ids: Any) -> Iterator[Any]:
        yield next(whole(source, doc_ids))
        raise KeyboardInterrupt

    for texts in ({}, {"beta": ["It has one."], "delta": ["New."]}):
        if texts:
            export(catalog, out, format)
            before = READERS[format](out)
            lakes.commit(catalog, SPEC, texts)
        with monkeypatch.context() as patched:
            patched.setattr(Source, "rows", broken)
            with pytest.raises((KeyboardInterrupt, PolysemeError, OSError)):
                export(catalog, out, format)
        if texts:
            assert_same(READERS[format](out), before)
        else:
            assert not out.exists()
    export(catalog, out, format)
    assert_same(READERS[format](out), expected(catalog.lake, format), exact=format not in UNIT)
    assert sorted(path.name for path in out.parent.iterdir()) == ["lake", "out"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_target_of_another_lake_encoding_table_or_kind_of_number_is_refused(
    catalog: Catalog, out: Path, tmp_path: Path, format: str
) -> None:
    export(catalog, out, format)
    before = READERS[format](out)
    other = lakes.make_spec(layers="0")
    lakes.commit(catalog, other, TEXTS)
    name = next(e.name for e in catalog.encodings() if e.encoding_id == other.encoding_id)
    with Catalog.create_or_open(Lake(tmp_path / "other")) as another:
        lakes.commit(another, SPEC, TEXTS)
        with pytest.raises(UsageError, match="is an export of the lake"):
            export(another, out, format)
    with pytest.raises(UsageError, match="is an export of the encoding"):
        export(catalog, out, format, encoding=name)
    with pytest.raises(UsageError, match="is an export of the table sentences, and words"):
        export(catalog, out, format, table="words")
    with pytest.raises(UsageError, match=r"float32, and float16|has no 16-bit floats"):
        export(catalog, out, format, vectors="float16")
    assert_same(READERS[format](out), before)


@pytest.mark.parametrize("format", FORMATS)
def test_what_no_export_made_is_left_alone(catalog: Catalog, out: Path, format: str) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("Years of work.")
    with pytest.raises(UsageError, match="is not an export of Polyseme"):
        export(catalog, out, format)
    with pytest.raises(UsageError, match="is not an export of Polyseme"):
        export(catalog, out / "thesis.txt", format)
    (out / MARK).write_text("{}")
    with pytest.raises(UsageError, match="no mark"):
        export(catalog, out, format)
    assert (out / "thesis.txt").read_text() == "Years of work."


def test_an_encoding_is_exported_by_its_name(catalog: Catalog, out: Path) -> None:
    other = lakes.make_spec(layers="0")
    lakes.commit(catalog, other, {"alpha": ["Only this."]})
    name = next(e.name for e in catalog.encodings() if e.encoding_id == other.encoding_id)
    assert export(catalog, out, "npy", encoding=name).rows == 1
    with pytest.raises(UsageError, match="No encoding is named"):
        export(catalog, out.with_name("none"), "npy", encoding="none")


def test_16_bit_floats_lose_nothing_of_what_the_lake_stores(catalog: Catalog, out: Path) -> None:
    export(catalog, out, "npy", vectors="float16")
    assert np.load(out / "vectors.npy").dtype == np.float16
    assert_same(READERS["npy"](out), expected(catalog.lake, "npy"))


def test_a_target_in_the_lake_is_refused(catalog: Catalog) -> None:
    with pytest.raises(UsageError, match="in the folder of the lake"):
        export(catalog, Path(str(catalog.lake.root)) / "data" / "out", "npy")


def test_two_exports_do_not_write_one_target(catalog: Catalog, out: Path) -> None:
    request = Request(format="npy", out=str(out))
    with opened_export(catalog.lake, request), pytest.raises(PolysemeError, match="Another export writes"):
        export(catalog, out, "npy")
    export(catalog, out, "npy")


def test_a_crash_between_two_renames_is_undone(catalog: Catalog, out: Path) -> None:
    export(catalog, out, "npy")
    out.rename(out.with_name(".out.old"))
    assert export(catalog, out, "npy").rows_written == 0
    assert len(READERS["npy"](out)) == 6


def test_a_lake_without_words_says_how_it_gets_some(tmp_path: Path, out: Path) -> None:
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as catalog:
        lakes.commit_sentences(catalog, SPEC, TEXTS)
        with pytest.raises(UsageError, match="--level words"):
            export(catalog, out, "npy", table="words")
