"""Objects of the database: only the tables, columns and indexes of a catalog, or nothing is done with it.

SQLite runs a trigger, a view, a generated column, a check or an expression of the file as part of our own statements.
Knows the names that `schema` gives and no rows.
"""

from __future__ import annotations

import re

from sqlalchemy import Connection, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex

from polyseme.storage.catalog_url import place_of
from polyseme.storage.checks import RESTORE, shown
from polyseme.storage.database import meta
from polyseme.storage.database.schema import FORMAT_VERSION, metadata
from polyseme.storage.errors import LakeError

_OF_SQLITE = ("sqlite_sequence", "sqlite_stat1", "sqlite_stat4")
_KNOWN = {
    "table": {*metadata.tables, *_OF_SQLITE},
    "index": {str(index.name) for table in metadata.tables.values() for index in table.indexes},
}
_INDEXES = {
    str(CreateIndex(index).compile(dialect=sqlite.dialect()))
    for table in metadata.tables.values()
    for index in table.indexes
}
_RUN = re.compile(r"\b(check|collate|conflict|cascade|set\s+(?:null|default))\b|\bdefault\s*\(", re.IGNORECASE)
"""What of a table SQLite would do with each row that is written. Ours have types, keys, and constants as defaults."""


def require_known_objects(connection: Connection) -> None:
    """Raise LakeError for a SQLite file with anything in it that Polyseme did not make.

    A server's database is not checked: it is one that the user named, and holds others' tables too.
    """
    if connection.dialect.name != "sqlite":
        return
    rows = connection.execute(text("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master")).all()
    unknown = []
    for kind, name, table, sql in rows:
        made_by_sqlite = kind == "index" and not sql and table in _KNOWN["table"]
        virtual = kind == "table" and not sql.lstrip().upper().startswith("CREATE TABLE")
        if virtual or kind not in _KNOWN:
            _refuse(connection, f"a {'virtual table' if virtual else kind} {shown(name)}")
        if not made_by_sqlite and name not in _KNOWN[kind]:
            unknown.append(f"{'an' if kind == 'index' else 'a'} {kind} {shown(name)}")
        elif kind == "index" and sql and sql not in _INDEXES:
            unknown.append(f"an index {shown(name)} over {shown(sql.partition('(')[2])}")
        if kind == "table":
            _require_plain_columns(connection, name)
            if name in metadata.tables and (found := _RUN.search(sql)):
                unknown.append(f"{shown(found[0].upper())} in its table {name}")
    # A later Polyseme has more tables, and its format says so to whoever asks next.
    if unknown and not (any(row.name == "meta" for row in rows) and _is_newer(connection)):
        _refuse(connection, unknown[0])


def _is_newer(connection: Connection) -> bool:
    return (meta.format_version(connection) or 0) > FORMAT_VERSION


def _require_plain_columns(connection: Connection, table: str) -> None:
    columns = connection.execute(text("SELECT name, hidden FROM pragma_table_xinfo(:of)"), {"of": table}).all()
    for name, hidden in columns:
        if hidden:
            _refuse(connection, f"a generated column {shown(name)} in its table {table}")


def _refuse(connection: Connection, what: str) -> None:
    raise LakeError(
        f"The catalog {place_of(connection.engine.url)} has {what}, which Polyseme does not make and SQLite would run. "
        f"Nothing was changed. {RESTORE}"
    )
