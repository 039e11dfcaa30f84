"""Schema: the catalog's tables, for SQLite and PostgreSQL alike. Knows columns and keys, not who writes them.

Times are ISO 8601 in UTC and structures are JSON, both as text, which every engine stores unchanged.
"""

from __future__ import annotations

from dataclasses import fields

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, Table, Text, text

from polyseme.storage.records import Counts

FORMAT_VERSION = 8
"""Incremented whenever an older Polyseme could misread the catalog."""

COUNT_COLUMNS = tuple(f.name for f in fields(Counts) if f.name not in ("seconds", "rounded_documents"))
"""Counts of a run that are columns. The documents that it rounded are in `meta`: a column more would be a format that
earlier releases do not read."""

_SERIAL = BigInteger().with_variant(Integer, "sqlite")
_ORDERED = Text().with_variant(Text(collation="C"), "postgresql")
"""Text compared byte by byte, as SQLite does by default: prefixes become ranges of the index."""

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

encodings = Table(
    "encodings",
    metadata,
    Column("encoding_id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("spec", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("created_at", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("ordinal", BigInteger, nullable=False, unique=True),
    Column("flow_run_id", Text),
    Column("encoding_id", Text, ForeignKey("encodings.encoding_id"), nullable=False),
    Column("sources", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("finished_at", Text),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in COUNT_COLUMNS),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in ("skipped", "deleted", "rejected")),
    Column("seconds", Text, nullable=False, server_default="{}"),
    Column("error", Text),
    Column("host", Text),
    Column("process", Text),
    Column("seen_at", Text),
)
"""`host` and `process` are where a run runs, NULL if an earlier Polyseme began it, and `seen_at` its last sign of life.

Its counts are of what it has committed so far, and at its end of what it did.
"""

shards = Table(
    "shards",
    metadata,
    Column("shard_key", Text, primary_key=True),
    Column("encoding_id", Text, ForeignKey("encodings.encoding_id"), nullable=False),
    Column("run_id", Text, ForeignKey("runs.run_id"), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("n_documents", Integer, nullable=False),
    Column("committed_at", Text, nullable=False),
)

parts = Table(
    "parts",
    metadata,
    Column("part_id", _SERIAL, primary_key=True, autoincrement=True),
    Column("path", Text, nullable=False, unique=True),
    Column("table_name", Text, nullable=False),
    Column("encoding_id", Text, ForeignKey("encodings.encoding_id"), nullable=False),
    Column("shard_key", Text, ForeignKey("shards.shard_key")),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("first_shard", BigInteger),
    Column("last_shard", BigInteger),
)
"""A part holds rows of shards with numbers from `first_shard` to `last_shard` only; NULL if that is not known."""

retired_parts = Table(
    "retired_parts",
    metadata,
    Column("path", Text, primary_key=True),
    Column("table_name", Text, nullable=False),
    Column("encoding_id", Text, ForeignKey("encodings.encoding_id"), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("retired_at", Text, nullable=False),
)
"""Parts that no new reader gets; their files stay until vacuum finds them older than its grace period."""

document_versions = Table(
    "document_versions",
    metadata,
    Column("encoding_id", Text, ForeignKey("encodings.encoding_id"), primary_key=True),
    Column("doc_id", _ORDERED, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("text_version", BigInteger, nullable=False, server_default="0"),
    Column("rows_version", BigInteger, nullable=False, server_default="0"),
    Column("rows_shard", BigInteger),
    Column("uri", _ORDERED, nullable=False),
    Column("record_sha256", Text, nullable=False),
    Column("content_sha256", Text),
    Column("outputs", Text, nullable=False),
    Column("n_tokens", BigInteger, nullable=False),
    Column("device", Text),
    Column("deleted", Boolean, nullable=False, default=False),
    Index("document_versions_by_uri", "encoding_id", "uri", "doc_id"),
    sqlite_with_rowid=False,
)
"""One row per document; `deleted` ones stay as tombstones, so that a slow older run cannot restore them.

`version` is the ordinal of the run that encoded it, `text_version` of the run that read its text from the source: an
older one after a backfill, which takes its texts from the lake. Its rows but that of `documents` have `rows_version`,
which is less if only its description changed since, and were written by the shard number `rows_shard`.

NULL is what an earlier format did not record: the shard, the hash of the text alone, and the kind of `device`.
"""

RECORD_PREFIX = "substr(record_sha256, 1, 16)"
"""What documents are found by if only their record is known: a quarter of the hash is a quarter of the index."""

Index("document_versions_by_record", text(RECORD_PREFIX), _table=document_versions)

CONTENT_PREFIX = "substr(content_sha256, 1, 16)"
"""The same for documents of which only the text is known."""

Index("document_versions_by_content", text(CONTENT_PREFIX), _table=document_versions)

superseded = Table(
    "superseded",
    metadata,
    Column("encoding_id", Text, ForeignKey("encodings.encoding_id"), primary_key=True),
    Column("doc_id", _ORDERED, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("n_tokens", BigInteger),
    sqlite_with_rowid=False,
)
"""Document versions whose rows parts still hold and readers must not see: a row is live unless it is listed here.

`n_tokens` is how many tokens have rows of that version, NULL if that is not known.
"""

redescribed = Table(
    "redescribed",
    metadata,
    Column("encoding_id", Text, ForeignKey("encodings.encoding_id"), primary_key=True),
    Column("doc_id", _ORDERED, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    sqlite_with_rowid=False,
)
"""Document versions of which only the row of `documents` is hidden, because a later version describes it anew.

The document's other rows stay, and so does the entry while a part may have that row, whatever becomes of the document.
"""

moved = Table(
    "moved",
    metadata,
    Column("encoding_id", Text, ForeignKey("encodings.encoding_id"), primary_key=True),
    Column("doc_id", _ORDERED, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("uri", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Documents whose part still has the uri of the time it was written, with today's uri."""

deleted_documents = Table(
    "deleted_documents",
    metadata,
    Column("encoding_id", Text, ForeignKey("encodings.encoding_id"), primary_key=True),
    Column("doc_id", _ORDERED, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("text_version", BigInteger, nullable=False),
    Column("rows_version", BigInteger, nullable=False),
    Column("deleted_by", BigInteger, nullable=False),
    Column("deleted_at", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Deleted documents that can be restored, with the versions they had and the ordinal of the run that deleted them.

Compaction keeps the rows of these versions; vacuum drops the entries that are older than its grace period.
"""

held_back = Table(
    "held_back",
    metadata,
    Column("encoding_id", Text, ForeignKey("encodings.encoding_id"), primary_key=True),
    Column("source", _ORDERED, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.run_id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("documents", BigInteger, nullable=False),
    Column("had", BigInteger, nullable=False),
    Column("examples", Text, nullable=False),
    Column("confirm_with", Text, nullable=False),
    Column("held_at", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Deletions that a run did not make because they were too many, by the source that no longer yields the documents."""

other_uris = Table(
    "other_uris",
    metadata,
    Column("encoding_id", Text, ForeignKey("encodings.encoding_id"), primary_key=True),
    Column("doc_id", _ORDERED, primary_key=True),
    Column("uri", _ORDERED, primary_key=True),
    sqlite_with_rowid=False,
)
"""Addresses in sources of other runs at which a document was found besides the one in `document_versions`."""

files = Table(
    "files",
    metadata,
    Column("encoding_id", Text, ForeignKey("encodings.encoding_id"), primary_key=True),
    Column("uri", _ORDERED, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    Column("stamp", Text, nullable=False),
    Column("reading", Text, nullable=False),
    Column("documents", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("has_members", Boolean, nullable=False),
    Column("skipped", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Source files that were read without anything refused: their state then, and a digest of the documents they gave.

Such a file is not opened again while its state is the same and the encoding has just these documents of it. A row that
says anything else is of no consequence, and vacuum removes those of files that have no documents any more.
"""

rejects = Table(
    "rejects",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("run_id", Text, ForeignKey("runs.run_id"), nullable=False),
    Column("uri", _ORDERED, nullable=False, index=True),
    Column("locator", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("excerpt", Text, nullable=False),
    Column("doc_id", Text),
    Index("rejects_once_a_run", "run_id", "uri", "locator", "stage", "code", unique=True),
)

skipped_files = Table(
    "skipped_files",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("run_id", Text, ForeignKey("runs.run_id"), nullable=False),
    Column("source", Text, nullable=False),
    Column("extension", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("example", Text, nullable=False),
)
"""Files that the last whole scan of a source did not read, counted by extension and reason. No key has the source: a
path may be longer than PostgreSQL indexes."""
