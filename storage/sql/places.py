"""Places: SQL for where a document lies, worked out of its address: `path`, `filename` and `extension`.

Percent signs stay in the address alone. Knows DuckDB's dialect, no tables.
"""

from __future__ import annotations

from polyseme.storage.sql.literals import quote

_FILE = "file://"
_EXTENSION = r"[^.]\.([^.]+)$"


def place_columns(uri: str) -> list[str]:
    """Return the columns for an address in SQL. All are NULL for standard input, `extension` also without one.

    Of a document in an archive, `a.zip!/b/c.txt`, they are those of the document: `c.txt` and `txt`. The extension is
    in lower case; a leading dot does not begin one, and of `a.txt.gz` it is `gz`.
    """
    rest = f"substr({uri}, {len(_FILE) + 1})"  # as it is if its bytes are not UTF-8
    path = f"CASE WHEN starts_with({uri}, {quote(_FILE)}) THEN coalesce(try(url_decode({rest})), {rest}) END"
    name = f"regexp_extract({path}, '[^/]*$')"
    return [
        f"{path} AS path",
        f"{name} AS filename",
        f"nullif(lower(regexp_extract({name}, {quote(_EXTENSION)}, 1)), '') AS extension",
    ]
