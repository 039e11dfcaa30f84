"""Catalog URLs: the database of a lake's catalog as a SQLAlchemy URL, and the same URL without its secrets.

postgresql+psycopg://user@host/database     a database that several machines share
sqlite:////folder/catalog.sqlite            a file of one machine
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from polyseme.storage.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import URL

_PASSFILE = "passfile"
_SECRET = re.compile(r"pass|pwd|secret|token|scram_", re.IGNORECASE)
"""In the names of libpq's options that have a secret as their value, and of those that somebody took for one."""
_EXAMPLE = "postgresql+psycopg://user@host/database, or sqlite:////folder/catalog.sqlite"


def parse(text: str) -> URL:
    """Return a catalog's URL, with the driver filled in and a file's path made absolute.

    Raises UsageError, which does not quote the URL: one that cannot be parsed may have a password anywhere.
    """
    from sqlalchemy import make_url  # only here: what opens no catalog, such as training, need not have SQLAlchemy

    try:
        url = make_url(text)
    except Exception:
        raise UsageError(
            f"The catalog is not a database URL. Expected {_EXAMPLE}. In a password write %40 %2F %3A %23 for @ / : #."
        ) from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and (url.query or str(url.database).startswith("file:")):
        raise UsageError("A catalog in a file has no options: sqlite:////folder/catalog.sqlite, without file: and ?.")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url.set(database=str(Path(url.database).expanduser().absolute()))
    if url.drivername != "postgresql+psycopg":
        raise UsageError(f"A catalog cannot be kept in {url.drivername!r}. Expected {_EXAMPLE}.")
    return url


def without_password(text: str | URL) -> str:
    """Return a catalog's URL without its secrets, as it may be shown, stored and sent. Raises UsageError."""
    from sqlalchemy import URL

    url = parse(text) if isinstance(text, str) else text
    bare = URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query)
    return bare.difference_update_query([name for name in url.query if _SECRET.search(name)]).render_as_string()


def password_of(text: str) -> str | None:
    """Return the password in a catalog's URL; None if it has none. Raises UsageError for what is not a URL."""
    url = parse(text)
    found = url.password or url.query.get("password")
    return None if found is None else str(found)


def passfile_of(text: str) -> str | None:
    """Return the password file that a catalog's URL names; None if it names none. Raises UsageError."""
    found = parse(text).query.get(_PASSFILE)
    return None if found is None else str(found)


def refuse_password(text: str | None) -> None:
    """Raise UsageError for a URL with a password in it, which others could read among a flow's parameters."""
    if text is None:
        return
    url = parse(text)
    if url.password is not None or any(_SECRET.search(name) for name in url.query if name != _PASSFILE):
        raise UsageError(
            "Everybody who sees a run sees the parameters of its flow, so a catalog's password cannot be among them. "
            "Leave it out of the URL; give it to the worker as PGPASSWORD, in PGPASSFILE, or in POLYSEME_CATALOG."
        )


def place_of(url: URL) -> str:
    """Return the path or the URL of a catalog, for a message."""
    return str(url.database) if url.drivername == "sqlite" else without_password(url)
