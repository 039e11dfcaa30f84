"""Lake: the place that holds the parts, and the address of everything in it.

Knows neither what the files contain nor how they are written.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from polyseme.storage.catalog_url import without_password
from polyseme.storage.checks import is_utf8
from polyseme.storage.errors import LakeError, UsageError
from polyseme.storage.files.local import LocalFiles
from polyseme.storage.files.objects import ObjectFiles
from polyseme.storage.files.protocol import Files, Url

PUBLISHED = "catalog.duckdb"
_LONGEST_BELOW = 160
"""Characters of a path below the lake's folder."""
_UNREADABLE = re.compile(r"[*?\[\\\x00-\x1f\x7f]")
_CHAIN = r"\s*(?:[a-z][a-z0-9+._-]*::)*"
_NAME = r"[a-z][a-z0-9+._-]+"
_SCHEME = rf"{_CHAIN}(?P<scheme>{_NAME}):/"
_REMOTE = r"s3[an]?|gc?s|r2|oss|az|abfss?|adl|hdfs|https?|s?ftp|ssh|smb|postgres(?:ql)?(?:\+[a-z0-9]+)?|tcp|tls|ray"
"""Schemes of places that are never folders."""
_USER = re.compile(rf"{_SCHEME}/*(?:[^/?#]*(?:@|%40)|[^/?#\[@:]*:(?!\d*(?:[/?#]|$)).*@)", re.IGNORECASE | re.DOTALL)
"""A user before the host. A key may have / ? or # in it, so that the host only seems to end before the @: what follows
its colon is not a port then."""
_QUERY = re.compile(rf"{_SCHEME}/[^?#]*[?#]", re.IGNORECASE | re.DOTALL)
_REMOTE_WITHOUT_SLASHES = re.compile(
    rf"{_CHAIN}(?P<scheme>{_REMOTE}):(?!//).*(?:@|%40|[?#])", re.IGNORECASE | re.DOTALL
)
_ANY_WITHOUT_SLASHES = re.compile(rf"{_CHAIN}(?P<scheme>{_NAME}):(?!/)[^\s/:@]+:\S*(?:@|%40)", re.IGNORECASE)
"""A user and a password behind a name that may be a scheme. A file's name may have one colon and an @, or spaces."""
_SLASHES = re.compile(rf"(?P<scheme>file|{_REMOTE}):(?!//)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake's root, a folder or a URL such as `s3://bucket/lake`, and the URL of its catalog if one is given.

    A folder is resolved once, so that a later change of the working directory or of a link changes nothing. `catalog`
    is a SQLAlchemy URL; None means the one that `lake.json` names, or `catalog.sqlite` in the lake's folder.
    `catalog_hosts`, as `host` or `host:port`, are the servers on which `lake.json` may name one.
    """

    root: Path | Url
    catalog: str | None = field(default=None, repr=False)
    catalog_hosts: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __init__(self, root: Path | Url | str, catalog: str | None = None, catalog_hosts: Iterable[str] = ()) -> None:
        refuse_secrets(str(root))
        object.__setattr__(self, "root", _root(root))
        object.__setattr__(self, "catalog", catalog)
        object.__setattr__(self, "catalog_hosts", tuple(catalog_hosts))

    def __repr__(self) -> str:
        catalog = "" if self.catalog is None else f", catalog={without_password(self.catalog)!r}"
        return f"Lake({str(self.root)!r}{catalog})"

    @property
    def files(self) -> Files:
        """The files below the root."""
        return LocalFiles(self.root) if isinstance(self.root, Path) else ObjectFiles(self.root)

    @property
    def catalog_path(self) -> Path | Url:
        """The catalog's file, if the catalog is not an external one."""
        return self.root / "catalog.sqlite"

    @property
    def published_path(self) -> Path | Url:
        """The published DuckDB file."""
        return self.root / PUBLISHED

    @property
    def data(self) -> Path | Url:
        """The folder of the parts."""
        return self.root / "data"

    @property
    def staging(self) -> Path | Url:
        """The folder of the documents that wait to be encoded."""
        return self.root / "staging"

    def create(self) -> None:
        """Make the folders that a new lake needs. Raises LakeError if that is not possible."""
        self.require_name()
        self.files.prepare()

    def require_name(self) -> None:
        """Raise UsageError for a path that DuckDB could not read parts from: nothing has been made by then."""
        address = str(self.root)
        wrong = _UNREADABLE.search(address)
        if wrong or not is_utf8(address):
            what = f"the character {wrong[0]!a}" if wrong else "bytes that are not UTF-8"
            raise UsageError(
                f"A lake cannot be at {address!a}: its path has {what}, which DuckDB cannot open or takes for a "
                "pattern. Nothing was made. Name another place with --lake, or rename the folder and publish it again."
            )

    def part_path(self, path: str) -> Path | Url:
        """Return the full address of a part. Raises LakeError for a path outside the lake's data."""
        if not path.startswith("data/") or ".." in path.split("/") or "\0" in path:
            raise LakeError(f"The catalog of {self.root} names a part outside its data: {path!a}. Restore the catalog.")
        return self.root / path


def refuse_secrets(address: str) -> None:
    """Raise UsageError for an address with a user, a password or a query, without repeating it.

    Addresses become parameters of flows, are stored with runs and are logged, and so would a key in one. A signed
    address has its secret in the query.
    """
    if scheme := scheme_with_secret(address):
        raise UsageError(
            f"An address {scheme}://… has a user, a password or a query in it, which would be stored and logged. Leave "
            "them out, and give credentials in the environment: for S3 AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY. A folder of that name is written with ./ before it."
        )


def scheme_with_secret(address: str) -> str | None:
    """Return the scheme of an address that has a user, a password or a query in it; None if it has none of them."""
    if found := _REMOTE_WITHOUT_SLASHES.match(address) or _ANY_WITHOUT_SLASHES.match(address):
        return found["scheme"]
    found = _USER.match(address) or _QUERY.match(address)
    if found is None:
        return None
    rest = address[found.end("scheme") + 1 :]
    host = rest[2:].partition("/")[0] if rest.startswith("//") else ""
    is_file = found["scheme"].lower() == "file" and "@" not in host  # its path may have any of these
    return None if is_file else found["scheme"]


def _root(root: Path | Url | str) -> Path | Url:
    text = str(root)
    if isinstance(root, str) and (found := _SLASHES.match(text)):
        scheme = found["scheme"].lower()
        raise UsageError(
            f"A lake cannot be at {scheme}:, which is no address without two slashes. Write {scheme}://…, or ./ before "
            "the name of a folder."
        )
    if isinstance(root, Url) or (isinstance(root, str) and "://" in text and not text.startswith("file://")):
        return Url(text.rstrip("/"))
    try:
        path = Path(_path_in(text) if text.startswith("file://") else text).expanduser().resolve()
        _require_room(path)
        return path
    except (ValueError, RuntimeError) as error:  # no such user, links that lead to themselves, NUL, half a surrogate
        raise UsageError(
            f"A lake cannot be at {text!a}: {str(error).rstrip('.')}. Name another place with --lake."
        ) from error


def _require_room(path: Path) -> None:
    """Raise ValueError if the system does not take the path, or those of the files below it, for its length."""
    try:
        os.lstat(path / ("x" * _LONGEST_BELOW))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError("the name of a folder in it, or the whole, is too long for the file system") from error


def _path_in(address: str) -> str:
    parts = urlsplit(address)
    if parts.query or parts.fragment or any(character in address for character in "\t\r\n"):
        raise ValueError("its address has ?, # or a line break, which are written %3F, %23, %0A")
    return os.fsdecode(unquote_to_bytes(parts.path))
