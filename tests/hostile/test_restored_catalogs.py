"""Restored or replaced catalogs are noticed, and published again."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.sql.publish import publish
from tests import lakes
from tests.hostile.hostile_lakes import SPEC, good

__all__ = ["good"]


def test_a_restored_catalog_is_noticed_and_published(good: Path, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    shutil.copytree(good, root)
    backup = (root / "catalog.sqlite").read_bytes()
    with Catalog.open(Lake(root)) as catalog:
        for i in range(3):
            lakes.commit(catalog, SPEC, {f"later-{i}": ["Gone after the restore."]})
        publish(catalog)
    for suffix in ("-wal", "-shm"):
        Path(f"{root / 'catalog.sqlite'}{suffix}").unlink(missing_ok=True)
    (root / "catalog.sqlite").write_bytes(backup)
    with Catalog.open(Lake(root)) as catalog:
        now = datetime.now(UTC)
        found = verify(catalog, grace=timedelta(hours=1), now=now).findings
        assert [(f.kind, f.subject) for f in found] == [("published", "catalog.duckdb")]
        assert "polyseme publish" in found[0].message
        publish(catalog)
        assert verify(catalog, grace=timedelta(hours=1), now=now).findings == ()
    assert published_documents(root) == ["d", "e"]


def test_two_states_with_the_same_version_are_told_apart(good: Path, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    shutil.copytree(good, root)
    backup = (root / "catalog.sqlite").read_bytes()
    versions = []
    for doc_id in ("first", "second"):
        for suffix in ("-wal", "-shm"):
            Path(f"{root / 'catalog.sqlite'}{suffix}").unlink(missing_ok=True)
        (root / "catalog.sqlite").write_bytes(backup)
        with Catalog.open(Lake(root)) as catalog:
            lakes.commit(catalog, SPEC, {doc_id: ["Text."]})
            versions.append(publish(catalog))
    assert versions[0] == versions[1]
    assert published_documents(root) == ["d", "e", "second"]


def published_documents(root: Path) -> list[str]:
    with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as con:
        return sorted(row[0] for row in con.execute("SELECT doc_id FROM documents").fetchall())
