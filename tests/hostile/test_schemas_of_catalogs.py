"""Schemas that a stranger gave to tables and indexes: what SQLite would compute with each row is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from tests import lakes

LONG = "length(replace(hex(zeroblob(100000000)), char(48), char(97)))"
INDEX = "DROP INDEX ix_rejects_uri; CREATE INDEX ix_rejects_uri ON rejects "
HOSTILE: dict[str, tuple[str, str, str, str]] = {
    # what is wrong: the table, what is replaced in its schema by what, and what the message says
    "a check that takes long": ("runs", "PRIMARY KEY", f"CHECK ({LONG} > 0), PRIMARY KEY", "CHECK"),
    "a default that takes long": ("runs", "DEFAULT '0'", "default\n(length(zeroblob(900000000)))", "DEFAULT"),
    "a key that deletes": (
        "document_versions",
        "encodings (encoding_id)",
        "encodings (encoding_id) ON DELETE CASCADE",
        "CASCADE",
    ),
    "a key that empties": ("shards", "runs (run_id)", "runs (run_id) ON DELETE SET NULL", "SET NULL"),
    "a conflict that replaces": ("parts", "UNIQUE (path)", "UNIQUE (path) ON CONFLICT REPLACE", "CONFLICT"),
    "another order of text": ("document_versions", "uri TEXT", "uri TEXT COLLATE NOCASE", "COLLATE"),
}
INDEXES = {"over what takes long": f"(length(uri || {LONG}))", "of some rows": "(uri) WHERE uri > ''"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    with Catalog.create_or_open(lake) as catalog:
        catalog.register_encoding(lakes.make_spec())
    return lake


def require_refused(lake: Lake, message: str) -> None:
    for opening in (Catalog.open, Catalog.create_or_open):
        with pytest.raises(LakeError, match=f"{message}.* SQLite would run"):
            opening(lake)


@pytest.mark.parametrize(("table", "old", "new", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_table_that_computes_is_refused(lake: Lake, table: str, old: str, new: str, message: str) -> None:
    with closing(sqlite3.connect(str(lake.catalog_path), isolation_level=None)) as raw:
        raw.execute("PRAGMA writable_schema = ON")
        changed = "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = ? AND instr(sql, ?)"
        assert raw.execute(changed, (old, new, table, old)).rowcount == 1
    require_refused(lake, message)


@pytest.mark.parametrize("over", INDEXES.values(), ids=INDEXES)
def test_an_index_that_computes_is_refused(lake: Lake, over: str) -> None:
    with closing(sqlite3.connect(str(lake.catalog_path), isolation_level=None)) as raw:
        raw.executescript(INDEX + over)
    require_refused(lake, "ix_rejects_uri")
