"""Objects as a source: one object, all below a prefix, or those whose keys match a pattern. Opens no object.

One listing has everything that decides what is read, what is skipped and what changed. Names below the prefix count as
those of a folder do: hidden ones and formats that are not read are skipped with their reason.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from polyseme.storage.checks import is_utf8
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Reject
from polyseme.tasks.reading.archives import archive_of
from polyseme.tasks.reading.documents import Place, ReadOptions
from polyseme.tasks.reading.folders import MAGIC, matches
from polyseme.tasks.reading.formats import may_be_read
from polyseme.tasks.reading.object_file import ObjectFile
from polyseme.tasks.reading.object_store import ObjectStore, Stored, has_empty_name, store_of
from polyseme.tasks.reading.skipped import EXCLUDED, EXCLUDED_FOLDER, HIDDEN, HIDDEN_FOLDER, NOT_TEXT, Skipped
from polyseme.tasks.reading.source import Listed, Source
from polyseme.tasks.reading.tables.layout import DELTA, NAMED, TABLE_IN_FOLDER, TABLES, explained, tables_below

_SAME_STORE = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az"}
"""Other schemes that a lake's address may have."""


@dataclass(frozen=True, slots=True)
class ObjectSource(Source):
    """Objects of one store. `key` is literal: that of one object, a prefix that ends in `/` or is empty, or a pattern.

    `target` is the address with the key as it is typed.
    """

    store: ObjectStore = field(kw_only=True)
    key: str = field(kw_only=True)
    shape: Literal["object", "prefix", "pattern"] = field(kw_only=True)

    @property
    def away(self) -> str:
        """The bucket: a prefix is there if its bucket is, though nothing may be below it."""
        return f"{self.store} ({self.name})"

    @property
    def single(self) -> str | None:
        """The address of the one object; None for another shape."""
        return self.store.uri(self.key) if self.shape == "object" else None

    @property
    def is_left_out(self) -> bool:
        """Whether the patterns leave out the one object that this source is."""
        return self.shape == "object" and self._leaves_out(self.key)

    @property
    def root(self) -> str:
        """The prefix that patterns are relative to, with a slash at its end; empty for the whole bucket."""
        fixed = self.key
        if self.shape == "pattern" and (first := MAGIC.search(self.key)):
            fixed = self.key[: first.start()]
        return fixed[: fixed.rfind("/") + 1]

    @property
    def prefix(self) -> str:
        """What the addresses of all documents that this source covers begin with."""
        return self.store.uri(self.key if self.shape == "object" else self.root)

    def listed(self, options: ReadOptions, *, reading: str) -> Iterator[Listed]:
        """Yield the objects to read and what is skipped, by key; or the place if it cannot be listed.

        Nothing without a bucket.
        """
        if self.absent:
            return
        at = time.time_ns()
        try:
            found = self.store.object(self.key) if self.shape == "object" else self.store.listed(self.root)
        except OSError as error:
            message = f"cannot be listed: {error.strerror}. Nothing of it is deleted; run again"
            yield Place(self.prefix.rstrip("/"), "", "").refuse("unreadable", message)
            return
        tables = {} if self.shape == "object" else tables_below(self.root, (stored.key for stored in found))
        if self.shape == "prefix" and self.root in tables:
            kind = tables[self.root]
            remedy = "copy it to a local folder" if kind == DELTA else f"name it as {NAMED}"
            message = f"is a table of {TABLES[kind]}, some of whose files hold deleted rows; {remedy}"
            yield Place(self.prefix.rstrip("/"), "", "").refuse("unreadable", message)
            return
        for item in self._chosen(found, tables):
            if isinstance(item, Stored):
                yield ObjectFile(self.store, item, options, reading=reading, listed_ns=at)
            else:
                yield item

    def _chosen(self, found: list[Stored], tables: dict[str, str]) -> Iterator[Stored | Skipped | Reject]:
        """Yield the objects to read, what is skipped and the tables that are refused, by key."""
        choose = {"object": self._one, "prefix": self._below, "pattern": self._matching}[self.shape]
        at = 0
        for prefix, kind in sorted(tables.items()):
            if self.shape == "prefix" and self._folder_left_out(prefix[len(self.root) :].rstrip("/")):
                continue
            start = bisect_left(found, (prefix,))
            stop = bisect_left(found, (prefix[:-1] + "0",)) if prefix else len(found)  # the character behind a slash
            objects = found[start:stop]
            if any(isinstance(item, Stored) for item in choose(objects)):
                yield from choose(found[at:start])
                inside, place = prefix[len(self.root) :].rstrip("/"), "" if kind == DELTA else NAMED
                message = explained(kind, inside, place=place)
                yield Place(self.store.uri(prefix), "", "").refuse(TABLE_IN_FOLDER, message)
                at = stop
        yield from choose(found[at:] if at else found)

    def _one(self, found: list[Stored]) -> Iterator[Stored | Skipped]:
        for stored in found:
            yield Skipped(self.store.uri(stored.key), EXCLUDED) if self.is_left_out else stored

    def _below(self, found: list[Stored]) -> Iterator[Stored | Skipped]:
        start = len(self.root)
        folder, left_out, said = "", None, set[str]()
        for stored in found:
            key = stored.key
            inside, _, name = key[start:].rpartition("/")
            if inside != folder:
                folder, left_out = inside, self._folder_left_out(inside)
            if left_out is not None:
                if left_out.uri not in said:
                    said = {left_out.uri}  # objects of one folder follow each other
                    yield left_out
            elif reason := self._reason(key, name):
                yield Skipped(self.store.uri(key), reason)
            else:
                yield stored

    def _matching(self, found: list[Stored]) -> Iterator[Stored | Skipped]:
        for stored in found:
            if matches(stored.key, self.key):
                reason = self._reason(stored.key, stored.key.rpartition("/")[2].lstrip("."))
                yield Skipped(self.store.uri(stored.key), reason) if reason else stored

    def _reason(self, key: str, name: str) -> str | None:
        if name.startswith("."):
            return HIDDEN
        if self.patterns and self._leaves_out(key):
            return EXCLUDED
        return None if may_be_read(name) else NOT_TEXT

    def _folder_left_out(self, folder: str) -> Skipped | None:
        """Return what is skipped of a folder: itself or one that it is in; None if it is entered."""
        names = folder.split("/") if folder else []
        for depth, name in enumerate(names, 1):
            inside = "/".join(names[:depth])
            hidden = name.startswith(".")
            if hidden or self.patterns.leave_out_folder(inside):
                return Skipped(self.store.uri(f"{self.root}{inside}/"), HIDDEN_FOLDER if hidden else EXCLUDED_FOLDER)
        return None

    def _leaves_out(self, key: str, *, folder: bool = False) -> bool:
        if not self.patterns:
            return False
        inside = key[len(self.root) :]
        return self.patterns.leave_out_within(inside) if folder else self.patterns.leave_out(inside)

    def covers(self, uri: str) -> bool:
        """Return whether a document of `uri` would be read from this source if its object existed."""
        key = self.store.key_of(archive_of(uri))
        if key is None or not self._has(key):
            return False
        if self.shape == "object":
            return not self.is_left_out
        names = key[len(self.root) :].split("/")
        hidden = self.shape == "prefix" and any(name.startswith(".") for name in names)
        return not hidden and may_be_read(names[-1]) and not self._leaves_out(key)

    def _has(self, key: str) -> bool:
        if self.shape == "object":
            return key == self.key
        return key.startswith(self.root) and (self.shape == "prefix" or matches(key, self.key))

    def reaches(self, uri: str) -> bool:
        """Return whether an object of any name, or a folder if `uri` ends in a slash, is this source or lies in it."""
        key = self.store.key_of(archive_of(uri))
        return key is not None and (self._has(key) or (uri.endswith("/") and key.startswith(self.root)))

    def takes_whole(self, folder: str, *, deep: bool) -> bool:
        """Return whether a listing comes to every object shown below the prefix of an address."""
        key = self.store.key_of(folder)
        if key is None or self.shape != "prefix" or not key.startswith(self.root):
            return False
        inside = key[len(self.root) :]
        is_hidden = any(name.startswith(".") for name in inside.split("/"))
        return not is_hidden and not (inside and self._leaves_out(key.rstrip("/"), folder=True))

    def scans(self, uri: str) -> bool:
        """Return whether rejects of `uri`, an object or prefix, by earlier scans are replaced by a scan of this one.

        That of a table, which ends in a slash, also if its prefix is excluded now: it is counted as such.
        """
        if uri.endswith("/"):
            return self.reaches(uri)
        at = archive_of(uri)
        if at == self.prefix.rstrip("/"):
            return True
        key = self.store.key_of(at)
        return key is not None and self._has(key) and not self._leaves_out(key)

    def holds(self, lake: Lake) -> bool:
        """Return whether this source would read the parts of `lake` as documents."""
        if isinstance(lake.data, Path):
            return False
        scheme, _, rest = str(lake.data).partition("://")
        found = store_of(f"{_SAME_STORE.get(scheme, scheme)}://{rest}")
        if found is None or found[0] != self.store:
            return False
        return self.covers(self.store.uri(f"{found[1]}/documents/part.parquet"))

    def contains(self, name: str) -> bool:
        """Return whether the source of this name, objects or a pattern, lies below this prefix."""
        return self.shape == "prefix" and name.startswith(self.target)


def resolve_objects(
    spec: str, store: ObjectStore, key: str, *, known: Callable[[Source], bool] = lambda source: False
) -> ObjectSource:
    """Return the source that an address of objects means, after one look whether it is there.

    Raises UsageError for one that is not, or of which that cannot be told, unless it is `known`.
    """
    if not is_utf8(spec) or any(ord(character) < 32 for character in spec):
        raise UsageError(f"source {spec!r} has bytes that are not UTF-8, or control characters, in it")
    if has_empty_name(key):  # a listing would be that of another prefix
        raise UsageError(f"source {spec!r} has // in its key, for which a store cannot be asked; write one slash")
    is_prefix = not key or key.endswith("/")
    one = _source(spec, store, key, "object")
    prefix = _source(spec, store, key if is_prefix else f"{key}/", "prefix")
    pattern = _source(spec, store, key, "pattern") if MAGIC.search(key) else None
    choices = [*([] if is_prefix else [one]), prefix, *([pattern] if pattern else [])]
    failed: OSError | None = None
    try:
        found = store.kind_of(key)
        if found == "prefix":
            return prefix
        if found == "object" and not is_prefix:
            if not may_be_read(key.rpartition("/")[2]):
                raise UsageError(f"source {spec!r} is of a format that is not read; docs/formats.md has those that are")
            return one
        if pattern is not None and store.kind_of(pattern.root) is not None:
            return pattern
    except OSError as error:
        failed = error
    is_there = failed is not None or _is_there(store)
    for missing in choices:
        if known(missing):
            return replace(missing, absent=not is_there)
    if failed is not None:
        raise UsageError(f"source {spec!r} cannot be reached: {failed.strerror}")
    if not is_there:
        raise UsageError(f"source {spec!r} does not exist: {store} is not there; check its name, and whose it is")
    raise UsageError(f"source {spec!r} does not exist: no object has this key, or begins with it; list the bucket")


def _is_there(store: ObjectStore) -> bool:
    """Return whether a bucket is there, or may be: that takes other rights than a listing below a prefix."""
    try:
        return store.exists()
    except OSError:
        return True


def _source(spec: str, store: ObjectStore, key: str, shape: Literal["object", "prefix", "pattern"]) -> ObjectSource:
    target = f"{store.scheme}://{store.bucket}/{key}"
    return ObjectSource(spec, "objects", target, store=store, key=key, shape=shape)
