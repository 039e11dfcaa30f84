"""A Delta or Iceberg table as a source: as one file whose state is its version and whose records are its rows.

    delta:///absolute/folder            or the folder itself, which has a `_delta_log`
    iceberg://catalog/namespace.table   in a catalog that PyIceberg's configuration names

A table is not read again until it has another version. Its files are never read by themselves: some hold rows that
were deleted.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import quote_from_bytes, unquote_to_bytes

from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, Reject
from polyseme.storage.source_files import FileState
from polyseme.tasks.reading.documents import Place, ReadOptions
from polyseme.tasks.reading.local_source import path_of_uri
from polyseme.tasks.reading.object_store import store_of
from polyseme.tasks.reading.parquet import columns_to_read, document_from_row, records_of, too_long
from polyseme.tasks.reading.parsing.answers import Answers
from polyseme.tasks.reading.source import Source
from polyseme.tasks.reading.source_file import SourceFile
from polyseme.tasks.reading.tables.layout import DELTA as DELTA_TABLE
from polyseme.tasks.reading.tables.layout import ICEBERG, NAMED, table_in
from polyseme.tasks.reading.tables.snapshots import Snapshot, TableError, open_delta, open_iceberg

DELTA = "delta://"
"""What the address of a Delta table begins with, before its absolute path."""
Opener = Callable[[], Snapshot]
_TABLE = re.compile(r"(?P<scheme>delta|iceberg)://(?P<where>.*)", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r"(?P<catalog>[A-Za-z0-9_-]+)/(?P<table>[^/?#\s]+\.[^/?#\s]+)")
_SHOWN = 10


class TableRows(SourceFile):
    """The rows of the version that a table has when it is first asked for."""

    __slots__ = ("_opener", "_snapshot")

    def __init__(self, uri: str, options: ReadOptions, *, reading: str, opener: Opener) -> None:
        super().__init__(uri, options, reading=reading)
        self._opener = opener
        self._snapshot: Snapshot | TableError | None = None

    def state(self) -> FileState | None:
        """Return what stands for the version; None for a table that cannot be opened."""
        opened = self._opened()
        return None if isinstance(opened, TableError) else FileState(0, 0, opened.stamp)

    def read(self, *, now: Callable[[], int] = time.time_ns) -> Iterator[Document | Reject]:
        """Yield the rows. A version never changes."""
        self.as_read = None
        yield from self.content(None)
        self.as_read = self.state()

    def content(self, answers: Answers | None) -> Iterator[Document | Reject]:
        """Yield the rows."""
        whole, opened = Place(self.uri, "", self.uri), self._opened()
        if isinstance(opened, TableError):
            yield whole.refuse("unreadable", f"the table cannot be opened: {opened}; mend it, and run again")
            return
        if self.options.text_field not in opened.schema.names:
            shown = ", ".join(f'"{name[:40]}"' for name in opened.schema.names[:_SHOWN])
            message = f'no column "{self.options.text_field}": this table has {shown}. Name the text with --text-field'
            yield whole.refuse("missing-field", message)
            return
        try:
            batches = opened.batches(columns_to_read(opened.schema, self.options))
            rows = (fields for batch in batches for fields in records_of(batch, self.options))
            for number, fields in enumerate(rows, 1):
                place = Place(self.uri, f"row {number}", f"{self.uri}#{number}")
                if fields is None:
                    yield too_long(place, self.options)
                else:
                    yield document_from_row(fields, place, self.options)
        except TableError as error:
            message = f"not all rows could be read: {error}; those before were kept. Mend it, and run again"
            yield whole.refuse("unreadable", message)

    def _opened(self) -> Snapshot | TableError:
        if self._snapshot is None:
            try:
                self._snapshot = self._opener()
            except TableError as error:
                self._snapshot = error
        return self._snapshot


@dataclass(frozen=True, slots=True)
class TableSource(Source):
    """A table. Its `target` is the address that its documents have."""

    opener: Opener = field(kw_only=True, compare=False)
    place: str = field(default="", kw_only=True, compare=False)
    """Where the table lies: a path or an address, empty if that is not known."""

    @property
    def single(self) -> str:
        """The address that the documents have."""
        return self.target

    @property
    def prefix(self) -> str:
        """The address that the documents have."""
        return self.target

    def listed(self, options: ReadOptions, *, reading: str) -> Iterator[TableRows]:
        """Yield the table."""
        yield TableRows(self.target, options, reading=reading, opener=self.opener)

    def covers(self, uri: str) -> bool:
        """Return whether a document of `uri` comes from this table."""
        return uri == self.target

    reaches = scans = covers

    def reads_table(self, folder: str) -> bool:
        """Return whether this is the table that lies in the folder of an address."""
        path = self.place.removeprefix("file://").removeprefix("file:")
        if folder.startswith("file:///"):
            return path.startswith("/") and os.path.realpath(path) == os.path.realpath(path_of_uri(folder))
        found = store_of(self.place.replace("s3a://", "s3://", 1)) if "://" in self.place else None
        return found is not None and found[0].uri(found[1].rstrip("/") + "/") == folder

    def holds(self, lake: Lake) -> bool:
        """Return False: a lake is no such table."""
        return False

    def contains(self, name: str) -> bool:
        """Return False: other sources do not lie in a table."""
        return False


def is_table(spec: str) -> bool:
    """Return whether what a user gave is the address of a table."""
    return bool(_TABLE.match(spec))


def is_delta_folder(path: str) -> bool:
    """Return whether a Delta table is in a folder. Raises UsageError for an Iceberg table, which its catalog names."""
    kind = table_in(path)
    if kind == ICEBERG:
        raise UsageError(
            f"The folder {path} holds an Iceberg table, and only its catalog knows which of these files are live. "
            f"Name it as {NAMED}."
        )
    return kind == DELTA_TABLE


def resolve_table(spec: str, known: Callable[[Source], bool]) -> TableSource:
    """Resolve the address of a table. One that cannot be opened is absent if it is `known`, else raises UsageError."""
    match = _TABLE.match(spec)
    assert match is not None
    if match["scheme"].lower() == "iceberg":
        return _resolved(_iceberg(spec, match["where"]), known)
    if not match["where"].startswith("/") or set(match["where"]) & set("?#"):
        raise UsageError(f"source {spec!r} is not of the form delta:///absolute/folder, in which ?, # are %3F, %23")
    return resolve_delta(spec, os.fsdecode(unquote_to_bytes(match["where"])), known)


def resolve_delta(spec: str, path: str, known: Callable[[Source], bool]) -> TableSource:
    """Resolve the folder of a Delta table, as `resolve_table` does."""
    real = os.path.realpath(path)
    uri = f"{DELTA}{quote_from_bytes(os.fsencode(real))}"
    return _resolved(TableSource(spec, "table", uri, opener=lambda: open_delta(real), place=real), known)


def _iceberg(spec: str, where: str) -> TableSource:
    match = _NAME.fullmatch(where)
    if match is None:
        raise UsageError(f"source {spec!r} is not of the form iceberg://CATALOG/NAMESPACE.TABLE")
    catalog, table = match["catalog"], match["table"]
    return TableSource(spec, "table", f"iceberg://{catalog}/{table}", opener=lambda: open_iceberg(catalog, table))


def _resolved(source: TableSource, known: Callable[[Source], bool]) -> TableSource:
    try:
        opened = source.opener()
    except TableError as error:
        if known(away := replace(source, absent=True)):
            return away
        raise UsageError(f"The table {source.target} cannot be read: {error}. Check that it is there.") from None
    return replace(source, place=opened.place or source.place)
