"""Selection: documents of a lake, selected in SQL, with the text that the lake itself has.

Streams: no more than a batch of texts is in memory. Knows nothing of what is done with them. The version of each text
is included, so that a slow consumer cannot commit an old text as a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import LakeError, UsageError
from polyseme.storage.records import Document, Outputs
from polyseme.storage.sql.conditions import NOT_A_CONDITION, matching, not_comparable
from polyseme.storage.sql.confined_connection import ConfinedConnection
from polyseme.storage.sql.views import explained

_BATCH = 1000
_COLUMNS = ("doc_id", "version", "uri", "title", "metadata", "text", "modified_at", "bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which documents to select: from which encoding (None for the lake's default), those that meet `where`, a SQL
    condition on `documents`, those ingested `since`, those that a repair marked in the encoding `damaged_in`, by id,
    and those `lacking` a word or phrase: it is in their text, and they have no vectors of it. All conditions must hold;
    None is no condition."""

    encoding: str | None = None
    where: str | None = None
    since: datetime | None = None
    damaged_in: str | None = None
    lacking: str | None = None


def find_encoding(snapshot: Snapshot, name: str | None) -> Encoding:
    """Return an encoding by name, or the lake's default for None.

    Raises UsageError for an unknown name, and LakeError for the default of a lake without encodings.
    """
    if name is None:
        if snapshot.default is None:
            raise LakeError("The lake has no documents yet. Run `polyseme embed SOURCE` first.")
        return snapshot.default
    found = next((e for e in snapshot.encodings if e.name == name), None)
    if found is None:
        names = ", ".join(e.name for e in snapshot.encodings) or "none yet"
        raise UsageError(f"No encoding is named {name!r}; there are: {names}.")
    return found


def check_selection(catalog: Catalog, selection: Selection) -> None:
    """Raise UsageError for an encoding that the lake does not have and for what is not a SQL condition on `documents`.

    Reads no document: a cast that some document's value does not take is found only by `select_documents`.
    """
    snapshot = catalog.snapshot()
    encoding = find_encoding(snapshot, selection.encoding)
    if selection.where is not None:
        with ConfinedConnection(snapshot, catalog.lake) as confined, explained(catalog.lake):
            confined.call(_that_match, confined.connection, encoding, selection.where)


def select_documents(catalog: Catalog, selection: Selection) -> Iterator[Document]:
    """Yield the selected documents. Those that another run replaced since are left to it.

    Raises UsageError if `where` is not a SQL condition on `documents`.
    """
    snapshot = catalog.snapshot()
    encoding = find_encoding(snapshot, selection.encoding)
    with ConfinedConnection(snapshot, catalog.lake) as confined:
        con = confined.connection
        if selection.damaged_in is not None:
            damaged = pa.table({"doc_id": list(catalog.damaged_documents(selection.damaged_in))})
            confined.call(con.register, "damaged", damaged)
        found = _matching(con, encoding, selection)
        while True:
            with explained(catalog.lake):
                batch = confined.call(next, found, None)
            if batch is None:
                break
            rows = batch.to_pylist()
            known = catalog.lookup(encoding.encoding_id, [row["doc_id"] for row in rows])
            for row in rows:
                now = known.get(row["doc_id"])
                if now is not None and now.version == row["version"] and _is_lacking(now.outputs, selection.lacking):
                    yield Document(
                        doc_id=row["doc_id"],
                        uri=row["uri"],
                        text=row["text"],
                        title=row["title"],
                        metadata=row["metadata"],
                        text_version=now.order[0],
                        modified_at=row["modified_at"],
                        bytes=row["bytes"],
                    )


def outputs_of(catalog: Catalog, encoding: Encoding) -> Outputs | None:
    """Return the least outputs that cover those of every document of an encoding; None if it has no documents."""
    wanted: Outputs | None = None
    for outputs in catalog.outputs(encoding.encoding_id):
        wanted = outputs if wanted is None else wanted.union(outputs)
    return wanted


def _is_lacking(outputs: Outputs, word: str | None) -> bool:
    return word is None or not outputs.has_word(word)


def _that_match(con: duckdb.DuckDBPyConnection, encoding: Encoding, where: str | None) -> duckdb.DuckDBPyRelation:
    documents = con.view(f"documents_{encoding.name}").set_alias("documents")
    return documents if where is None else matching(documents, where)


def _matching(con: duckdb.DuckDBPyConnection, encoding: Encoding, selection: Selection) -> Iterator[pa.RecordBatch]:
    documents = _that_match(con, encoding, selection.where)
    if selection.damaged_in is not None:
        documents = documents.join(con.table("damaged"), condition="doc_id", how="semi")
    if selection.lacking is not None:
        with_word = con.sql(f'SELECT doc_id FROM "in_text_{encoding.name}"($word)', params={"word": selection.lacking})
        documents = documents.join(with_word.set_alias("with_word"), condition="doc_id", how="semi")
    if selection.since is not None:
        documents = documents.filter(
            duckdb.ColumnExpression("ingested_at") >= duckdb.ConstantExpression(selection.since)
        )
    try:
        yield from documents.select(*_COLUMNS).to_arrow_reader(_BATCH)
    except NOT_A_CONDITION as error:  # such as a cast that a value of some document does not take
        if selection.where is None:
            raise
        raise not_comparable(error) from None  # its cause has the value, and Prefect logs causes
