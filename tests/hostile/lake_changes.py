"""Changes to a lake as its maker could make them: any value in any column, in the pointer, or in the bytes of a file.

Knows how to make and to change lakes, not what has to come of it.
"""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import addresses
from polyseme.storage.database.schema import metadata
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.records import Counts, Document, HeldBack, PrecisionLoss, Reject
from polyseme.storage.sql.publish import publish
from polyseme.storage.staging import StagingWriter
from tests import lakes
from tests.hostile.fuzz_readers import mutated

SPEC = lakes.make_spec()
OTHER = lakes.make_spec(layers="last4")
ID = SPEC.encoding_id
STAGED = "staging/run-0-d-e/00000.arrow"


class Text(NamedTuple):
    """Bytes that SQLite takes for text."""

    content: bytes


class Change(NamedTuple):
    """One value in one row of a table; `row` and `column` count from 0 and wrap around.

    `how` is `set` to change the row, `all` to change every row, `add` to add one like it, and `json` to change one
    value within the JSON that it has.
    """

    table: str
    how: str
    row: int
    column: int
    value: Any


class Bytes(NamedTuple):
    """A file of the lake after random edits; `file` counts and wraps around."""

    file: int
    seed: int


class Pointer(NamedTuple):
    """`lake.json`, as a value or as it is written."""

    content: Any


_PIECES = (
    "", "x", "'", '"', "\0", "\n", "\x1b[2J", "\u202e", "%", "[]", "{}", "null", "{", '{"a": 1}', "[" * 20_000,
    '[1e999]', '[{"a": []}]', "1", "-1", "1e9", "99999999999999999999", "NaN", "0" * 16, "0" * 32, "0" * 64, ID,
    OTHER.encoding_id, "documents", "words", "x; DROP TABLE runs; --", "x' OR 1=1 --", "../../canary/diary.txt",
    "/etc/passwd", f"data/words/encoding={ID}/{'0' * 32}.parquet", "2026-02-30T00:00:00+00:00", "9999-99-99T99:99:99Z",
    "0000-00-00T00:00:00Z", "2026-11-01T00:00:00.1Z", "running", "d", "e", "file:///corpus/d.txt", "file:///",
    "a" * 5000, "fidelity/x", "format_version", "default_encoding",
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(_PIECES),
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, 2, -1, 2**31, 2**62, 2**63 - 1, -(2**63)]),
    st.floats(),
    st.binary(max_size=20),
    st.binary(max_size=20).map(Text),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(_PIECES) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_TABLES = sorted(metadata.tables)
_NUMBER = st.integers(0, 40)
_ANY = st.builds(Change, st.sampled_from(_TABLES), st.sampled_from(["set", "all", "add"]), _NUMBER, _NUMBER, VALUES)
_WITH_JSON = st.sampled_from(["encodings", "document_versions", "runs", "held_back", "meta"])
_WITHIN = st.builds(Change, _WITH_JSON, st.just("json"), _NUMBER, _NUMBER, JSON)
_CATALOG = JSON | st.text().map(lambda text: f"sqlite:///{text}")
_POINTER = st.builds(Pointer, JSON | st.fixed_dictionaries({"lake_id": JSON, "catalog": _CATALOG}))
CHANGES = st.one_of(_ANY, _ANY, _ANY, _WITHIN, _WITHIN, st.builds(Bytes, _NUMBER, st.integers(0, 2**32)), _POINTER)


def template(folder: Path) -> None:
    """Make a lake that has a row in every table, and columns that accept any value."""
    with Catalog.create_or_open(Lake(folder)) as catalog:
        lakes.commit(catalog, SPEC, {"d": ["The bank.", "It closed."], "e": ["A river."]}, random_margins=[0.0])
        lakes.commit(catalog, OTHER, {"d": ["The bank.", "It closed."], "f": ["A mill."]})
        lakes.commit(catalog, SPEC, {"g": ["To be deleted."], "h": ["To be moved."]})
        compact(catalog, CompactionPolicy(target_bytes=1 << 20))
        version = lakes.commit(catalog, SPEC, {"d": ["The bank again."]})
        catalog.delete_documents(ID, ["g"], version=version + 1)
        catalog.move_documents(ID, [("h", "file:///corpus/moved.txt")])
        catalog.record_precision_loss(
            ID, PrecisionLoss(sentences=1, token_cosine=1.0, least_token_cosine=1.0, recall_at_10=1.0)
        )
        run = "run-0-d-e"
        catalog.record_rejects(run, [Reject("file:///corpus/x.txt", "1", "read", "empty-text", "Empty.", "", "x")])
        held = HeldBack(
            encoding_id=ID, source="/corpus", run_id=run, reason="too-many", documents=1, had=2,
            examples=("file:///corpus/g.txt",), confirm_with="1",
        )  # fmt: skip
        catalog.replace_held_back(ID, [held], judged=lambda source: True)
        catalog.finish_run(run, "completed", Counts(seconds={"encode": 1.0}), skipped=0, deleted=0, rejected=1)
        with catalog.writing() as connection:
            addresses.add_other(connection, ID, [("d", "file:///elsewhere/d.txt")])
        with StagingWriter(catalog.lake, STAGED) as writer:
            writer.write(Document("s", "file:///corpus/s.txt", "Staged."))
        publish(catalog)
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table'")
        raw.commit()
    for part in folder.rglob("*.parquet"):
        part.chmod(0o644)


def apply(change: Change | Bytes | Pointer, root: Path) -> None:
    """Change the lake in a folder."""
    if isinstance(change, Bytes):
        files = sorted(p for p in root.rglob("*") if p.is_file() and p.stat().st_size)
        file = files[change.file % len(files)]
        file.write_bytes(mutated(file.read_bytes(), random.Random(change.seed)))
    elif isinstance(change, Pointer):
        (root / "lake.json").write_text(json.dumps(change.content))
    else:
        with closing(sqlite3.connect(root / "catalog.sqlite", isolation_level=None)) as raw:
            raw.text_factory = bytes
            # A change of bytes before it broke the file, or Python has no such integer of SQLite's.
            with suppress(sqlite3.DatabaseError, OverflowError):
                _write(raw, change)


def _write(raw: sqlite3.Connection, change: Change) -> None:
    names = [row[1].decode() for row in raw.execute(f"PRAGMA table_info({change.table})")]
    rows = raw.execute(f"SELECT * FROM {change.table}").fetchall()
    if not rows:
        return
    row = [Text(v) if isinstance(v, bytes) else v for v in rows[change.row % len(rows)]]
    new = list(row)
    at = change.column % len(names)
    if change.how == "json":
        at = next((i for i, v in enumerate(row) if isinstance(v, Text) and v.content[:1] in (b"{", b"[")), at)
        new[at] = _inside(row[at], change)
    else:
        new[at] = change.value
    if change.how == "add":
        raw.execute(f"INSERT OR IGNORE INTO {change.table} VALUES ({', '.join(map(_mark, new))})", _flat(new))
        return
    same = " AND ".join(f"{name} IS {_mark(value)}" for name, value in zip(names, row, strict=True))
    where, more = ("1", []) if change.how == "all" else (same, row)
    raw.execute(
        f"UPDATE OR IGNORE {change.table} SET {names[at]} = {_mark(new[at])} WHERE {where}", _flat([new[at], *more])
    )


def _inside(value: object, change: Change) -> object:
    """Return JSON with one value replaced, or one added."""
    try:
        found = json.loads(value.content)  # type: ignore[attr-defined]
    except (ValueError, AttributeError):
        return Text(json.dumps(change.value).encode())
    if isinstance(found, dict):
        names = [*found, "more"]
        found[names[change.column % len(names)]] = change.value
    elif isinstance(found, list):
        found = [*found[:-1], change.value]
    return Text(json.dumps(found).encode())


def _mark(value: object) -> str:
    return "CAST(? AS TEXT)" if isinstance(value, Text) else "?"


def _flat(values: list[Any]) -> list[Any]:
    return [value.content if isinstance(value, Text) else value for value in values]
