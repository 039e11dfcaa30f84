"""Values of documents' rows, read from the parts themselves: of versions that are known, hidden or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import duckdb
import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.locating import parts_holding
from polyseme.storage.errors import LakeError
from polyseme.storage.sql.literals import quote
from polyseme.storage.sql.table_views import rows_of
from polyseme.storage.sql.views import explained


class TextValues(NamedTuple):
    """What a document's row says of its text. The last two are None in rows of releases that did not have them."""

    n_sentences: int
    n_unknown: int | None
    language: str | None


def stored_values(catalog: Catalog, encoding_id: str, versions: Mapping[str, int]) -> dict[str, TextValues]:
    """Return what the rows of documents in these versions say of their texts, by doc_id.

    Documents without a row are missing. Empty if a part cannot be read.
    """
    with catalog.reading() as connection:
        parts = parts_holding(connection, encoding_id, "documents", list(versions)).parts
    if not parts:
        return {}
    wanted = pa.table(
        {"doc_id": pa.array(versions.keys(), pa.string()), "version": pa.array(versions.values(), pa.int64())}
    )
    files = ", ".join(quote(str(catalog.lake.part_path(part.path))) for part in parts)
    try:
        with explained(catalog.lake), duckdb.connect() as con:
            catalog.lake.files.attach(con, [part.path for part in parts])
            con.register("wanted", wanted)
            rows = rows_of("documents", f"[{files}]")
            columns = ", ".join(("doc_id", *TextValues._fields))
            found = con.execute(f"SELECT {columns} FROM {rows} SEMI JOIN wanted USING (doc_id, version)").fetchall()
            return {doc_id: TextValues(*values) for doc_id, *values in found}
    except LakeError:
        return {}
