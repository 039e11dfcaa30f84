"""Document lists: SQL for the `docs` that macros take, which are the ids of documents, or `['*']` for all."""

from __future__ import annotations

ALL_DOCUMENTS = "['*']"


def ids_in(rows: str) -> str:
    """Return SQL for the ids of all rows of a view or table, which may be none.

    A NULL at its end, that macros pass over, tells the only document `*` from all documents.
    """
    return f"(SELECT list_append(coalesce(list(doc_id), []), NULL) FROM {rows})"
