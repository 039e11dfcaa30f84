"""Pointer: `lake.json`, the file in a lake that names its external catalog and the lake's id.

It spares users from naming the catalog every time, and keeps a lake from being opened with the catalog of another: a
vacuum would remove every part as unknown. It never holds a password.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, select

from polyseme.storage.catalog_url import parse, place_of, without_password
from polyseme.storage.database import meta
from polyseme.storage.database.schema import parts
from polyseme.storage.errors import LakeError, MissingLakeError, UsageError
from polyseme.storage.lake import Lake

POINTER_FILE = "lake.json"


@dataclass(frozen=True, slots=True)
class Pointer:
    """The contents of `lake.json`: the lake's id, and the URL of its catalog without secrets."""

    lake_id: str
    catalog: str


def read_pointer(lake: Lake) -> Pointer | None:
    """Return the lake's pointer; None if it has none. Raises LakeError if `lake.json` is malformed."""
    try:
        with lake.files.fetched(POINTER_FILE) as path:
            stored = json.loads(path.read_text("utf-8"))
            return Pointer(lake_id=str(stored["lake_id"]), catalog=str(stored["catalog"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise LakeError(
            f"{lake.root}/{POINTER_FILE} does not name this lake's catalog ({error}). Restore it from a copy, or "
            'write {"lake_id": ..., "catalog": URL} with the lake_id that the catalog\'s table meta has.'
        ) from error


def resolve_catalog(lake: Lake, pointer: Pointer | None) -> URL:
    """Return the URL of a lake's catalog: as given, as `lake.json` names it, or in the lake's own folder.

    Raises UsageError if a lake in an object store names none, and LakeError if one is given beside the lake's own.
    """
    own = lake.catalog_path
    if lake.catalog is not None:
        url = parse(lake.catalog)
        if isinstance(own, Path) and own.is_file() and place_of(url) != str(own):
            raise LakeError(
                f"The lake at {lake.root} has its catalog in it, {own.name}, but {place_of(url)} was given. Leave "
                "--catalog and POLYSEME_CATALOG out, or name another lake with --lake."
            )
        return url
    if pointer is not None:
        return parse(pointer.catalog)
    if isinstance(own, Path):
        return URL.create("sqlite", database=str(own))
    raise UsageError(
        f"The lake {lake.root} needs a catalog, and a database cannot be kept in an object store. Name one with "
        "--catalog (or POLYSEME_CATALOG): postgresql+psycopg://user@host/database if several machines write, "
        "sqlite:////folder/catalog.sqlite for one."
    )


def check_pair(connection: Connection, lake: Lake, pointer: Pointer | None) -> None:
    """Raise LakeError unless this catalog belongs to this lake."""
    place = place_of(connection.engine.url)
    if not meta.exists(connection):
        if pointer is None:
            raise missing_lake(lake, connection.engine.url)
        raise LakeError(
            f"The lake at {lake.root} had its catalog in {pointer.catalog}, and there is none in {place}. Restore it "
            f"from a copy, or remove {lake.root}/{POINTER_FILE} to begin a new one."
        )
    if pointer is not None:
        fits = meta.lake_id(connection) == pointer.lake_id
    elif _is_own(lake, connection.engine.url):
        fits = True
    else:
        # A lake that was just made, or lost its pointer. One part is enough: a lake has all of its catalog's or none.
        some = connection.scalar(select(parts.c.path).limit(1))
        fits = some is None or not lake.files.missing([some])
    if not fits:
        raise LakeError(
            f"The catalog {place} belongs to another lake than the one at {lake.root}. Name the lake's own "
            "catalog with --catalog, or the lake of this catalog with --lake."
        )


def write_pointer(lake: Lake, pointer: Pointer | None, lake_id: str, url: URL) -> None:
    """Write `lake.json`, unless the catalog is in the lake or the file names it already."""
    if _is_own(lake, url):
        return
    if pointer is None or _database(parse(pointer.catalog)) != _database(url):
        _write(lake, Pointer(lake_id=lake_id, catalog=without_password(url)))


def point_to(lake: Lake, lake_id: str, url: URL) -> None:
    """Write `lake.json` anew, for a lake that took over the catalog of another, unless its catalog is in the lake."""
    if not _is_own(lake, url):
        _write(lake, Pointer(lake_id=lake_id, catalog=without_password(url)))


def missing_lake(lake: Lake, url: URL) -> MissingLakeError:
    """Return the error for a lake that does not exist."""
    return MissingLakeError(
        f"There is no lake at {lake.root} (no catalog in {place_of(url)}). Run `polyseme embed SOURCE` to make one, or "
        "name another with --lake. Restore the catalog from a copy if there was one."
    )


def _write(lake: Lake, pointer: Pointer) -> None:
    with lake.files.new(POINTER_FILE) as path:
        path.write_text(json.dumps({"lake_id": pointer.lake_id, "catalog": pointer.catalog}, indent=1) + "\n", "utf-8")


def _is_own(lake: Lake, url: URL) -> bool:
    return url.drivername == "sqlite" and str(url.database) == str(lake.catalog_path)


def _database(url: URL) -> tuple[object, ...]:
    """Return what two URLs of the same database have in common, whichever user opens it."""
    return url.host, url.port, url.database, url.query.get("options")
