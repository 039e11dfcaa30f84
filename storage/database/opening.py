"""Opening: a lake's catalog found, created if it is new, paired with its lake and brought to today's format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import URL, Engine
from sqlalchemy.exc import DatabaseError

from polyseme.storage.catalog_url import place_of
from polyseme.storage.checks import RESTORE
from polyseme.storage.database import meta
from polyseme.storage.database.migrations import check_format, migrate
from polyseme.storage.database.objects import require_known_objects
from polyseme.storage.database.pointer import check_pair, missing_lake, read_pointer, resolve_catalog, write_pointer
from polyseme.storage.database.schema import FORMAT_VERSION, metadata
from polyseme.storage.database.transactions import open_engine, reading, writing
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake


def create_or_open(lake: Lake, *, patience: float) -> Engine:
    """Open the database of a lake's catalog and create what is missing of it. Raises LakeError."""
    lake.create()
    pointer = read_pointer(lake)
    url = resolve_catalog(lake, pointer)
    _require_file(lake, url)
    engine = open_engine(url, patience=patience)
    with _explained(lake, engine):
        with writing(engine, patience=patience) as connection:
            require_known_objects(connection)
            if pointer is None and not meta.exists(connection):
                metadata.create_all(connection)
                meta.create(connection, lake_id=str(uuid4()), format_version=FORMAT_VERSION)
            check_pair(connection, lake, pointer)
            migrate(connection, place=str(lake.root))
            lake_id = meta.lake_id(connection)
        write_pointer(lake, pointer, lake_id, engine.url)
    return engine


def open_existing(lake: Lake, *, patience: float, migrating: bool = True) -> Engine:
    """Open the database of an existing lake's catalog, brought to today's format if `migrating`.

    Raises LakeError if there is none that this Polyseme reads.
    """
    lake.require_name()
    pointer = read_pointer(lake)
    url = resolve_catalog(lake, pointer)
    if url.drivername == "sqlite" and not Path(str(url.database)).exists():
        raise missing_lake(lake, url)
    _require_file(lake, url)
    engine = open_engine(url, patience=patience)
    with _explained(lake, engine):
        with reading(engine) as connection:
            require_known_objects(connection)
            check_pair(connection, lake, pointer)
            written = meta.format_version(connection)
        check_format(written, place=str(lake.root))
        if migrating and written != FORMAT_VERSION:
            with writing(engine, patience=patience) as connection:
                migrate(connection, place=str(lake.root))
    return engine


def is_of_today(engine: Engine) -> bool:
    """Return whether an open catalog is of today's format."""
    with reading(engine) as connection:
        return meta.format_version(connection) == FORMAT_VERSION


def _require_file(lake: Lake, url: URL) -> None:
    """Raise LakeError for a catalog that is not a file: a pipe would never answer, a link leads to another's data."""
    if url.drivername != "sqlite":
        return
    path = Path(str(url.database))
    linked = path == lake.catalog_path and path.is_symlink()
    if linked or (path.exists() and not path.is_file()):
        raise LakeError(
            f"The catalog {path} is {'a link' if linked else 'not a file'}, and Polyseme makes only files. Nothing was "
            f"opened. {RESTORE}"
        )


@contextmanager
def _explained(lake: Lake, engine: Engine) -> Iterator[None]:
    """Turn an error of the database into a LakeError, and leave no connection behind on any error."""
    try:
        yield
    except DatabaseError as error:
        engine.dispose()
        raise LakeError(
            f"Cannot read the catalog of {lake.root}, {place_of(engine.url)}: {error.orig}. Check that it is a "
            "catalog of Polyseme and that you may use it. Restore it from a copy if it is damaged."
        ) from error
    except BaseException:
        engine.dispose()
        raise
