"""Backups: a lake copied whole while others write, and brought back; nothing is taken for a backup that is not one."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError, MissingLakeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.backup import MARK, backup, restore
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.sql.connection import connect
from tests import lakes

SPEC = lakes.make_spec()


def texts(lake: Lake) -> list[str]:
    with connect(lake, functions=lambda *_: None) as con:
        return [text for (text,) in con.execute("SELECT text FROM sentences ORDER BY ALL").fetchall()]


def faults(lake: Lake) -> list[str]:
    with Catalog.open(lake) as opened:
        found = verify(opened, grace=timedelta(hours=1), now=datetime.now(UTC)).findings
        return [f"{f.kind} {f.subject}" for f in found]


@pytest.fixture
def full(catalog: Catalog) -> Catalog:
    lakes.commit(catalog, SPEC, {"a": ["First.", "Second."], "b": ["Third."]})
    return catalog


@pytest.fixture
def kept(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "backup")


def test_a_backup_is_a_lake_with_the_same_answers(full: Catalog, kept: Lake) -> None:
    copied = backup(full, kept)
    assert (copied.parts, copied.copied, copied.catalog_version) == (4, 4, full.version)
    assert texts(kept) == texts(full.lake) == ["First.", "Second.", "Third."]
    assert faults(kept) == []


def test_a_second_backup_copies_what_is_new_and_drops_what_is_gone(full: Catalog, kept: Lake) -> None:
    backup(full, kept)
    lakes.commit(full, SPEC, {"c": ["Fourth."]})
    assert backup(full, kept).copied == 3
    assert texts(kept) == ["First.", "Fourth.", "Second.", "Third."]
    compact(full, CompactionPolicy(min_dead=0.0))
    backup(full, kept)
    live = {path for paths in full.snapshot().parts.values() for path in paths}
    assert {found.path for found in kept.files.listed("data")} == live
    assert faults(kept) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_every_backup_of_a_lake_that_is_written_to_is_whole(full: Catalog, kept: Lake) -> None:
    over = threading.Event()

    def write() -> None:
        for i in range(30):
            lakes.commit(full, SPEC, {f"d{i % 5}": [f"Sentence {i}.", f"Again {i}."]})
        over.set()

    writer = threading.Thread(target=write)
    writer.start()
    made = 0
    while not over.is_set() or not made:
        backup(full, kept)
        assert faults(kept) == []
        made += 1
    writer.join()
    backup(full, kept)
    assert texts(kept) == texts(full.lake)


def test_a_lost_lake_comes_back_and_goes_on(full: Catalog, kept: Lake, tmp_path: Path) -> None:
    backup(full, kept)
    new = Lake(tmp_path / "new")
    assert restore(kept, new).copied == 4
    assert texts(new) == texts(full.lake)
    assert faults(new) == []
    with Catalog.open(new) as opened:
        assert opened.lake_id == full.lake_id
        lakes.commit(opened, SPEC, {"b": ["Newer."], "c": ["Fourth."]})
    assert texts(new) == ["First.", "Fourth.", "Newer.", "Second."]


def test_documents_deleted_since_are_back_and_published(full: Catalog, kept: Lake) -> None:
    backup(full, kept)
    run = lakes.begin(full, SPEC, "later")
    full.delete_documents(SPEC.encoding_id, ["a"], version=run)
    lakes.commit(full, SPEC, {"z": ["Since."]})
    before = full.version
    with pytest.raises(UsageError, match=r"--replace makes it what .* has: what was committed since is lost"):
        restore(kept, full.lake)
    assert texts(full.lake) == ["Since.", "Third."]
    assert restore(kept, full.lake, replace=True).copied == 0
    assert texts(full.lake) == ["First.", "Second.", "Third."]
    assert full.version > before
    with duckdb.connect(str(full.lake.published_path), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM documents").fetchone() == (2,)
    assert lakes.begin(full, SPEC, "after") > run
    lakes.commit(full, SPEC, {"a": ["Changed."]})
    assert texts(full.lake) == ["Changed.", "Third."]


def test_a_part_that_was_damaged_since_is_copied_again(full: Catalog, kept: Lake) -> None:
    backup(full, kept)
    part = full.lake.root / full.snapshot().parts[SPEC.encoding_id, "sentences"][0]
    assert isinstance(part, Path)
    content = bytearray(part.read_bytes())
    content[20] ^= 1
    part.chmod(0o644)
    part.write_bytes(content)
    with pytest.raises(LakeError, match="verify --repair"):
        backup(full, Lake(kept.root.with_name("other")))
    assert restore(kept, full.lake, replace=True).copied == 1
    assert faults(full.lake) == []


def test_a_backup_that_fails_leaves_the_one_before(full: Catalog, kept: Lake) -> None:
    backup(full, kept)
    before = texts(kept)
    lakes.commit(full, SPEC, {"c": ["Fourth."]})
    path = full.snapshot().parts[SPEC.encoding_id, "words"][-1]
    full.lake.files.remove([path])
    with pytest.raises(LakeError, match="vanish while they are copied"):
        backup(full, kept)
    assert texts(kept) == before
    assert faults(kept) == []


def test_a_backup_that_was_interrupted_goes_on(full: Catalog, kept: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = []

    def interrupt(size: int) -> None:
        parts.append(size)
        if len(parts) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup(full, kept, progress=interrupt)
    with pytest.raises(MissingLakeError, match="There is no backup"):
        restore(kept, Lake(kept.root.with_name("new")))
    assert backup(full, kept).copied == 2
    assert faults(kept) == []


def test_of_two_copies_of_a_lake_neither_replaces_the_backup_of_the_other(
    full: Catalog, kept: Lake, tmp_path: Path
) -> None:
    backup(full, kept)
    copy = Lake(tmp_path / "copy")
    restore(kept, copy)
    with Catalog.open(copy) as second:
        with pytest.raises(UsageError, match="Name a folder for this one's own backups"):
            backup(second, kept)
        assert backup(second, Lake(tmp_path / "backup-of-the-copy")).parts == 4
    assert texts(kept) == ["First.", "Second.", "Third."]
    assert backup(full, kept).copied == 0


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("named", [None, 7, "", "lake", "/nowhere", "s3://bucket/lake", "/\0", "/" + "x" * 5_000])
def test_a_backup_goes_on_after_its_lake_was_moved(full: Catalog, kept: Lake, named: object) -> None:
    backup(full, kept)
    mark = kept.root / MARK
    assert isinstance(mark, Path)
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"lake": named}))
    assert backup(full, kept).copied == 0


def test_what_is_not_its_backup_is_never_written_over(full: Catalog, kept: Lake, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="is not empty and not a backup"):
        backup(full, Lake(tmp_path / "taken"))
    other = Lake(tmp_path / "other")
    with Catalog.create_or_open(other) as opened:
        lakes.commit(opened, SPEC, {"o": ["Other."]})
        with pytest.raises(UsageError, match="is not empty and not a backup"):
            backup(full, other)
        backup(full, kept)
        with pytest.raises(UsageError, match="a backup of another lake"):
            backup(opened, kept)
        with pytest.raises(LakeError, match="a backup of another lake"):
            restore(kept, other, replace=True)
    assert texts(other) == ["Other."]
    for inside in (full.lake.root / "backup", full.lake.root, full.lake.root.parent):
        with pytest.raises(UsageError, match="one would contain the other"):
            backup(full, Lake(inside))
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / MARK).write_text(json.dumps([1]))
    with pytest.raises(UsageError, match="cannot be read"):
        backup(full, Lake(tmp_path / "odd"))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE parts SET path = 'data/../../evil.parquet' WHERE part_id = 1", "the path of a part"),
        ("UPDATE parts SET path = '/etc/passwd' WHERE part_id = 1", "the path of a part"),
        ("UPDATE parts SET sha256 = 'x'", "parts.sha256"),
        ("UPDATE encodings SET name = 'x AS SELECT 1; --'", "encodings.name"),
        ("CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM parts; END", "trigger"),
    ],
)
def test_a_backup_that_somebody_altered_writes_nothing(
    full: Catalog, kept: Lake, tmp_path: Path, statement: str, message: str
) -> None:
    backup(full, kept)
    with contextlib.closing(sqlite3.connect(str(kept.catalog_path), isolation_level=None)) as raw:
        raw.execute(statement)
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(str(kept.root))}
    with pytest.raises(LakeError, match=message):
        restore(kept, Lake(tmp_path / "new"))
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(str(kept.root))} == before


def test_a_backup_that_lacks_a_part_says_so_and_makes_no_lake(full: Catalog, kept: Lake, tmp_path: Path) -> None:
    backup(full, kept)
    assert isinstance(kept.root, Path)
    next(kept.root.glob("data/documents/*/*.parquet")).unlink()
    with pytest.raises(LakeError, match="is not complete"):
        restore(kept, Lake(tmp_path / "new"))
    with pytest.raises(MissingLakeError):
        Catalog.open(Lake(tmp_path / "new"))


def test_a_place_without_a_backup_says_so(full: Catalog, tmp_path: Path) -> None:
    with pytest.raises(MissingLakeError, match="There is no backup in"):
        restore(Lake(tmp_path / "nowhere"), Lake(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


@pytest.mark.servers
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_object_store_keeps_a_backup(full: Catalog, s3_root: str, tmp_path: Path) -> None:
    kept, new = Lake(s3_root), Lake(tmp_path / "new")
    backup(full, kept)
    lakes.commit(full, SPEC, {"c": ["Fourth."]})
    assert backup(full, kept).copied == 3
    restore(kept, new)
    assert texts(new) == texts(full.lake)
    assert faults(new) == []
