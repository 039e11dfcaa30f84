"""Connection: a DuckDB connection to a lake, which can read the lake's live parts and no other file unless allowed.

    from polyseme.storage.sql.connection import connect
    with connect("lake") as con:
        con.sql("FROM nearest('a flood in the valley', k := 5)").show()

The views come straight from the catalog, so a lake can be queried that was moved or has not been published yet. Knows
no models: a package that has one offers its functions under the entry point group `polyseme.functions`.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import distributions
from pathlib import Path
from typing import TypeAlias
from weakref import WeakSet, finalize

import duckdb

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.sql.access import READ_ONLY, Access, lock_down
from polyseme.storage.sql.installing import install, keep_footers
from polyseme.storage.sql.views import explained

Functions: TypeAlias = "Callable[[duckdb.DuckDBPyConnection, Snapshot, Lake], None]"
"""Adds functions and macros to a connection whose views are in place.

Quoted, so that it has no reference to DuckDB's type: if anything keeps this module's names to the end of a process, as
Prefect keeps those of a flow, the binding would report leaks.
"""

ENTRY_POINTS = "polyseme.functions"
NEEDS_NO_ROWS = "needs_no_rows"
"""The attribute of functions that are added faster, while views are there without their rows."""
READS_PLACES = "reads_places"
"""The attribute of functions that are among these and must make `stored_vectors` (see `row_places`), and
`document_vector_rows` (see `topics`)."""
_open: WeakSet[duckdb.DuckDBPyConnection] = WeakSet()


def connect(
    lake: Lake | Path | str,
    *,
    catalog: str | None = None,
    functions: Functions | None = None,
    access: Access = READ_ONLY,
) -> duckdb.DuckDBPyConnection:
    """Open a lake, a folder or a URL, for SQL. Raises LakeError if there is none.

    `catalog` is the URL of its catalog, if `lake.json` does not name it (see `polyseme.storage.lake`). The connection
    shows what was live when it was opened. Tables made in it are in memory and end with it. `functions` adds functions
    to it; the default adds those of every installed package that offers some, Polyseme's own included.
    """
    place = lake if isinstance(lake, Lake) else Lake(lake, catalog)
    with Catalog.open(place) as opened:
        snapshot = opened.snapshot()
    wanted = installed_functions if functions is None else functions
    return open_snapshot(snapshot, place, functions=wanted, access=access)


def open_snapshot(
    snapshot: Snapshot,
    lake: Lake,
    *,
    functions: Functions | None = None,
    access: Access = READ_ONLY,
    spill: Path | str | None = None,
    confined: bool = False,
    macros: bool = True,
) -> duckdb.DuckDBPyConnection:
    """Open one snapshot of a lake for SQL, as `connect` opens the latest; without functions unless given.

    `spill` is the folder for what does not fit into memory; by default one that ends with the connection. "" is none:
    such a connection can be opened where no folder can be made, as in a confined thread. SQL of people who are not
    trusted runs with `confined`, and may choose neither the number of threads nor how much is spilled. Without `macros`
    there are views alone, and no functions: that takes a third of the time.
    """
    access.check(lake)
    con = duckdb.connect()
    # A connection with Python functions that is still open at exit makes the binding report leaks.
    _open.add(con)
    try:
        # First: views have names and paths of the catalog in them, and whoever made it may have meant them as SQL.
        folder = _spill_folder(con) if spill is None else spill
        if confined:  # counts how far a query is, for `query_progress`, and draws nothing
            con.execute("SET enable_progress_bar = true")
            con.execute("SET enable_progress_bar_print = false")
        keep_footers(con, snapshot)
        lock_down(con, snapshot, lake, access, folder, confined=confined)
        added = _offered() if functions is installed_functions else [functions] if functions is not None else []
        early = [each for each in added if getattr(each, NEEDS_NO_ROWS, False)]
        with explained(lake):
            kept = any(getattr(each, READS_PLACES, False) for each in early)
            # Of a part in an object store a row is no less than the whole.
            places = isinstance(lake.root, Path) and kept
            more = lambda: _add(early, con, snapshot, lake)  # noqa: E731
            install(con, snapshot, lake, macros=macros, more=more, places=places, kept=kept)
        _add([each for each in added if each not in early], con, snapshot, lake)
    except BaseException:
        con.close()
        raise
    return con


def _spill_folder(con: duckdb.DuckDBPyConnection) -> Path:
    """Make a folder to spill to that nobody else may enter: one that DuckDB makes, everybody may read.

    DuckDB empties it when the connection is closed; it is removed with the connection, or at exit.
    """
    folder = tempfile.mkdtemp(prefix="polyseme-")
    finalize(con, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def installed_functions(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, lake: Lake) -> None:
    """Add the functions of every installed package that offers some."""
    _add(_offered(), con, snapshot, lake)


def _offered() -> list[Functions]:
    # Not entry_points(): of two copies of a package's metadata it uses the first, and a checkout has a stale one.
    found = {entry.value: entry for d in distributions() for entry in d.entry_points if entry.group == ENTRY_POINTS}
    return [entry.load() for _, entry in sorted(found.items())]


def _add(functions: Iterable[Functions], con: duckdb.DuckDBPyConnection, snapshot: Snapshot, lake: Lake) -> None:
    for each in functions:
        each(con, snapshot, lake)


@atexit.register
def _close_all() -> None:
    for con in list(_open):
        con.close()
