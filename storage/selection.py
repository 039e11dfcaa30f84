"""Selection: documents of a lake, chosen in SQL, with the text that the lake itself holds.

Streams: no more than a batch of texts stands in memory. Knows nothing of what is done with them; the version of each
text goes along, so that a slow user of it cannot pass an old text off as a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from storage.catalog import Catalog
from storage.errors import LakeError, UsageError
from storage.query import open_snapshot, refuse_writes
from storage.records import Document, Outputs
from storage.snapshot import Encoding, Snapshot

_BATCH = 1000
_NOT_A_CONDITION = (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException, duckdb.PermissionException)
_COLUMNS = "doc_id, version, uri, title, metadata, text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which documents: of which encoding (the lake's default for None), `where` a SQL condition on `documents` holds,
    ingested `since` a moment."""

    encoding: str | None = None
    where: str | None = None
    since: datetime | None = None


def find_encoding(snapshot: Snapshot, name: str | None) -> Encoding:
    """Return an encoding by name, the lake's default for None. Raises UsageError or, in an empty lake, LakeError."""
    if name is None:
        if snapshot.default is None:
            raise LakeError("The lake has no documents yet. Run `polyseme embed SOURCE` first.")
        return snapshot.default
    found = next((e for e in snapshot.encodings if e.name == name), None)
    if found is None:
        names = ", ".join(e.name for e in snapshot.encodings) or "none yet"
        raise UsageError(f"No encoding is named {name!r}; there are: {names}.")
    return found


def select_documents(catalog: Catalog, selection: Selection) -> Iterator[Document]:
    """Yield the selected documents. Those that another run replaced since are left to it.

    Raises UsageError where the condition is no SQL condition on `documents`.
    """
    snapshot = catalog.snapshot()
    encoding = find_encoding(snapshot, selection.encoding)
    with open_snapshot(snapshot, catalog.lake) as con:
        for batch in _answers(con, encoding, selection):
            rows = batch.to_pylist()
            known = catalog.lookup(encoding.encoding_id, [row["doc_id"] for row in rows])
            for row in rows:
                now = known.get(row["doc_id"])
                if now is not None and now.version == row["version"]:
                    yield Document(
                        doc_id=row["doc_id"],
                        uri=row["uri"],
                        text=row["text"],
                        title=row["title"],
                        metadata=row["metadata"],
                        text_version=now.order[0],
                    )


def outputs_of(catalog: Catalog, encoding: Encoding) -> Outputs | None:
    """Return the least outputs that cover those of every document of an encoding; None where it has no document."""
    wanted: Outputs | None = None
    for outputs in catalog.outputs(encoding.encoding_id):
        wanted = outputs if wanted is None else wanted.union(outputs)
    return wanted


def _answers(con: duckdb.DuckDBPyConnection, encoding: Encoding, selection: Selection) -> Iterator[pa.RecordBatch]:
    conditions = []
    if selection.where is not None:
        conditions.append(f"({_checked(selection.where)}\n)")
    if selection.since is not None:
        conditions.append("ingested_at >= $since")
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    named = {} if selection.since is None else {"since": selection.since}
    try:
        query = f"SELECT {_COLUMNS} FROM documents_{encoding.name} {where}"
        yield from con.sql(query, params=named).to_arrow_reader(_BATCH)
    except _NOT_A_CONDITION as error:
        raise UsageError(
            f"--where takes a SQL condition on the columns of documents, such as \"uri LIKE '%/news/%'\": {error}"
        ) from error


def _checked(condition: str) -> str:
    """Return a condition that is one expression. Raises UsageError for more, or for what would write a file."""
    refuse_writes(condition)
    try:
        statements = duckdb.extract_statements(f"SELECT 1 FROM documents WHERE ({condition}\n)")
    except duckdb.Error as error:
        raise UsageError(f"--where is no SQL condition: {error}") from error
    if len(statements) != 1:
        raise UsageError(f"--where takes one SQL condition, this is {len(statements)} statements.")
    return condition
