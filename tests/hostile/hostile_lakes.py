"""Ways to make a lake for somebody else to open that is not what it says, and what each of them is refused with."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.parts import sha256_of
from polyseme.storage.sql.publish import publish
from tests import lakes

SPEC = lakes.make_spec()
ID = SPEC.encoding_id
Spoil = Callable[[Path, Path], None]
"""Spoils the lake in the first folder; the second is what it is after."""


def sql(*statements: str) -> Spoil:
    """Change the catalog as its maker could. `{out}` is a folder outside the lake."""

    def spoil(root: Path, out: Path) -> None:
        with sqlite3.connect(root / "catalog.sqlite") as raw:
            for statement in statements:
                raw.execute(statement.replace("{out}", str(out)))
        raw.close()

    return spoil


def spec(**changes: object) -> Spoil:
    """Change fields of the encoding's description."""
    pairs = ", ".join(
        f"'$.{name}', {value if isinstance(value, int) else repr(value)}" for name, value in changes.items()
    )
    return sql(f"UPDATE encodings SET spec = json_set(spec, {pairs})")


def retired(path: str, at: str = "2020-01-01T00:00:00+00:00") -> Spoil:
    """Add a part that vacuum would remove."""
    return sql(f"INSERT INTO retired_parts VALUES ('{path}', 'words', '{ID}', 1, 'x', '{at}')")


def part_of(root: Path, table: str = "sentences") -> Path:
    return next((root / "data" / table / f"encoding={ID}").glob("*.parquet"))


def replaced(how: Callable[[Path, Path], object]) -> Spoil:
    """Put something else where a part was."""

    def spoil(root: Path, out: Path) -> None:
        part = part_of(root)
        part.unlink()
        how(part, out)

    return spoil


def folder_is_a_link(name: str) -> Spoil:
    """Move a folder of the lake outside it and leave a link."""

    def spoil(root: Path, out: Path) -> None:
        shutil.move(root / name, out / "moved")
        (root / name).symlink_to(out / "moved")

    return spoil


def catalog_is(how: Callable[[Path, Path], object]) -> Spoil:
    def spoil(root: Path, out: Path) -> None:
        shutil.copy(root / "catalog.sqlite", out / "theirs.sqlite")
        (root / "catalog.sqlite").unlink()
        how(root / "catalog.sqlite", out)

    return spoil


def beside(name: str, make: Callable[[Path], object]) -> Spoil:
    """Make something that is not a file where SQLite or DuckDB would have a file of its own."""

    def spoil(root: Path, _: Path) -> None:
        (root / name).unlink(missing_ok=True)
        make(root / name)

    return spoil


def lock_is_a_link(root: Path, out: Path) -> None:
    (root / ".publish.lock").unlink(missing_ok=True)
    (root / ".publish.lock").symlink_to(out / "diary.txt")
    sql("UPDATE meta SET value = '999' WHERE key = 'catalog_version'")(root, out)


def journal_names_a_file(root: Path, out: Path) -> None:
    name = str(out / "diary.txt").encode()
    (root / "catalog.sqlite-journal").write_bytes(b"\0" * 512 + name + bytes.fromhex("d9d505f920a163d7"))


def other_columns_with_their_hash(root: Path, out: Path) -> None:
    for table in ("documents", "sentences", "words", "transitions"):
        for part in (root / "data" / table / f"encoding={ID}").glob("*.parquet"):
            part.chmod(0o644)
            pq.write_table(pa.table({"doc_id": [1], "embedding": ["x"]}), part)
            sql(f"UPDATE parts SET rows = 1, sha256 = '{sha256_of(part)}' WHERE path LIKE '%{part.name}'")(root, out)


BREAKOUT = "x AS SELECT 1 AS a; COPY (SELECT 'pwned') TO '{out}/pwned' (FORMAT csv); CREATE VIEW y".replace("'", "''")
HEX = "0" * 32
HOSTILE: list[tuple[str, Spoil, str]] = [
    # what is wrong, how the lake is spoilt, what the message says
    ("a name that is SQL", sql(f"UPDATE encodings SET name = '{BREAKOUT}'"), r"encodings\.name"),
    ("a name that reads",
     sql("UPDATE encodings SET name = 'x AS FROM read_text(''/etc/passwd'') --'"), r"encodings\.name"),
    ("a name with a quote", sql("""UPDATE encodings SET name = 'a"b'"""), r"encodings\.name"),
    ("a name in capitals", sql("UPDATE encodings SET name = 'ABC'"), r"encodings\.name"),
    ("an empty name", sql("UPDATE encodings SET name = ''"), r"encodings\.name"),
    ("a name without end", sql("UPDATE encodings SET name = printf('%.*c', 100000, 'a')"), r"encodings\.name"),
    ("a name of bytes", sql("UPDATE encodings SET name = x'6162'"), r"encodings\.name"),
    ("an id that is a path", sql("UPDATE encodings SET encoding_id = '../../x'"), r"encodings\.encoding_id"),
    ("an id that is SQL", sql("UPDATE encodings SET encoding_id = '''; DROP'"), r"encodings\.encoding_id"),
    ("a date that is none", sql("UPDATE encodings SET created_at = 'soon'"), r"encodings\.created_at"),
    ("a width that is SQL", spec(width="4]; ATTACH"), "width"),
    ("a width without end", spec(width=10**12), "width"),
    ("a width of nothing", spec(width=0), "width"),
    ("layers that are unknown", spec(layers="all"), "layers"),
    ("pooling that is unknown", spec(pooling="x'"), "pooling"),
    ("a context that is unknown", spec(context="book"), "context"),
    ("a precision that is unknown", spec(precision="fp8"), "precision"),
    ("a splitter of two lines",
     sql("UPDATE encodings SET spec = json_set(spec, '$.splitter', 'a' || char(10))"), "splitter"),
    ("a scheme that is text", spec(scheme="one"), "scheme"),
    ("a limit below nothing", spec(max_tokens=-1), "max_tokens"),
    ("a field too many", spec(command="rm"), r"encodings\.spec"),
    ("a spec that is no JSON", sql("UPDATE encodings SET spec = '{'"), r"encodings\.spec"),
    ("a spec nested without end", sql("UPDATE encodings SET spec = replace(hex(zeroblob(50000)), '0', '[')"), "JSON"),
    ("a spec that is a list", sql("UPDATE encodings SET spec = '[]'"), "JSON object"),
    ("a part elsewhere", sql("UPDATE parts SET path = '/etc/passwd' WHERE part_id = 1"), "path of a part"),
    ("a part above", sql(f"UPDATE parts SET path = 'data/../../{HEX}.parquet' WHERE part_id = 1"), "path of a part"),
    ("a part by address",
     sql("UPDATE parts SET path = 'https://evil.example/a.parquet' WHERE part_id = 1"), "path of a part"),
    ("a part by pattern",
     sql(f"UPDATE parts SET path = 'data/words/encoding={ID}/*.parquet' WHERE part_id = 1"), "path of a part"),
    ("a part that is SQL",
     sql("UPDATE parts SET path = path || '''); COPY (SELECT 1) TO ''{out}/pwned'"), "path of a part"),
    ("a part of another table",
     sql("UPDATE parts SET table_name = 'words' WHERE table_name = 'sentences'"), "path of a part"),
    ("a table that is SQL", sql("UPDATE parts SET table_name = 'words; DROP'"), r"parts\.table_name"),
    ("a path of bytes", sql("UPDATE parts SET path = x'00ff' WHERE part_id = 1"), "path of a part"),
    ("text that is not UTF-8", sql("UPDATE runs SET run_id = CAST(x'ff' AS TEXT) WHERE ordinal = 1"), "catalog"),
    ("rows below nothing", sql("UPDATE parts SET rows = -1"), r"parts\.rows"),
    ("rows that are text", sql("UPDATE parts SET rows = 'many'"), r"parts\.rows"),
    ("bytes without end", sql("UPDATE parts SET bytes = 9223372036854775807"), r"parts\.bytes"),
    ("a hash that is none", sql("UPDATE parts SET sha256 = 'x'"), r"parts\.sha256"),
    ("a retired part elsewhere", retired("../../{out}/diary.txt"), "path of a part"),
    ("a retired part by full path", retired("{out}/diary.txt"), "path of a part"),
    ("a retired part with no time", retired(f"data/words/encoding={ID}/{HEX}.parquet", "x"), "retired_at"),
    ("a version that is text", sql("UPDATE meta SET value = 'x' WHERE key = 'catalog_version'"), "catalog_version"),
    ("a version without end",
     sql("UPDATE meta SET value = '9' || hex(zeroblob(3000)) WHERE key = 'catalog_version'"), "catalog_version"),
    ("a format that is text", sql("UPDATE meta SET value = 'x' WHERE key = 'format_version'"), "format_version"),
    ("an epoch that is SQL", sql("UPDATE meta SET value = '''; DROP' WHERE key = 'catalog_epoch'"), "catalog_epoch"),
    ("an id of a lake with a line", sql("UPDATE meta SET value = 'a' || char(10) WHERE key = 'lake_id'"), "lake_id"),
    ("a default that is SQL",
     sql("UPDATE meta SET value = 'x; DROP' WHERE key = 'default_encoding'"), "default_encoding"),
    ("a loss that is no number",
     sql(f"INSERT INTO meta VALUES ('fidelity/{ID}', '{{\"sentences\": \"x\"}}')"), "measured loss"),
    ("a run of two lines", sql("UPDATE runs SET run_id = 'a' || char(10) || 'b' WHERE ordinal = 1"), r"runs\.run_id"),
    ("a run at no time", sql("UPDATE runs SET started_at = 'yesterday'"), r"runs\.started_at"),
    ("a run that was seen at no time", sql("UPDATE runs SET seen_at = 'now'"), r"runs\.seen_at"),
    ("a run on two lines of hosts", sql("UPDATE runs SET host = 'a' || char(10) || 'b'"), r"runs\.host"),
    ("a run of a group of processes",
     sql("""UPDATE runs SET process = '{"pid": -1, "started": 1, "numbering": null}'"""), r"runs\.process pid"),
    ("a process that is a list", sql("UPDATE runs SET process = '[1]'"), r"runs\.process"),
    ("seconds that are a list", sql("UPDATE runs SET seconds = '[1]'"), r"runs\.seconds"),
    ("seconds that are text", sql("""UPDATE runs SET seconds = '{"encode": "x"}'"""), r"runs\.seconds"),
    ("a counter that is text", sql("UPDATE runs SET tokens = 'many'"), "tokens"),
    ("outputs that are unknown",
     sql("""UPDATE document_versions SET outputs = '{"level": "all", "words": null, "nsp": true}'"""), "outputs"),
    ("a version of a document that is text", sql("UPDATE document_versions SET version = 'x'"), "version"),
    ("a trigger", sql("CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM document_versions; END"), "trigger"),
    ("a view for a table",
     sql("ALTER TABLE runs RENAME TO r", "CREATE VIEW runs AS SELECT * FROM r"), r"view 'runs'|table 'r'"),
    ("a generated column", sql("ALTER TABLE rejects ADD COLUMN x TEXT AS (hex(code))"), "generated column"),
    ("a table of another program", sql("CREATE TABLE mine (x)"), "table 'mine'"),
    ("an index of another program", sql("CREATE INDEX mine ON runs (state)"), "index 'mine'"),
    ("a virtual table", sql("CREATE VIRTUAL TABLE v USING fts5(x)"), "virtual table|table 'v"),
    ("a table that is gone", sql("DROP TABLE rejects"), "rejects"),
    ("a part that is a link", replaced(lambda part, out: part.symlink_to(out / "diary.txt")), "link"),
    ("a part that is a device", replaced(lambda part, _: part.symlink_to("/dev/zero")), "link"),
    ("a part that is a pipe", replaced(lambda part, _: os.mkfifo(part)), "pipe"),
    ("a part that is a folder", replaced(lambda part, _: part.mkdir()), "folder"),
    ("a part that is another file", replaced(lambda part, out: shutil.copy(out / "diary.txt", part)), "part"),
    ("parts of other columns with their hash", other_columns_with_their_hash, "part"),
    ("a folder of parts elsewhere", folder_is_a_link(f"data/sentences/encoding={ID}"), "leads out of the lake"),
    ("a folder of data elsewhere", folder_is_a_link("data"), "leads out of the lake"),
    ("a staging folder elsewhere", folder_is_a_link("staging"), "leads out of the lake"),
    ("a catalog that is a link", catalog_is(lambda at, out: at.symlink_to(out / "theirs.sqlite")), "link"),
    ("a catalog that is a pipe", catalog_is(lambda at, _: os.mkfifo(at)), "not a file"),
    ("a catalog that is a folder", catalog_is(lambda at, _: at.mkdir()), "not a file"),
    ("a catalog that is no database", catalog_is(lambda at, _: at.write_bytes(b"x" * 5000)), "catalog"),
    ("a lock that is a link", lock_is_a_link, r"publish\.lock is a link"),
    ("a journal that names a file", journal_names_a_file, "journal names another file"),
    ("a journal that is a pipe", beside("catalog.sqlite-journal", os.mkfifo), "journal is a link, a pipe"),
    ("a log that is a pipe", beside("catalog.sqlite-wal", os.mkfifo), "wal is a link, a pipe"),
    ("a log that is a link",
     beside("catalog.sqlite-wal", lambda at: at.symlink_to(at.parent.parent / "out" / "diary.txt")), "wal is a link"),
    ("an index of the log that is a folder", beside("catalog.sqlite-shm", Path.mkdir), "shm is a link, a pipe"),
    ("a published log that is a pipe", beside("catalog.duckdb.wal", os.mkfifo), r"duckdb\.wal is a link, a pipe"),
    ("a published log that is a link",
     beside("catalog.duckdb.wal", lambda at: at.symlink_to(at.parent.parent / "out" / "diary.txt")), "wal is a link"),
]  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("good") / "lake"
    with Catalog.create_or_open(Lake(root)) as catalog:
        lakes.commit(catalog, SPEC, {"d": ["The bank.", "It closed."], "e": ["A river."]}, random_margins=[0.0])
        lakes.commit(catalog, SPEC, {"d": ["The bank again."]})
        publish(catalog)
    return root
