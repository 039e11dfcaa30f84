"""Scratch copies: a catalog in a temporary file that has what a lake's has, to be changed and thrown away.

The lake's own catalog is only read, and not brought to today's format; the copy is. Needs about as much temporary disk
as the catalog has bytes.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast
from uuid import uuid4

from sqlalchemy import URL, Connection, Engine

from polyseme.storage.database import meta
from polyseme.storage.database.copying import replace_rows
from polyseme.storage.database.migrations import migrate
from polyseme.storage.database.opening import open_existing
from polyseme.storage.database.pointer import read_pointer, resolve_catalog
from polyseme.storage.database.schema import FORMAT_VERSION, metadata
from polyseme.storage.database.transactions import longest_key, open_engine, reading, writing
from polyseme.storage.errors import LakeError, MissingLakeError
from polyseme.storage.lake import Lake


@contextmanager
def scratch_copy(lake: Lake, *, patience: float) -> Iterator[tuple[Engine, int | None]]:
    """Yield a copy of a lake's catalog, empty if there is no lake, and the longest key that the lake's own takes.

    Raises LakeError for a catalog that cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="polyseme-scratch-") as folder:
        file = Path(folder) / "catalog.sqlite"
        longest = _copied(lake, file, patience)
        engine = open_engine(URL.create("sqlite", database=str(file)), patience=patience)
        try:
            with writing(engine, patience=patience) as connection:
                if not meta.exists(connection):
                    _create(connection)
                migrate(connection, place=str(lake.root))
            yield engine, longest
        finally:
            engine.dispose()


def _create(connection: Connection) -> None:
    metadata.create_all(connection)
    meta.create(connection, lake_id=str(uuid4()), format_version=FORMAT_VERSION)


def _copied(lake: Lake, file: Path, patience: float) -> int | None:
    """Copy the catalog into `file`, which stays away if there is none. Return the longest key that it takes."""
    try:
        stored = open_existing(lake, patience=patience, migrating=False)
    except MissingLakeError:
        absent = open_engine(resolve_catalog(lake, read_pointer(lake)), patience=patience)
        try:
            return longest_key(absent)
        finally:
            absent.dispose()
    try:
        with reading(stored) as rows:
            _copy(rows, file, lake, patience)
        return longest_key(stored)
    finally:
        stored.dispose()


def _copy(rows: Connection, file: Path, lake: Lake, patience: float) -> None:
    if rows.dialect.name == "sqlite":
        source = cast("sqlite3.Connection", rows.connection.driver_connection)
        with closing(sqlite3.connect(file)) as copy:
            source.backup(copy)
        return
    if meta.format_version(rows) != FORMAT_VERSION:
        raise LakeError(
            f"The catalog of {lake.root} is of an older Polyseme, and a dry run does not convert it. Convert it with "
            "`polyseme status`, then run the same command again."
        )
    engine = open_engine(URL.create("sqlite", database=str(file)), patience=patience)
    try:
        with writing(engine, patience=patience) as connection:
            _create(connection)
            replace_rows(rows, connection)
    finally:
        engine.dispose()
