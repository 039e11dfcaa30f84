"""The objects below an address of an object store, or of a repository of the Hugging Face Hub, through Arrow.

Knows no format and no document. Credentials come from the environment, as the store's own tools take them, and are
never part of an address. A listing has everything that decides whether an object changed, so that nothing is opened
for it; what is read is read in ranges.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, cast
from urllib.parse import quote, unquote

from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.store_access import SETTINGS, filesystem, hub

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import FileInfo, FileSystem

SMALL_BYTES = 8 << 20
"""An object up to this size is fetched whole, in one request, before its turn."""
_RANGE_BYTES = 4 << 20


class Stored(NamedTuple):
    """An object: its key below the bucket, its size in bytes, and its last change in nanoseconds since 1970.

    `stamp` is what its store says of the content itself, empty if it says nothing: the Hub does, and tells no time.
    """

    key: str
    size: int
    modified_ns: int | None
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """The bucket (container, repository) of an address."""

    scheme: str
    bucket: str

    def __str__(self) -> str:
        kind = {"az": "container", "hf": "repository"}.get(self.scheme, "bucket")
        return f"the {kind} {self.bucket}"

    def uri(self, key: str) -> str:
        """Return the address of an object as documents have it: in ASCII, everything odd percent-encoded."""
        return _root(self) + quote(key)

    def key_of(self, uri: str) -> str | None:
        """Return the key of an address that `uri` made; None for one of another store."""
        root = _root(self)
        return unquote(uri[len(root) :]) if uri.startswith(root) else None

    def listed(self, prefix: str) -> list[Stored]:
        """Return the objects below a prefix that ends in a slash, or is empty, by key; an empty list if there is none.

        Raises OSError if the store does not answer or refuses. Takes 600 bytes of memory an object.
        """
        from pyarrow.fs import FileSelector

        with _explained(self):
            at = "/".join(filter(None, (self.bucket, prefix.rstrip("/"))))
            if self.scheme == "hf":
                return sorted(_in_hub(self, at))
            selector = FileSelector(at, recursive=True, allow_not_found=bool(prefix))
            return sorted(self._stored(self._filesystem().get_file_info(selector)))

    def object(self, key: str) -> list[Stored]:
        """Return the one object of this key, in a list; an empty list if there is none. Raises OSError as `listed`."""
        with _explained(self):
            if self.scheme == "hf":
                return _one_in_hub(self, key)
            return list(self._stored(self._filesystem().get_file_info([f"{self.bucket}/{key}"])))

    def kind_of(self, key: str) -> Literal["object", "prefix"] | None:
        """Return what is at a key, or below it; None if there is nothing. Raises OSError as `listed`."""
        from pyarrow.fs import FileType

        with _explained(self):
            at = "/".join(filter(None, (self.bucket, key.rstrip("/"))))
            if self.scheme == "hf":
                hub().invalidate_cache()
            (found,) = self._filesystem().get_file_info([at])
        kinds: dict[object, Literal["object", "prefix"]] = {FileType.File: "object", FileType.Directory: "prefix"}
        return kinds.get(found.type)

    def exists(self) -> bool:
        """Return whether the bucket is there, whoever it belongs to. Raises OSError if the store does not answer."""
        from pyarrow.fs import FileType

        with _explained(self):
            if self.scheme == "hf":
                hub().invalidate_cache()
            (found,) = self._filesystem().get_file_info([self.bucket])
        return bool(found.type != FileType.NotFound)

    def _stored(self, found: Iterable[FileInfo]) -> Iterator[Stored]:
        from pyarrow.fs import FileType

        skip = len(self.bucket) + 1
        return (Stored(info.path[skip:], info.size, info.mtime_ns) for info in found if info.type == FileType.File)

    def open(self, key: str) -> BinaryIO:
        """Open an object to read in ranges, from any place in it. Raises OSError."""
        with _explained(self, key):
            raw = self._filesystem().open_input_file(f"{self.bucket}/{key}")
        return io.BufferedReader(_Ranges(self, raw), _RANGE_BYTES)

    def whole(self, key: str) -> bytes:
        """Return the content of an object. Raises OSError."""
        with _explained(self, key), self._opened(key) as stream:
            return cast("bytes", stream.read())

    def _opened(self, key: str) -> NativeFile:
        # By default Arrow would decompress what is called .gz.
        return self._filesystem().open_input_stream(f"{self.bucket}/{key}", compression=None)

    def _filesystem(self) -> FileSystem:
        return filesystem(self.scheme, self.bucket, os.getpid())


def has_empty_name(key: str) -> bool:
    """Return whether a key begins with a slash or has two that follow each other: Arrow cannot ask for such a one."""
    return key.startswith("/") or "//" in key


def store_of(address: str) -> tuple[ObjectStore, str] | None:
    """Return the store and the key, prefix or pattern of an address such as `s3://bucket/folder/`, as it is typed.

    None for an address of another kind. Raises UsageError for one without a bucket. Keys are literal, as the stores'
    own tools take them: `%20` in one is not a space.
    """
    scheme, separator, rest = address.partition("://")
    if not separator or scheme.lower() not in SETTINGS:
        return None
    # In the Hub the bucket is a repository, and the kind of it: datasets/owner/name.
    depth = 3 if scheme.lower() == "hf" else 1
    steps = rest.split("/", depth)
    if len(steps) < depth or not all(steps[:depth]):
        shape = "hf://datasets/owner/name/folder" if depth == 3 else f"{scheme.lower()}://bucket/folder"
        raise UsageError(f"source {address!r} names no place in a store; write {shape}")
    return ObjectStore(scheme.lower(), "/".join(steps[:depth])), steps[depth] if len(steps) > depth else ""


@lru_cache(maxsize=256)
def _root(store: ObjectStore) -> str:
    return f"{store.scheme}://{quote(store.bucket)}/"


def _in_hub(store: ObjectStore, at: str) -> Iterator[Stored]:
    """Yield the files of a repository below a path, as the Hub lists them now."""
    files = hub()
    files.invalidate_cache()
    found = cast("dict[str, dict[str, object]]", files.find(at, detail=True))
    return (_of_hub(store, path, info) for path, info in found.items())


def _one_in_hub(store: ObjectStore, key: str) -> list[Stored]:
    files, path = hub(), f"{store.bucket}/{key}"
    files.invalidate_cache()
    try:
        info = files.info(path)
    except FileNotFoundError:
        return []
    return [_of_hub(store, path, info)] if info["type"] == "file" else []


def _of_hub(store: ObjectStore, path: str, info: dict[str, object]) -> Stored:
    stamp = info.get("blob_id") or info.get("xet_hash") or ""
    return Stored(path[len(store.bucket) + 1 :], int(str(info["size"])), None, str(stamp))


def stored_at(uri: str) -> tuple[ObjectStore, str] | None:
    """Return the store and the key of an object's address, as documents have it; None for another address."""
    found = store_of(uri)
    if found is None:
        return None
    store = ObjectStore(found[0].scheme, unquote(found[0].bucket))
    return store, store.key_of(uri) or ""


class _Ranges(io.RawIOBase):
    """An open object. Every error of the store is an OSError with a number, as errors of files are."""

    def __init__(self, store: ObjectStore, raw: object) -> None:
        super().__init__()
        self._store, self._raw = store, cast("BinaryIO", raw)

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast("bytearray", buffer))
        with _explained(self._store):
            data = self._raw.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


@contextmanager
def _explained(store: ObjectStore, key: str = "") -> Iterator[None]:
    """Turn whatever Arrow or the store's library raises into an OSError with a number and one line."""
    if has_empty_name(key):
        raise OSError(errno.EINVAL, f"the key {key!r} has an empty name in it (//); copy the object to another key")
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "there is no such object, prefix or bucket") from error
    except (UsageError, MemoryError):
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise OSError(errno.EIO, f"{said}. {store.scheme}:// takes {SETTINGS[store.scheme]}") from error
