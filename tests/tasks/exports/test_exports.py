"""Exports: what a target has are the rows of the lake, after whatever happened to lake and target in between."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.tasks.exports.folders import MARK
from polyseme.tasks.exports.source import Source
from tests import lakes, servers
from tests.tasks.exports.lake_rows import SPEC, TEXTS, Target, assert_same, expected, export
from tests.tasks.exports.read_back import UNIT, FolderTarget, TableTarget

TABLES = ("sentences", "words", "documents")


@pytest.mark.parametrize("table", TABLES)
def test_what_is_read_back_are_the_rows_of_the_views(catalog: Catalog, target: Target, table: str) -> None:
    done = export(catalog, target, table=table)
    rows = expected(catalog.lake, target.format, table)
    assert_same(target.rows(), rows, exact=target.format not in UNIT and table != "documents")
    assert (done.rows, done.documents, done.rows_written) == (len(rows), 3, len(rows))


@pytest.mark.parametrize("store", ["int8", "binary"])
def test_vectors_of_every_tier_are_as_the_views_give_them(tmp_path: Path, target: Target, store: Any) -> None:
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as catalog:
        lakes.commit(catalog, lakes.make_spec(store=store), TEXTS)
        export(catalog, target)
        assert_same(target.rows(), expected(catalog.lake, target.format), exact=target.format not in UNIT)


def test_a_second_export_brings_a_target_up_to_date(catalog: Catalog, target: Target) -> None:
    export(catalog, target)
    lakes.commit(catalog, SPEC, {"beta": ["It has one.", "Or none."], "delta": ["New."]})
    version = catalog.begin_run("deleting", SPEC.encoding_id, [])
    catalog.delete_documents(SPEC.encoding_id, ["gamma"], version=version)
    done = export(catalog, target)
    assert_same(target.rows(), expected(catalog.lake, target.format), exact=target.format not in UNIT)
    assert (done.documents, done.rows) == (3, 5)
    if not done.whole:
        assert (done.new, done.replaced, done.removed, done.rows_written) == (1, 1, 1, 3)


def test_documents_that_only_go_are_removed(catalog: Catalog, target: Target) -> None:
    export(catalog, target)
    version = catalog.begin_run("deleting", SPEC.encoding_id, [])
    catalog.delete_documents(SPEC.encoding_id, ["alpha"], version=version)
    export(catalog, target)
    assert_same(target.rows(), expected(catalog.lake, target.format), exact=target.format not in UNIT)


def test_a_moved_and_a_renamed_document_are_written_anew(catalog: Catalog, target: Target) -> None:
    export(catalog, target)
    version = lakes.begin(catalog, SPEC, "describing")
    texts = {"beta": TEXTS["beta"]}
    catalog.commit_shard(
        lakes.describe(catalog.lake, SPEC, texts, run_id="describing", version=version, rows_version=1, title="Another")
    )
    catalog.move_documents(SPEC.encoding_id, [("alpha", "file:///elsewhere.txt")])
    export(catalog, target)
    found = target.rows()
    assert_same(found, expected(catalog.lake, target.format), exact=target.format not in UNIT)
    assert {"Another", "file:///elsewhere.txt"} <= {row["title"] for row in found} | {row["uri"] for row in found}


def test_without_a_change_nothing_is_written(catalog: Catalog, target: Target) -> None:
    export(catalog, target)
    before = target.stamps()
    done = export(catalog, target)
    assert target.stamps() == before
    assert (done.rows_written, done.rows) == (0, 6)
    assert "Nothing changed" in done.in_words


def test_a_new_version_of_the_catalog_without_other_rows_only_moves_the_mark(catalog: Catalog, target: Target) -> None:
    export(catalog, target)
    lakes.put(catalog, SPEC, "empty", lakes.begin(catalog, SPEC, "empty"), "without-rows")
    done = export(catalog, target)
    assert done.rows_written == 0
    assert target.mark()["catalog_version"] == catalog.snapshot().catalog_version


def test_another_condition_makes_the_target_what_it_selects(catalog: Catalog, target: Target) -> None:
    for where in ("doc_id <= 'beta'", "doc_id >= 'beta'"):
        export(catalog, target, where=where)
        assert_same(target.rows(), expected(catalog.lake, target.format, where=where), exact=target.format not in UNIT)
    with pytest.raises(UsageError, match="no sentences of documents that meet --where"):
        export(catalog, target, where="doc_id = 'none'")
    assert len(target.rows()) == 4


def test_an_interrupted_export_leaves_the_old_target_or_one_that_is_completed(
    catalog: Catalog, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Source.rows

    def broken(source: Source, doc_ids: Any) -> Iterator[Any]:
        yield next(whole(source, doc_ids))
        raise KeyboardInterrupt

    for texts in ({}, {"beta": ["It has one."], "delta": ["New."]}):
        if texts:
            export(catalog, target)
            before = target.rows()
            lakes.commit(catalog, SPEC, texts)
        with monkeypatch.context() as patched:
            patched.setattr(Source, "rows", broken)
            with pytest.raises(KeyboardInterrupt):
                export(catalog, target)
        if target.format == "qdrant":
            assert not target.mark()["complete"]
        elif texts:
            assert_same(target.rows(), before)
        else:
            assert not target.exists()
    export(catalog, target)
    assert_same(target.rows(), expected(catalog.lake, target.format), exact=target.format not in UNIT)
    if isinstance(target, FolderTarget):
        assert sorted(path.name for path in target.path.parent.iterdir()) == ["lake", "out"]


def test_a_target_of_another_lake_encoding_table_or_kind_of_number_is_refused(
    catalog: Catalog, target: Target, tmp_path: Path
) -> None:
    export(catalog, target)
    before = target.rows()
    other = lakes.make_spec(layers="0")
    lakes.commit(catalog, other, TEXTS)
    name = next(e.name for e in catalog.encodings() if e.encoding_id == other.encoding_id)
    with Catalog.create_or_open(Lake(tmp_path / "other")) as another:
        lakes.commit(another, SPEC, TEXTS)
        with pytest.raises(UsageError, match="is an export of the lake"):
            export(another, target)
    with pytest.raises(UsageError, match="is an export of the encoding"):
        export(catalog, target, encoding=name)
    with pytest.raises(UsageError, match="is an export of the table sentences, and words"):
        export(catalog, target, table="words")
    with pytest.raises(UsageError, match=r"float32, and float16|has no 16-bit floats"):
        export(catalog, target, vectors="float16")
    assert_same(target.rows(), before)


def test_what_no_export_made_is_left_alone(catalog: Catalog, target: Target) -> None:
    if isinstance(target, TableTarget):
        servers.execute(target.server, f"CREATE TABLE {target.table} AS SELECT 'Years of work.' AS thesis")
        with pytest.raises(UsageError, match="a table that no export made"):
            export(catalog, target)
        servers.execute(target.server, f"COMMENT ON TABLE {target.table} IS 'of mine'")
        with pytest.raises(UsageError, match="no mark"):
            export(catalog, target)
        return
    thesis = target.path / "thesis.txt"
    target.path.mkdir()
    thesis.write_text("Years of work.")
    for path in (target.path, thesis):
        with pytest.raises(UsageError, match="is not an export of Polyseme"):
            export(catalog, replace(target, path=path))
    (target.path / MARK).write_text("{}")
    with pytest.raises(UsageError, match="no mark"):
        export(catalog, target)
    assert thesis.read_text() == "Years of work."


def test_an_encoding_is_exported_by_its_name(catalog: Catalog, out: Path) -> None:
    other = lakes.make_spec(layers="0")
    lakes.commit(catalog, other, {"alpha": ["Only this."]})
    name = next(e.name for e in catalog.encodings() if e.encoding_id == other.encoding_id)
    assert export(catalog, FolderTarget("npy", out), encoding=name).rows == 1
    with pytest.raises(UsageError, match="No encoding is named"):
        export(catalog, FolderTarget("npy", out.with_name("none")), encoding="none")


def test_16_bit_floats_lose_nothing_of_what_the_lake_stores(catalog: Catalog, target: Target) -> None:
    if target.format in ("faiss", "delta", "qdrant", "atlas"):
        with pytest.raises(UsageError, match="no 16-bit floats"):
            export(catalog, target, vectors="float16")
        return
    export(catalog, target, vectors="float16")
    assert_same(target.rows(), expected(catalog.lake, target.format))


def test_a_lake_without_words_says_how_it_gets_some(tmp_path: Path, out: Path) -> None:
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as catalog:
        lakes.commit_sentences(catalog, SPEC, TEXTS)
        with pytest.raises(UsageError, match="--level words"):
            export(catalog, FolderTarget("npy", out), table="words")


def test_documents_with_unusual_ids_are_replaced_and_removed(catalog: Catalog, target: Target) -> None:
    names = ["it's", "it''s", "a\\'b", 'a"b', "100%_", "ｗｉｄｅ é", "x') OR ('1' = '1", "{brace}", "new\nline"]
    for run_id, texts in (
        ("before", {name: ["Before."] for name in names}),
        ("after", {name: ["After.", "Wards."] for name in names[::2]}),
    ):
        version = lakes.begin(catalog, SPEC, run_id)
        catalog.commit_shard(lakes.encode(catalog.lake, SPEC, texts, run_id=run_id, version=version))
        export(catalog, target)
    version = catalog.begin_run("deleting", SPEC.encoding_id, [])
    catalog.delete_documents(SPEC.encoding_id, names[1::2], version=version)
    export(catalog, target)
    assert_same(target.rows(), expected(catalog.lake, target.format), exact=target.format not in UNIT)


@pytest.mark.parametrize(
    ("target", "package", "extra"),
    [
        (FolderTarget("faiss", Path("never-made")), "faiss", "faiss"),
        (FolderTarget("lance", Path("never-made")), "lance", "lance"),
        (FolderTarget("delta", Path("never-made")), "deltalake", "delta"),
        (FolderTarget("qdrant", Path("never-made")), "qdrant_client", "qdrant"),
        (TableTarget("pgvector", "postgresql://127.0.0.1:5432/db", "t"), "psycopg", "postgres"),
    ],
    ids=lambda value: value.format if not isinstance(value, str) else None,
)
def test_a_missing_library_is_named_with_the_extra_that_has_it(
    catalog: Catalog, target: Target, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"pip install 'polyseme\[{extra}\]'"):
        export(catalog, target)
