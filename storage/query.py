"""Querying: a DuckDB connection onto a lake that can read the lake's live parts and no other file.

    from storage.query import connect
    with connect("lake") as con:
        con.sql("FROM nearest('a flood in the valley', k := 5)").show()

The views come straight from the catalog, so that a lake that was moved or not published yet answers all the same.
Knows nothing of models: whoever has one offers its functions under the entry point group `polyseme.functions`.
"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable
from importlib.metadata import distributions
from itertools import pairwise
from pathlib import Path
from uuid import uuid4
from weakref import WeakSet

import duckdb

from storage.catalog import Catalog
from storage.errors import UsageError
from storage.lake import Lake
from storage.snapshot import Snapshot
from storage.views import install, quote

Functions = Callable[[duckdb.DuckDBPyConnection, Snapshot, Lake], None]
"""Adds functions and macros to a connection whose views are in place."""

ENTRY_POINTS = "polyseme.functions"
_FREE_SETTINGS = ("threads", "memory_limit", "enable_progress_bar", "timezone")
_WRITING_WORDS = {
    duckdb.token_type.keyword: b"copy",
    duckdb.token_type.identifier: b"json_execute_serialized_sql",
}
_open: WeakSet[duckdb.DuckDBPyConnection] = WeakSet()


def connect(
    lake: Lake | Path | str, *, catalog: str | None = None, functions: Functions | None = None
) -> duckdb.DuckDBPyConnection:
    """Open a lake, a folder or a URL, for SQL. Raises LakeError where there is none.

    `catalog` says where its catalog is, if the lake does not know (see `storage.lake`).

    The connection shows what was live when it was opened. Tables made in it live in memory and end with it.
    `functions` adds to it; by default everything installed that offers some, Polyseme's own among them.
    """
    place = lake if isinstance(lake, Lake) else Lake(lake, catalog)
    with Catalog.open(place) as opened:
        snapshot = opened.snapshot()
    return open_snapshot(snapshot, place, functions=installed_functions if functions is None else functions)


def open_snapshot(snapshot: Snapshot, lake: Lake, *, functions: Functions | None = None) -> duckdb.DuckDBPyConnection:
    """Open one snapshot of a lake for SQL, as `connect` does the latest; without functions unless given."""
    con = duckdb.connect()
    # A connection with Python functions that is still open at exit makes the binding complain of leaks.
    _open.add(con)
    try:
        install(con, snapshot, lake)
        if functions is not None:
            functions(con, snapshot, lake)
        _lock_down(con, snapshot, lake)
    except BaseException:
        con.close()
        raise
    return con


def installed_functions(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, lake: Lake) -> None:
    """Add the functions of every installed package that offers some."""
    # Not entry_points(): of two copies of a package's metadata it sees the first, and a checkout has a stale one.
    found = {entry.value: entry for d in distributions() for entry in d.entry_points if entry.group == ENTRY_POINTS}
    for _, entry in sorted(found.items()):
        entry.load()(con, snapshot, lake)


def refuse_writes(sql: str) -> None:
    """Raise UsageError for SQL that could write over a part; for SQL that its author does not vouch for.

    DuckDB's allowed paths are allowed for writing too, and `COPY ... (USE_TMP_FILE false)` would use that. In a WITH
    clause it parses as a SELECT, hence the look at words. A column named copy needs its quotes.
    """
    source = sql.encode()
    tokens = duckdb.tokenize(sql)
    bounds = [start for start, _ in tokens] + [len(source)]
    for (_, kind), (start, end) in zip(tokens, pairwise(bounds), strict=True):
        if source[start:end].strip().strip(b'"').lower() == _WRITING_WORDS.get(kind):
            raise UsageError(
                f"{_WRITING_WORDS[kind].decode().upper()} is not allowed here: SQL may read the lake, not write files. "
                "Leave it out and choose an output format instead."
            )


def _lock_down(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, lake: Lake) -> None:
    """Leave the connection the live parts and a folder to spill to, for good."""
    # Files by name and not their folder: whatever lies in an allowed folder may be read, and anything put there.
    files = [quote(str(lake.part_path(path))) for paths in snapshot.parts.values() for path in paths]
    spill = Path(tempfile.gettempdir()) / f"polyseme-{uuid4().hex}"
    con.execute(f"SET temp_directory = {quote(str(spill))}")
    con.execute(f"SET allowed_paths = [{', '.join(files)}]")
    con.execute(f"SET allowed_configs = [{', '.join(quote(name) for name in _FREE_SETTINGS)}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


@atexit.register
def _close_all() -> None:
    for con in list(_open):
        con.close()
