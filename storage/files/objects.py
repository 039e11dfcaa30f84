"""Object files: a lake below a prefix of an object store, through fsspec.

An object is there whole or not at all, so a new file is made on this machine and uploaded in one request, or in several
that count once the last has succeeded. Credentials and the address of the store come from the environment (for S3
AWS_PROFILE, AWS_ENDPOINT_URL and the like) and are never stored. Needs the store's extra: s3fs for s3://.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from polyseme.storage.errors import LakeError, UsageError
from polyseme.storage.files.protocol import FileInfo, Url

if TYPE_CHECKING:
    import duckdb
    from fsspec import AbstractFileSystem

_CONCURRENT = 16
"""Requests sent at the same time for a list of files: each takes tens of milliseconds."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class ObjectFiles:
    """The objects whose names begin with `root` and a slash, as `protocol.Files` describes them."""

    root: Url

    def prepare(self) -> None:
        """Make nothing: folders are only names here. Raises UsageError if the store's package is not installed."""
        _ = self._store

    @contextmanager
    def new(self, path: str, *, read_only: bool = False) -> Iterator[Path]:
        with _temporary_file(path) as made:
            yield made
            with self._explained("write", path):
                self._store.put_file(str(made), str(self.root / path))

    @contextmanager
    def fetched(self, path: str) -> Iterator[Path]:
        with _temporary_file(path) as copy:
            with self._explained("read", path):
                self._store.get_file(str(self.root / path), str(copy))
            yield copy

    def missing(self, paths: Sequence[str]) -> list[str]:
        with self._explained("look for", paths[0] if paths else ""):
            there = _map_concurrently(lambda path: bool(self._store.exists(str(self.root / path))), paths)
        return [path for path, found in zip(paths, there, strict=True) if not found]

    def remove(self, paths: Sequence[str]) -> None:
        def remove(path: str) -> None:
            with suppress(FileNotFoundError):
                self._store.rm_file(str(self.root / path))

        with self._explained("remove", paths[0] if paths else ""):
            _map_concurrently(remove, paths)

    def remove_folder(self, folder: str) -> None:
        self.remove([found.path for found in self.listed(folder)])

    def listed(self, folder: str) -> Iterator[FileInfo]:
        store, place = self._store, str(self.root / folder)
        with self._explained("list", folder):
            found = store.find(place, detail=True)
        skip = len(store._strip_protocol(str(self.root))) + 1
        for name, info in sorted(found.items()):
            if info["type"] == "file" and not name.endswith("/"):
                yield FileInfo(name[skip:], int(info["size"]), _modified(store, name, info))

    def folders(self, folder: str) -> Iterator[FileInfo]:
        inside: dict[str, list[FileInfo]] = {}
        depth = folder.count("/") + 2
        for found in self.listed(folder):
            steps = found.path.split("/")
            if len(steps) > depth:
                inside.setdefault("/".join(steps[:depth]), []).append(found)
        for path, files in inside.items():
            yield FileInfo(path, sum(f.bytes for f in files), max(f.modified for f in files))

    def unfinished(self) -> Iterator[FileInfo]:
        """Yield nothing: the store itself keeps track of interrupted uploads (see docs/storage.md)."""
        return iter(())

    def attach(self, con: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> None:
        """Allow these files, and only for reading: DuckDB's allowed paths would be allowed for writing too."""
        con.register_filesystem(_restricted_to(self._store, [str(self.root / path) for path in paths]))

    @property
    def _store(self) -> AbstractFileSystem:
        # A forked process needs its own: the connections and their thread stay in the parent.
        return _store(str(self.root), os.getpid())

    @contextmanager
    def _explained(self, action: str, path: str) -> Iterator[None]:
        """Turn whatever the store's library raises into a LakeError: it has no error class of its own."""
        try:
            yield
        except (FileNotFoundError, LakeError) as error:
            if action == "read" or isinstance(error, LakeError):
                raise
            raise self._error(action, path, error) from error
        except Exception as error:
            raise self._error(action, path, error) from error

    def _error(self, action: str, path: str, error: Exception) -> LakeError:
        return LakeError(
            f"Cannot {action} {self.root / path}: {error or type(error).__name__}. Check that the bucket exists and "
            "that the environment has what is needed to reach it: for S3 AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION, and AWS_ENDPOINT_URL if it is not AWS. Nothing was changed."
        )


@lru_cache(maxsize=8)
def _store(root: str, process: int) -> AbstractFileSystem:
    scheme = root.split("://", 1)[0]
    try:
        import fsspec

        # Other processes write too, so that a cached listing would be wrong. One instance serves all threads; fsspec
        # would make one for each thread and keep them all.
        store, _ = fsspec.url_to_fs(root, use_listings_cache=False, skip_instance_cache=True)
    except ImportError as error:
        package = "polyseme[s3]" if scheme == "s3" else "its fsspec package"
        raise UsageError(
            f"A lake at {scheme}:// needs a package that is not installed: {error}. Install {package}."
        ) from error
    except ValueError as error:
        raise UsageError(
            f"There can be no lake at {root}: {error}. Name a folder, or a URL such as s3://bucket/lake."
        ) from error
    return store


def _map_concurrently(act: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    with ThreadPoolExecutor(_CONCURRENT, "polyseme-store") as threads:
        return list(threads.map(act, items))


@contextmanager
def _temporary_file(path: str) -> Iterator[Path]:
    """Yield a path on this machine for a file of that name, in a folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="polyseme-"))
    try:
        yield folder / path.rsplit("/", 1)[-1]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _modified(store: AbstractFileSystem, name: str, info: dict[str, Any]) -> datetime:
    moment: datetime = info.get("LastModified") or store.modified(name)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _restricted_to(store: AbstractFileSystem, urls: Sequence[str]) -> AbstractFileSystem:
    """Return a filesystem for DuckDB with these files and no others. They never change, so sizes are cached."""
    from fsspec import AbstractFileSystem

    scheme = urls[0].split("://", 1)[0] if urls else "none"
    names = {store._strip_protocol(url) for url in urls}

    class LiveParts(AbstractFileSystem):  # type: ignore[misc]
        protocol = (scheme,)
        cachable = False

        def __init__(self) -> None:
            super().__init__()
            self._known: dict[str, dict[str, Any]] = {}

        def info(self, path: str, **_: object) -> dict[str, Any]:
            name = store._strip_protocol(path)
            if name not in names:
                raise PermissionError(f"{path} is not a live part of the lake")
            if name not in self._known:
                self._known[name] = dict(store.info(name))
            return self._known[name]

        def _open(self, path: str, mode: str = "rb", **_: object) -> _Ranges:
            if mode != "rb":
                raise PermissionError(f"{path} cannot be written: parts never change")
            return _Ranges(store, store._strip_protocol(path), int(self.info(path)["size"]))

        def exists(self, path: str, **_: object) -> bool:
            return store._strip_protocol(path) in names

        def glob(self, path: str, **_: object) -> list[str]:
            # DuckDB treats even a plain name as a pattern. Ours are literal, whatever characters the prefix has.
            return [path] if self.exists(path) else []

        def modified(self, path: str) -> datetime:
            return _modified(store, path, self.info(path))

    return LiveParts()


class _Ranges(io.RawIOBase):
    """A file that requests exactly the bytes that are read: DuckDB knows better than a cache what it needs next."""

    def __init__(self, store: AbstractFileSystem, name: str, size: int) -> None:
        super().__init__()
        self._read_range, self._name, self._size, self._at = store.cat_file, name, size, 0

    def read(self, size: int = -1, /) -> bytes:
        stop = self._size if size < 0 else min(self._at + size, self._size)
        if stop <= self._at:
            return b""
        found: bytes = self._read_range(self._name, start=self._at, end=stop)
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
