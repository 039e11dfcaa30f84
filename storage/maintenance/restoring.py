"""Restoring: deleted documents are shown again if their rows are still in the lake.

Compaction keeps the rows of a deleted document until vacuum, run a grace period after the deletion, forgets it. Knows
no sources: a document that its source still lacks is deleted again by the next scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import deletions, meta, part_rows
from polyseme.storage.database.deletions import DeletedDocument
from polyseme.storage.records import Part
from polyseme.storage.sql.literals import quote
from polyseme.storage.sql.views import explained

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Restored:
    """Documents that are shown again, and those whose rows are gone; a document counts once an encoding."""

    documents: tuple[DeletedDocument, ...]
    gone: tuple[DeletedDocument, ...]


def deleted_documents(
    catalog: Catalog, *, run_id: str | None = None, uri_prefix: str | None = None, doc_id: str | None = None
) -> list[DeletedDocument]:
    """Return the deleted documents that can be restored and meet every condition, the latest deleted first."""
    with catalog.reading() as connection:
        return deletions.read(connection, run_id=run_id, uri_prefix=uri_prefix, doc_id=doc_id)


def restore(catalog: Catalog, documents: Sequence[DeletedDocument]) -> Restored:
    """Show deleted documents again, with the rows they had. Those that were embedded since stay as they are now."""
    shown: list[DeletedDocument] = []
    gone: list[DeletedDocument] = []
    for encoding_id in dict.fromkeys(document.encoding_id for document in documents):
        mine = [document for document in documents if document.encoding_id == encoding_id]
        with catalog.reading() as connection:
            parts = [p for p in part_rows.live_parts(connection, encoding_id=encoding_id) if p.table == "documents"]
        there = _versions_in(catalog, parts, mine)
        gone += [d for d in mine if (d.doc_id, d.version) not in there]
        whole = [d for d in mine if (d.doc_id, d.version) in there]
        for start in range(0, len(whole), _BATCH):
            with catalog.writing() as connection:
                done = deletions.restore(connection, whole[start : start + _BATCH])
                if done:
                    meta.raise_catalog_version(connection)
            shown += done
    return Restored(tuple(shown), tuple(gone))


def _versions_in(catalog: Catalog, parts: Sequence[Part], documents: Sequence[DeletedDocument]) -> set[tuple[str, int]]:
    """Return the versions of `documents` of which the parts, those of the table `documents`, have a row."""
    if not parts:
        return set()
    wanted = pa.table({"doc_id": [d.doc_id for d in documents], "version": [d.version for d in documents]})
    files = ", ".join(quote(str(catalog.lake.part_path(part.path))) for part in parts)
    with explained(catalog.lake), duckdb.connect() as con:
        catalog.lake.files.attach(con, [part.path for part in parts])
        con.register("wanted", wanted)
        rows = con.sql(
            f"FROM wanted SEMI JOIN read_parquet([{files}], hive_partitioning = false) USING (doc_id, version)"
        )
        return set(rows.fetchall())
