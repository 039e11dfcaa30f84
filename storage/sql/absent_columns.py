"""Columns that a user's SQL names and a view does not have: what to write instead, `metadata->>'genre'` or the nearest.

A field of a record that is no column is in `metadata`. Its name is shown only if it is what the user wrote, or nearly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import duckdb

from polyseme.storage.wording import many

MOST_DOCUMENTS = 100_000
"""Documents whose metadata is looked at, so that an error is not waited for in a large lake."""

_ABSENT = re.compile(
    r'(?:Referenced column|Column) "([^"]*)" (?:in \w+ list not found|not found|does not exist)'
    r'|does not have a column named "([^"]*)"'
)
_CANDIDATES = re.compile(r"Candidate bindings:.*")
_QUOTED = re.compile(r'"([^"]*)"')
_WORD = re.compile(r"\w+")
_PLAIN = re.compile(r"\w[\w .:/-]{0,63}")
QUOTES = "Text is quoted with ', names with \"."
_IN_METADATA = "metadata->>"
_JOIN = "JOIN documents USING (doc_id)."


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of metadata, each with the number of documents that have it; of the first documents if not `is_all`."""

    counts: Mapping[str, int]
    is_all: bool = True

    @staticmethod
    def of(documents: duckdb.DuckDBPyRelation) -> Keys:
        """Return those of `documents`; none where metadata cannot be read."""
        first = documents.limit(MOST_DOCUMENTS)
        try:
            ((read,),) = first.aggregate("count(*)").fetchall()
            found = (
                first.project("unnest(json_keys(metadata)) AS key").aggregate("key, count(*) AS documents").fetchall()
            )
        except duckdb.Error:
            return Keys({})
        return Keys({key: number for key, number in found if _PLAIN.fullmatch(key)}, read < MOST_DOCUMENTS)

    def where(self, key: str) -> str:
        """Return where a key is, and how to write it."""
        number = many(self.counts[key], "documents")
        return f"in the metadata of {number if self.is_all else f'at least {number}'}: {_IN_METADATA}'{key}'"


def absent_column(error: Exception) -> str | None:
    """Return the column that a query names and that is none, if that is what DuckDB found wrong."""
    found = _ABSENT.search(str(error))
    return None if found is None else found[1] or found[2]


def instead_of(name: str, view: str, columns: Iterable[str], keys: Keys) -> str | None:
    """Return what to write instead of a column that `view` does not have; None if nothing is near.

    `columns` are those that there are.
    """
    if name in keys.counts:
        return f"{name} is no column of {view}; it is {keys.where(name)}."
    known = {column.lower(): f"{column}." for column in columns}
    known = {key.lower(): f"{key}, {keys.where(key)}." for key in keys.counts} | known
    near = get_close_matches(name.lower(), known, n=1)
    return f"{name} is no column of {view}. The nearest is {known[near[0]]}" if near else None


def in_our_words(error: duckdb.Error, con: duckdb.DuckDBPyConnection, query: str) -> str:
    """Return DuckDB's error about a user's query, with what to write instead of a column if that is known.

    `con` must take queries: not the one whose transaction has failed.
    """
    said, name = str(error), absent_column(error)
    try:
        mend = None if name is None else _mend(name, said, con, query)
    except duckdb.Error:  # a view of the user's that is none any more
        mend = None
    if mend is None:
        return f"{said}\n\n{QUOTES}" if name and f'"{name}"' in query else said
    _, blank, place = said.partition("\n\n")
    return mend + blank + place


def _mend(name: str, said: str, con: duckdb.DuckDBPyConnection, query: str) -> str | None:
    views, documents = list(_named_in(query, con)), con.view("documents").set_alias("documents")
    named = " and ".join(view.alias for view in views) or "the query"
    with_metadata = next((view for view in views if "metadata" in view.columns), None)
    if with_metadata is None and name.lower() in documents.columns:
        return f"{name} is no column of {named}; it is one of documents: {_JOIN}"
    columns = [column for view in views for column in view.columns]
    candidates = _QUOTED.findall(" ".join(_CANDIDATES.findall(said)))
    mend = instead_of(name, named, [*columns, *candidates], Keys.of(with_metadata or documents))
    if mend is not None and with_metadata is None and _IN_METADATA in mend:
        return f"{mend} That is in documents: {_JOIN}"
    return mend


def _named_in(query: str, con: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyRelation]:
    """Yield the views whose names are words of the query."""
    words = {word.lower() for word in _WORD.findall(query)}
    views = "SELECT view_name FROM duckdb_views() WHERE NOT internal AND database_name = current_database()"
    for (name,) in con.execute(views).fetchall():
        if name.lower() in words:
            yield con.view(name).set_alias(name)
