"""Connection: a DuckDB connection to a lake, which can read the lake's live parts and no other file unless allowed.

    from polyseme.storage.sql.connection import connect
    with connect("lake") as con:
        con.sql("FROM nearest('a flood in the valley', k := 5)").show()

The views come straight from the catalog, so a lake can be queried that was moved or has not been published yet. Knows
no models: a package that has one offers its functions under the entry point group `polyseme.functions`.
"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import distributions
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4
from weakref import WeakSet

import duckdb

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.literals import quote
from polyseme.storage.sql.views import explained, install

Functions: TypeAlias = "Callable[[duckdb.DuckDBPyConnection, Snapshot, Lake], None]"
"""Adds functions and macros to a connection whose views are in place.

Quoted, so that it has no reference to DuckDB's type: if anything keeps this module's names to the end of a process, as
Prefect keeps those of a flow, the binding would report leaks.
"""

ENTRY_POINTS = "polyseme.functions"
_FREE_SETTINGS = ("threads", "memory_limit", "enable_progress_bar", "timezone")
_SQL_IN_JSON = "json_execute_serialized_sql"
_OVERWRITE_OPTION = "use_tmp_file"
_open: WeakSet[duckdb.DuckDBPyConnection] = WeakSet()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What SQL may access besides the lake's live parts: nothing, files in one `folder`, or with `unsafe` everything.

    Raises UsageError for both at once, and for a folder that does not exist.
    """

    folder: Path | None = None
    unsafe: bool = False

    def __post_init__(self) -> None:
        if self.folder is None:
            return
        if self.unsafe:
            raise UsageError("--unsafe allows everything and --write one folder. Give one of them.")
        if not self.folder.is_dir():
            raise UsageError(f"--write takes a folder that exists, and {self.folder} is not one. Make it first.")
        object.__setattr__(self, "folder", self.folder.resolve())

    def check(self, lake: Lake) -> None:
        """Raise UsageError if SQL could write over the lake in the folder."""
        if self.folder is None or not isinstance(lake.root, Path):
            return
        if self.folder.is_relative_to(lake.root) or lake.root.is_relative_to(self.folder):
            raise UsageError(f"--write {self.folder} would let SQL write over the lake at {lake.root}. Name another.")


READ_ONLY = Access()


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
    snapshot: Snapshot, lake: Lake, *, functions: Functions | None = None, access: Access = READ_ONLY
) -> duckdb.DuckDBPyConnection:
    """Open one snapshot of a lake for SQL, as `connect` opens the latest; without functions unless given."""
    access.check(lake)
    con = duckdb.connect()
    # A connection with Python functions that is still open at exit makes the binding report leaks.
    _open.add(con)
    try:
        with explained(lake):
            install(con, snapshot, lake)
        if functions is not None:
            functions(con, snapshot, lake)
        if not access.unsafe:
            _lock_down(con, snapshot, lake, access.folder)
    except BaseException:
        con.close()
        raise
    return con


def installed_functions(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, lake: Lake) -> None:
    """Add the functions of every installed package that offers some."""
    # Not entry_points(): of two copies of a package's metadata it uses the first, and a checkout has a stale one.
    found = {entry.value: entry for d in distributions() for entry in d.entry_points if entry.group == ENTRY_POINTS}
    for _, entry in sorted(found.items()):
        entry.load()(con, snapshot, lake)


def refuse_writes(sql: str, access: Access = READ_ONLY) -> None:
    """Raise UsageError for SQL that could write over a part. Use it on SQL that is not trusted.

    DuckDB's allowed paths are allowed for writing too, and `COPY ... (USE_TMP_FILE false)` would use that. In a WITH
    clause it parses as a SELECT, so words are checked and not statements; a column named copy needs its quotes. If a
    folder may be written, COPY is allowed and that option is not: without it DuckDB writes a new file beside the part,
    which is not an allowed path.
    """
    if access.unsafe:
        return
    keyword = "copy" if access.folder is None else None
    words = {_SQL_IN_JSON, *([] if access.folder is None else [_OVERWRITE_OPTION])}
    source = sql.encode()
    tokens = duckdb.tokenize(sql)
    bounds = [start for start, _ in tokens] + [len(source)]
    for (_, kind), (start, end) in zip(tokens, pairwise(bounds), strict=True):
        word = source[start:end].decode(errors="replace").strip().strip('"').lower()
        if (kind == duckdb.token_type.keyword and word == keyword) or (
            kind == duckdb.token_type.identifier and word in words
        ):
            raise UsageError(
                f"{word.upper()} is not allowed here: SQL may read the lake, not write files. Leave it out and choose "
                "an output format instead, or let it write into one folder (polyseme sql --write FOLDER)."
                if access.folder is None
                else f"{word.upper()} is not allowed here: it could write over the lake. Leave it out."
            )


def _lock_down(con: duckdb.DuckDBPyConnection, snapshot: Snapshot, lake: Lake, folder: Path | None) -> None:
    """Restrict the connection, for good, to the live parts, a folder to spill to, and a folder to write to if given."""
    # Files by name, not their folder: whatever is in an allowed folder may be read, and new files written to it.
    files = [quote(str(lake.part_path(path))) for paths in snapshot.parts.values() for path in paths]
    spill = Path(tempfile.gettempdir()) / f"polyseme-{uuid4().hex}"
    con.execute(f"SET temp_directory = {quote(str(spill))}")
    con.execute(f"SET allowed_paths = [{', '.join(files)}]")
    if folder is not None:
        con.execute(f"SET allowed_directories = [{quote(str(folder))}]")
    con.execute(f"SET allowed_configs = [{', '.join(quote(name) for name in _FREE_SETTINGS)}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


@atexit.register
def _close_all() -> None:
    for con in list(_open):
        con.close()
