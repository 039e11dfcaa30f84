"""A query as a source: as one file whose records are its rows. Connects to resolve it, and to read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, Reject
from polyseme.storage.source_files import FileState
from polyseme.tasks.reading.databases.address import KIND, DatabaseAddress, parse
from polyseme.tasks.reading.databases.connecting import QueryError, UnavailableError, connected
from polyseme.tasks.reading.databases.querying import Position, check
from polyseme.tasks.reading.databases.rows import read_rows
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.parsing.answers import Answers
from polyseme.tasks.reading.source import Source
from polyseme.tasks.reading.source_file import SourceFile


class QueryRows(SourceFile):
    """The rows of a query. Nobody can tell whether they changed without reading them, but for what a cursor tells."""

    __slots__ = ("_since", "address")

    def __init__(self, address: DatabaseAddress, options: ReadOptions, *, reading: str) -> None:
        super().__init__(address.uri, options, reading=reading)
        self.address = address
        self._since: Position | None = None

    def resume(self, stamp: str) -> bool:
        """Read only rows that are new since the state with this stamp. Return whether that is possible."""
        position = Position.of(stamp)
        self._since = position if position is not None and position.cursor == self.address.cursor else None
        return self._since is not None

    def state(self) -> FileState | None:
        """Return None."""
        return None

    def content(self, answers: Answers | None) -> Iterator[Document | Reject]:
        """Yield the rows; then it is known how far the cursor was read, if there is one."""
        position = yield from read_rows(self.address, self.options, since=self._since)
        self.as_read = None if position is None else FileState(0, 0, position.stamp)


@dataclass(frozen=True, slots=True)
class QuerySource(Source):
    """A query, or a table, of a database. Its `target` is the address with all that was given."""

    address: DatabaseAddress = field(kw_only=True)

    @property
    def single(self) -> str:
        """The address that the documents have."""
        return self.address.uri

    @property
    def prefix(self) -> str:
        """The address that the documents have."""
        return self.address.uri

    def listed(self, options: ReadOptions, *, reading: str) -> Iterator[QueryRows]:
        """Yield the query."""
        yield QueryRows(self.address, options, reading=reading)

    def covers(self, uri: str) -> bool:
        """Return whether a document of `uri` comes from this query."""
        return uri == self.address.uri

    reaches = scans = covers

    def holds(self, lake: Lake) -> bool:
        """Return False: parts are no rows."""
        return False

    def contains(self, name: str) -> bool:
        """Return False: other sources lie nowhere in a query."""
        return False


def resolve_query(spec: str, known: Callable[[Source], bool]) -> QuerySource:
    """Resolve the address of a query. One whose database does not answer is absent if it is `known`.

    Raises UsageError for one that is not, and for a query that its database does not take.
    """
    address = parse(spec)
    source = QuerySource(address.name, KIND, address.name, address=address)
    try:
        with connected(address) as connection:
            check(connection, address)
    except QueryError as error:
        raise UsageError(f"The database {address.place} does not take the query: {error}.") from None
    except UnavailableError as error:
        if known(away := replace(source, absent=True)):
            return away
        raise UsageError(
            f"The database {address.place} cannot be read: {error}. Check the address, and who may read it."
        ) from None
    return source
