"""Values of documents' rows, read from the parts themselves: of versions that are known, hidden or not."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.locating import parts_holding
from polyseme.storage.errors import LakeError
from polyseme.storage.sql.literals import quote
from polyseme.storage.sql.views import explained, rows_of


def stored_counts(catalog: Catalog, encoding_id: str, versions: Mapping[str, int]) -> dict[str, tuple[int, int | None]]:
    """Return the numbers of sentences and of unknown tokens of documents in these versions, by doc_id.

    Documents without a row are missing. The second number is None for rows of releases that did not count it. Empty if
    a part cannot be read.
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
            columns = "doc_id, n_sentences, n_unknown"
            found = con.execute(f"SELECT {columns} FROM {rows} SEMI JOIN wanted USING (doc_id, version)").fetchall()
            return {doc_id: (sentences, unknown) for doc_id, sentences, unknown in found}
    except LakeError:
        return {}
