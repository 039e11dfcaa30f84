"""Folders that exports write: whose they are, what others have put into them, and what a crash or damage leaves."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.tasks.exports.export import Request, opened_export
from tests import lakes
from tests.tasks.exports.lake_rows import SPEC, Target, assert_same, expected, export
from tests.tasks.exports.read_back import UNIT, FolderTarget


def test_what_others_put_into_a_folder_stays_there(catalog: Catalog, target: Target) -> None:
    if not isinstance(target, FolderTarget):
        pytest.skip("is no folder")
    export(catalog, target)
    (target.path / "LICENSE").write_text("CC-BY")
    (target.path / ".git" / "refs").mkdir(parents=True)
    (target.path / ".git" / "refs" / "main").write_text("0")
    (target.path / "latest").symlink_to("gone")
    lakes.commit(catalog, SPEC, {"delta": ["New."]})
    export(catalog, target)
    assert (target.path / "LICENSE").read_text() == "CC-BY"
    assert (target.path / ".git" / "refs" / "main").read_text() == "0"
    assert (target.path / "latest").readlink() == Path("gone")
    assert_same(target.rows(), expected(catalog.lake, target.format), exact=target.format not in UNIT)


def test_a_target_in_the_lake_is_refused(catalog: Catalog) -> None:
    with pytest.raises(UsageError, match="in the folder of the lake"):
        export(catalog, FolderTarget("npy", Path(str(catalog.lake.root)) / "data" / "out"))


def test_a_target_whose_files_are_damaged_is_an_error_that_says_what_to_do(catalog: Catalog, target: Target) -> None:
    if not isinstance(target, FolderTarget) or target.format in ("npy", "faiss", "atlas"):
        pytest.skip("is not read")
    export(catalog, target)
    for path in target.path.rglob("*"):
        if path.suffix in (".parquet", ".lance", ".sqlite"):
            path.write_bytes(b"damaged")
    lakes.commit(catalog, SPEC, {"delta": ["New."]})
    with pytest.raises(PolysemeError, match="remove it, and export again"):
        export(catalog, target)


def test_the_root_of_a_file_system_is_refused(catalog: Catalog) -> None:
    with pytest.raises(UsageError, match="all of /"):
        export(catalog, FolderTarget("npy", Path("/")))


def test_two_exports_do_not_write_one_target(catalog: Catalog, out: Path) -> None:
    request = Request(format="npy", out=str(out))
    with opened_export(catalog.lake, request), pytest.raises(PolysemeError, match="Another export writes"):
        export(catalog, FolderTarget("npy", out))
    export(catalog, FolderTarget("npy", out))


def test_a_crash_between_two_renames_is_undone(catalog: Catalog, out: Path) -> None:
    export(catalog, FolderTarget("npy", out))
    out.rename(out.with_name(".out.old"))
    assert export(catalog, FolderTarget("npy", out)).rows_written == 0
    assert len(FolderTarget("npy", out).rows()) == 6


def test_files_that_were_removed_are_written_again_though_the_lake_did_not_change(
    catalog: Catalog, target: Target
) -> None:
    removed = {"npy": "vectors.npy", "faiss": "rows.parquet", "atlas": "atlas.parquet", "hf-dataset": "data"}
    if not isinstance(target, FolderTarget) or target.format not in removed:
        pytest.skip("is not replaced as a whole")
    export(catalog, target)
    path = target.path / removed[target.format]
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert export(catalog, target).rows_written == len(expected(catalog.lake, target.format))
    assert_same(target.rows(), expected(catalog.lake, target.format), exact=target.format not in UNIT)
    assert export(catalog, target).rows_written == 0
