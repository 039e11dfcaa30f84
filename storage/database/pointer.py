"""The marker: `lake.json` in a lake whose catalog lies elsewhere, saying where, and which lake this is.

It spares users from naming the catalog every time, and keeps a lake from being opened with the catalog of another: a
vacuum would take every part for garbage. It never holds a password.
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
    """What `lake.json` says."""

    lake_id: str
    catalog: str


def read_pointer(lake: Lake) -> Pointer | None:
    """Return what the lake says of itself; None where its catalog lies in it."""
    try:
        with lake.files.fetched(POINTER_FILE) as path:
            said = json.loads(path.read_text("utf-8"))
            return Pointer(lake_id=str(said["lake_id"]), catalog=str(said["catalog"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise LakeError(
            f"{lake.root}/{POINTER_FILE} does not name this lake's catalog ({error}). Restore it from a copy, or "
            'write {"lake_id": ..., "catalog": URL} with the lake_id that the catalog\'s table meta has.'
        ) from error


def resolve_catalog(lake: Lake, pointer: Pointer | None) -> URL:
    """Return where a lake's catalog is: as given, as remembered, or in the lake's own folder.

    Raises UsageError for a lake in an object store that does not say, and LakeError for one that says two things.
    """
    own = lake.catalog_path
    if lake.catalog is not None:
        url = parse(lake.catalog)
        if isinstance(own, Path) and own.is_file() and place_of(url) != str(own):
            raise LakeError(
                f"The lake at {lake.root} has its catalog in it, {own.name}; asked for was {place_of(url)}. Leave "
                "--catalog and POLYSEME_CATALOG out, or name another lake with --lake."
            )
        return url
    if pointer is not None:
        return parse(pointer.catalog)
    if isinstance(own, Path):
        return URL.create("sqlite", database=str(own))
    raise UsageError(
        f"The lake {lake.root} needs a catalog, and a database cannot lie in an object store. Name one with --catalog "
        "(or POLYSEME_CATALOG): postgresql+psycopg://user@host/database where several machines write, "
        "sqlite:////folder/catalog.sqlite for one."
    )


def check_pair(connection: Connection, lake: Lake, pointer: Pointer | None) -> None:
    """Raise LakeError unless this catalog is this lake's."""
    place = place_of(connection.engine.url)
    if not meta.exists(connection):
        if pointer is None:
            raise missing_lake(lake, connection.engine.url)
        raise LakeError(
            f"The lake at {lake.root} had its catalog in {pointer.catalog}, and there is none in {place}. Restore it "
            f"from a copy; or, to begin anew, remove {lake.root}/{POINTER_FILE}."
        )
    if pointer is not None:
        fits = meta.lake_id(connection) == pointer.lake_id
    elif _is_own(lake, connection.engine.url):
        fits = True
    else:
        # A lake that was just made, or lost its marker. Any part will do: a lake has all of them or none.
        some = connection.scalar(select(parts.c.path).limit(1))
        fits = some is None or not lake.files.missing([some])
    if not fits:
        raise LakeError(
            f"The catalog {place} belongs to another lake than the one at {lake.root}. Name the lake's own with "
            "--catalog, or a lake that has this one with --lake."
        )


def write_pointer(lake: Lake, pointer: Pointer | None, lake_id: str, url: URL) -> None:
    """Write into the lake where its catalog is, unless it lies in the lake or the lake knows already."""
    if _is_own(lake, url):
        return
    if pointer is None or _database(parse(pointer.catalog)) != _database(url):
        _write(lake, Pointer(lake_id=lake_id, catalog=without_password(url)))


def missing_lake(lake: Lake, url: URL) -> MissingLakeError:
    """Return the error of a lake that is not there."""
    return MissingLakeError(
        f"There is no lake at {lake.root} (no catalog in {place_of(url)}). Run `polyseme embed SOURCE` to make one, or "
        "name another with --lake. Restore the catalog from a copy where there was one."
    )


def _write(lake: Lake, pointer: Pointer) -> None:
    with lake.files.new(POINTER_FILE) as path:
        path.write_text(json.dumps({"lake_id": pointer.lake_id, "catalog": pointer.catalog}, indent=1) + "\n", "utf-8")


def _is_own(lake: Lake, url: URL) -> bool:
    return url.drivername == "sqlite" and str(url.database) == str(lake.catalog_path)


def _database(url: URL) -> tuple[object, ...]:
    """Return what makes two URLs the same database, whoever asks."""
    return url.host, url.port, url.database, url.query.get("options")
