"""Places: SQL for where a document lies, worked out of its address: `path`, `filename` and `extension`.

Percent signs stay in the address alone. Knows DuckDB's dialect, no tables.
"""

from __future__ import annotations

from polyseme.storage.sql.literals import quote

_FILE = "file://"
_REMOTE = "^(s3|gs|az|hf|https?)://"
_EXTENSION = r"[^.]\.([^.]+)$"


def place_columns(uri: str) -> list[str]:
    """Return the columns for an address in SQL. All are NULL for standard input, `extension` also without one.

    Of a document in an archive, `a.zip!/b/c.txt`, they are those of the document: `c.txt` and `txt`. The extension is
    in lower case; a leading dot does not begin one, and of `a.txt.gz` it is `gz`. Of an object or a file of the web the
    path has the scheme and the bucket or host: `s3://bucket/a b.txt`.
    """
    rest = f"substr({uri}, {len(_FILE) + 1})"  # as it is if its bytes are not UTF-8
    path = (
        f"CASE WHEN starts_with({uri}, {quote(_FILE)}) THEN coalesce(try(url_decode({rest})), {rest}) "
        f"WHEN regexp_matches({uri}, {quote(_REMOTE)}) THEN coalesce(try(url_decode({uri})), {uri}) END"
    )
    name = f"regexp_extract({path}, '[^/]*$')"
    return [
        f"{path} AS path",
        f"{name} AS filename",
        f"nullif(lower(regexp_extract({name}, {quote(_EXTENSION)}, 1)), '') AS extension",
    ]
