"""Migrations: the steps from the format of an older catalog to today's, one format at a time.

Each step is SQL inside the transaction that it is given, so a lake has one format or the next and nothing between.
Steps are never edited once released: there are lakes that took them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, text

from polyseme.storage.database import meta
from polyseme.storage.database.schema import FORMAT_VERSION
from polyseme.storage.errors import LakeError

Step = Callable[[Connection], None]


def migrate(connection: Connection, *, place: str) -> None:
    """Bring a catalog to today's format. Raises LakeError if its format is newer or unknown."""
    written = meta.format_version(connection)
    check_format(written, place=place)
    for step in range(written or 0, FORMAT_VERSION):
        STEPS[step](connection)
        meta.set_format_version(connection, step + 1)


def check_format(written: int | None, *, place: str) -> None:
    """Raise LakeError for a format that this Polyseme neither reads nor can migrate."""
    if written is None or written > FORMAT_VERSION:
        raise LakeError(
            f"The lake at {place} has format {written}, this Polyseme reads up to {FORMAT_VERSION}. "
            "Upgrade Polyseme, or name another lake with --lake."
        )


def _to_2(connection: Connection) -> None:
    """Parts can be retired, and a document's text can be older than its encoding."""
    connection.execute(
        text(
            "CREATE TABLE retired_parts (path TEXT NOT NULL PRIMARY KEY, table_name TEXT NOT NULL, "
            "encoding_id TEXT NOT NULL REFERENCES encodings (encoding_id), bytes BIGINT NOT NULL, "
            "reason TEXT NOT NULL, retired_at TEXT NOT NULL)"
        )
    )
    connection.execute(text("ALTER TABLE document_versions ADD COLUMN text_version BIGINT NOT NULL DEFAULT 0"))
    connection.execute(text("UPDATE document_versions SET text_version = version"))


def _to_3(connection: Connection) -> None:
    """Parts may hold pseudo-log-likelihoods, which an older Polyseme would drop when it compacts. Changes no table."""


def _to_4(connection: Connection) -> None:
    """Deletions can be held back or restored, a document can have several addresses, and is found by its record."""
    ordered = 'TEXT COLLATE "C"' if connection.dialect.name == "postgresql" else "TEXT"
    key = f"encoding_id TEXT NOT NULL REFERENCES encodings (encoding_id), doc_id {ordered} NOT NULL"
    rowid = "" if connection.dialect.name == "postgresql" else " WITHOUT ROWID"
    for statement in (
        f"CREATE TABLE deleted_documents ({key}, version BIGINT NOT NULL, text_version BIGINT NOT NULL, "
        f"deleted_by BIGINT NOT NULL, deleted_at TEXT NOT NULL, PRIMARY KEY (encoding_id, doc_id)){rowid}",
        f"CREATE TABLE held_back (encoding_id TEXT NOT NULL REFERENCES encodings (encoding_id), source {ordered} "
        "NOT NULL, run_id TEXT NOT NULL REFERENCES runs (run_id), reason TEXT NOT NULL, documents BIGINT NOT NULL, "
        "had BIGINT NOT NULL, examples TEXT NOT NULL, confirm_with TEXT NOT NULL, held_at TEXT NOT NULL, "
        f"PRIMARY KEY (encoding_id, source)){rowid}",
        f"CREATE TABLE other_uris ({key}, uri {ordered} NOT NULL, PRIMARY KEY (encoding_id, doc_id, uri)){rowid}",
        "CREATE INDEX document_versions_by_record ON document_versions (substr(record_sha256, 1, 16))",
    ):
        connection.execute(text(statement))


def _to_5(connection: Connection) -> None:
    """Runs record their process and when it was last seen, and count what they commit when they commit it.

    Those under way, or killed, get the counts that can still be told: rows that were merged or replaced are missing.
    """
    for column in ("host", "process", "seen_at"):
        connection.execute(text(f"ALTER TABLE runs ADD COLUMN {column} TEXT"))
    mine = "FROM shards WHERE shards.run_id = runs.run_id"
    of_parts = "FROM parts JOIN shards ON parts.shard_key = shards.shard_key WHERE shards.run_id = runs.run_id"
    values = {
        "seen_at": f"coalesce((SELECT max(committed_at) {mine}), started_at)",
        "documents": f"(SELECT coalesce(sum(n_documents), 0) {mine})",
        "sentences": f"(SELECT coalesce(sum(rows), 0) {of_parts} AND table_name = 'sentences')",
        "words": f"(SELECT coalesce(sum(rows), 0) {of_parts} AND table_name = 'words')",
        "bytes": f"(SELECT coalesce(sum(bytes), 0) {of_parts})",
    }
    changes = ", ".join(f"{column} = {value}" for column, value in values.items())
    connection.execute(text(f"UPDATE runs SET {changes} WHERE state = 'running'"))
    # In one pass over the documents, which may be millions, however many runs there are.
    tokens = connection.execute(
        text(
            "SELECT version, sum(n_tokens) AS tokens FROM document_versions "
            "WHERE version IN (SELECT ordinal FROM runs WHERE state = 'running') GROUP BY version"
        )
    ).all()
    for ordinal, count in tokens:
        found = {"ordinal": ordinal, "tokens": int(count)}
        connection.execute(text("UPDATE runs SET tokens = :tokens WHERE ordinal = :ordinal"), found)


def _to_6(connection: Connection) -> None:
    """Descriptions can be newer than rows, rows are found by their shard, and runs count what they reused.

    Where a document's rows are stays unknown until it is encoded again: they may be in any part.
    """
    is_server = connection.dialect.name == "postgresql"
    ordered, rowid = ('TEXT COLLATE "C"', "") if is_server else ("TEXT", " WITHOUT ROWID")
    added = {
        "runs": [f"{name} BIGINT NOT NULL DEFAULT 0" for name in ("redescribed", "reused_sentences", "reused_tokens")],
        "parts": ["first_shard BIGINT", "last_shard BIGINT"],
        "document_versions": [
            "rows_version BIGINT NOT NULL DEFAULT 0", "rows_shard BIGINT", "content_sha256 TEXT", "device TEXT",
        ],
        "deleted_documents": ["rows_version BIGINT NOT NULL DEFAULT 0"],
        "superseded": ["n_tokens BIGINT"],
    }  # fmt: skip
    for table, columns in added.items():
        for column in columns:
            connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {column}"))
    for table in ("document_versions", "deleted_documents"):
        connection.execute(text(f"UPDATE {table} SET rows_version = version"))
    for statement in (
        f"CREATE TABLE redescribed (encoding_id TEXT NOT NULL REFERENCES encodings (encoding_id), doc_id {ordered} "
        f"NOT NULL, version BIGINT NOT NULL, PRIMARY KEY (encoding_id, doc_id, version)){rowid}",
        "CREATE INDEX document_versions_by_content ON document_versions (substr(content_sha256, 1, 16))",
    ):
        connection.execute(text(statement))


def _to_7(connection: Connection) -> None:
    """Words are stored by their key, and those that are stored already in lower case. Runs count unknown text."""
    meta.record_lower_case(connection)
    for column in ("unknown_tokens", "unknown_documents"):
        connection.execute(text(f"ALTER TABLE runs ADD COLUMN {column} BIGINT NOT NULL DEFAULT 0"))


def _to_8(connection: Connection) -> None:
    """The files that a source has and no run reads are counted. Those that are read are remembered, from now on."""
    is_server = connection.dialect.name == "postgresql"
    number = "BIGSERIAL" if is_server else "INTEGER"
    ordered, rowid = ('TEXT COLLATE "C"', "") if is_server else ("TEXT", " WITHOUT ROWID")
    for statement in (
        f"CREATE TABLE skipped_files (id {number} NOT NULL PRIMARY KEY, run_id TEXT NOT NULL REFERENCES runs (run_id), "
        "source TEXT NOT NULL, extension TEXT NOT NULL, reason TEXT NOT NULL, files BIGINT NOT NULL, "
        "example TEXT NOT NULL)",
        "CREATE TABLE files (encoding_id TEXT NOT NULL REFERENCES encodings (encoding_id), "
        f"uri {ordered} NOT NULL, size BIGINT NOT NULL, modified_ns BIGINT NOT NULL, stamp TEXT NOT NULL, "
        "reading TEXT NOT NULL, documents BIGINT NOT NULL, digest TEXT NOT NULL, has_members BOOLEAN NOT NULL, "
        f"skipped TEXT NOT NULL, PRIMARY KEY (encoding_id, uri)){rowid}",
    ):
        connection.execute(text(statement))


STEPS: Mapping[int, Step] = {1: _to_2, 2: _to_3, 3: _to_4, 4: _to_5, 5: _to_6, 6: _to_7, 7: _to_8}
"""Migration steps by the format that they start from."""
