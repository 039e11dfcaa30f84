"""Pointer: `lake.json`, the file in a lake that names its external catalog and the lake's id.

It spares users from naming the catalog every time, and keeps a lake from being opened with the catalog of another: a
vacuum would remove every part as unknown. It never holds a password.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, select

from polyseme.storage.catalog_url import parse, place_of, without_password
from polyseme.storage.checks import LAKE_ID, RESTORE, shown
from polyseme.storage.database import meta
from polyseme.storage.database.schema import parts
from polyseme.storage.errors import LakeError, MissingLakeError, UsageError
from polyseme.storage.lake import Lake

POINTER_FILE = "lake.json"
_LONGEST = 1 << 16
_MAGIC = b"SQLite format 3\0"
_SECRETS = {"password", "sslpassword", "passfile"}
_HARMLESS = {
    "options": re.compile(r"-c ?search_path=[A-Za-z_][A-Za-z0-9_]{0,62}"),
    "sslmode": re.compile(r"prefer|require|verify-ca|verify-full"),
    "connect_timeout": re.compile(r"[0-9]{1,3}"),
    "application_name": re.compile(r"[A-Za-z0-9_.-]{1,63}"),
}
"""What `lake.json` may tell the database's driver. Others name hosts, files of keys, or weaken what protects them."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """The contents of `lake.json`: the lake's id, and the URL of its catalog without secrets."""

    lake_id: str
    catalog: str


def read_pointer(lake: Lake) -> Pointer | None:
    """Return the lake's pointer; None if it has none. Raises LakeError if `lake.json` is malformed."""
    try:
        with lake.files.fetched(POINTER_FILE) as path:
            if path.stat().st_size > _LONGEST:
                raise ValueError(f"it has more than {_LONGEST:,} bytes")
            stored = json.loads(path.read_text("utf-8"))
            lake_id, catalog = stored["lake_id"], stored["catalog"]
            if not isinstance(lake_id, str) or not LAKE_ID.fullmatch(lake_id) or not isinstance(catalog, str):
                raise ValueError("lake_id and catalog are not an id and a URL")
            return Pointer(lake_id=lake_id, catalog=catalog)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LakeError(
            f"{lake.root}/{POINTER_FILE} does not name this lake's catalog ({error}). Restore it from a copy, or "
            'write {"lake_id": ..., "catalog": URL} with the lake_id that the catalog\'s table meta has.'
        ) from error


def resolve_catalog(lake: Lake, pointer: Pointer | None) -> URL:
    """Return the URL of a lake's catalog: as given, as `lake.json` names it, or in the lake's own folder.

    Raises UsageError if a lake in an object store names none, and LakeError if one is given beside the lake's own or
    `lake.json` names one that must be given.
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
        return followed(lake, pointer)
    if isinstance(own, Path):
        return URL.create("sqlite", database=str(own))
    raise UsageError(
        f"The lake {lake.root} needs a catalog, and a database cannot be kept in an object store. Name one with "
        "--catalog (or POLYSEME_CATALOG): postgresql+psycopg://user@host/database if several machines write, "
        "sqlite:////folder/catalog.sqlite for one."
    )


def followed(lake: Lake, pointer: Pointer) -> URL:
    """Return the URL that `lake.json` names. Raises LakeError unless the user trusts that place.

    Whoever made the lake wrote it: libpq would send PGPASSWORD or a password of ~/.pgpass to any host in it, and SQLite
    would open any file.
    """
    place = f"{lake.root}/{POINTER_FILE}"
    try:
        url = parse(pointer.catalog)
    except UsageError as error:
        raise LakeError(f"{place} does not name a catalog. {error}") from error
    if url.password is not None or _SECRETS & set(url.query):
        raise LakeError(f"{place} has a password in it, which Polyseme never writes. {RESTORE}")
    if url.drivername == "sqlite":
        _require_catalog_file(place, pointer.catalog, url)
        return url
    shown_url = without_password(url)
    if wrong := [name for name, value in url.query.items() if not _is_harmless(name, value)]:
        raise LakeError(
            f"{place} gives the database driver the option {shown(wrong[0])}, which only you may give. If you trust "
            f"it, name the catalog yourself: --catalog '{shown_url}' (or POLYSEME_CATALOG)."
        )
    if not _is_trusted(url, lake.catalog_hosts):
        host = f"the host {shown(url.host)}" if url.host else "a socket of this machine"
        raise LakeError(
            f"{place} names a catalog on {host}, and no password is sent to a place that only a file names. If you "
            f"trust it, name the catalog yourself: --catalog '{shown_url}' (or POLYSEME_CATALOG). Or trust the host: "
            f'POLYSEME_CATALOG_HOSTS={_host_of(url)}, or catalog_hosts = ["{_host_of(url)}"] in polyseme.toml.'
        )
    return url


def _require_catalog_file(place: str, text: str, url: URL) -> None:
    """Raise LakeError unless a URL names a SQLite file by its full path, and one that is not in another lake."""
    path = Path(str(url.database))
    if not text.startswith("sqlite:////") or ".." in path.parts:
        why = "is not an absolute path such as sqlite:////folder/catalog.sqlite"
    elif not path.exists():
        return  # reported as a missing lake
    elif path.is_symlink() or not path.is_file():
        why = "is a link, a pipe or a folder"
    elif path.name == "catalog.sqlite" and (path.parent / "data").exists():
        why = "belongs to the lake that it is in"
    elif not _begins_as_sqlite(path):
        why = "is not a database of SQLite"
    else:
        return
    raise LakeError(
        f"{place} names the catalog {shown(str(path))}, which {why}. Nothing was opened. If the lake is yours, name "
        f"its catalog with --catalog. {RESTORE}"
    )


def _begins_as_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return True  # the database says better what is wrong


def _is_trusted(url: URL, hosts: Iterable[str]) -> bool:
    return bool(url.host) and _host_of(url) in {_with_port(host) for host in hosts}


def _host_of(url: URL) -> str:
    return _with_port(f"{url.host}:{url.port}" if url.port else str(url.host))


def _with_port(host: str) -> str:
    """Return a host and its port; a name alone is PostgreSQL's usual port, since another is another server."""
    name, colon, port = host.strip().lower().rpartition(":")
    return f"{name.rstrip('.')}:{port}" if colon and port.isdecimal() else f"{host.strip().lower().rstrip('.')}:5432"


def _is_harmless(name: str, value: object) -> bool:
    return isinstance(value, str) and name in _HARMLESS and bool(_HARMLESS[name].fullmatch(value))


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
    if pointer is None or not _same_database(pointer.catalog, url):
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


def _same_database(text: str, url: URL) -> bool:
    try:
        return _database(parse(text)) == _database(url)
    except UsageError:
        return False


def _database(url: URL) -> tuple[object, ...]:
    """Return what two URLs of the same database have in common, whichever user opens it."""
    return url.host, url.port, url.database, url.query.get("options")
