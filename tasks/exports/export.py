"""Export: a target is brought up to a state of a lake, by writing what is new and removing what is gone.

    with opened_export(lake, Request(format="npy", out="vectors")) as export:
        print(export.run().in_words)

What a target has is compared document by document, so that one which an interrupted export left is completed, whatever
it lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.access import Access
from polyseme.storage.sql.selection import find_encoding
from polyseme.storage.wording import many
from polyseme.tasks.exports.formats import Format, opened, require_vectors
from polyseme.tasks.exports.marks import Mark, Table, Vectors
from polyseme.tasks.exports.source import Source, States, digest_of
from polyseme.tasks.exports.targets import Change, Target

MEMORY = "1GB"
"""What rows are sorted in; the rest spills. 2.7 million words, 384 numbers each, take 67 seconds so, and 57 in 4 GB."""
SORTING = Access(memory=MEMORY)
_LONGEST_MESSAGE = 200
"""Characters of another library's message, of which the rest may have values of rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to export where: `encoding` is a name, None for the lake's default; `where` is a condition on documents."""

    format: Format
    out: str
    table: Table = "sentences"
    where: str | None = None
    encoding: str | None = None
    vectors: Vectors = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What a target has now, and what was done: documents that are new, replaced and removed, and rows written.

    `is_new` is whether there was no target, `whole` whether everything was written, so that no document is told from
    others. `bytes` is the size of the target, None if that is not known.
    """

    target: str
    format: str
    table: Table
    encoding: str
    catalog_version: int
    documents: int
    rows: int
    new: int = 0
    replaced: int = 0
    removed: int = 0
    is_new: bool = False
    whole: bool = False
    rows_written: int = 0
    bytes: int | None = None

    @property
    def in_words(self) -> str:
        """One sentence or two for people."""
        size = "" if self.bytes is None else f", {self.bytes / 1e6:,.1f} MB"
        rows = self.table if self.rows != 1 else self.table.removesuffix("s")
        of = "" if self.table == "documents" else f" of {many(self.documents, 'documents')}"
        has = f"{self.target} has {self.rows:,} {rows}{of} ({self.format}, encoding {self.encoding}{size})."
        if self.is_new:
            return f"{has} It is new."
        if self.whole:
            return f"{has} It was written anew, as a whole."
        if not (self.new or self.replaced or self.removed):
            return f"{has} Nothing changed since the last export."
        parts = (("new", self.new), ("replaced", self.replaced), ("removed", self.removed))
        done = ", ".join(f"{count:,} {name}" for name, count in parts if count)
        return f"{has} Documents: {done}; {many(self.rows_written, 'rows')} written."


class Export:
    """One export that is planned: its target is locked, and the rows that it needs are known."""

    def __init__(self, target: Target, source: Source | None, wanted: States, mark: Mark) -> None:
        self._target, self._source, self._wanted, self._mark = target, source, wanted, mark
        had: States = {}
        if source is not None and target.incremental and target.mark() is not None:
            had = _states_of(target)
        self._new = wanted.keys() - had.keys()
        self._replaced = {name for name, state in had.items() if name in wanted and wanted[name] != state}
        self._removed = had.keys() - wanted.keys()

    @property
    def bytes(self) -> int:
        """How many bytes the vectors have that `run` writes."""
        return 0 if self._source is None else self._rows_to_write * self._source.bytes_a_vector

    @property
    def _rows_to_write(self) -> int:
        return sum(self._wanted[name].rows for name in self._new | self._replaced)

    def run(self, progress: Callable[[int], None] = lambda _: None) -> Exported:
        """Write what is to be written. `progress` is told the bytes of vectors of each batch."""
        before, mark = self._target.mark(), self._mark
        if self._source is None:
            return self._exported()
        if before is not None and before.complete and before.digest == mark.digest:
            self._target.remember(mark)
            return self._exported()
        rows = _Rows(self._source, self._new | self._replaced, progress)
        change = Change(
            schema=self._source.schema,
            rows=iter(rows),
            gone=frozenset(self._replaced | self._removed),
            whole=not self._target.incremental or before is None,
        )
        self._write(change, mark, rows)
        return self._exported(rows_written=self._rows_to_write, is_new=before is None, whole=change.whole)

    def _write(self, change: Change, mark: Mark, rows: _Rows) -> None:
        try:
            self._target.write(change, mark)
        except Exception as error:
            if rows.error is not None:  # libraries that are not in Python raise one of their own instead
                raise rows.error from None
            if isinstance(error, PolysemeError):
                raise
            raise PolysemeError(
                f"Cannot write {self._target}: {_said(error)}. The next export completes it; --debug has the traceback."
            ) from error

    def _exported(self, *, rows_written: int = 0, is_new: bool = False, whole: bool = False) -> Exported:
        mark, told = self._mark, bool(rows_written or self._removed) and not whole
        return Exported(
            target=str(self._target),
            format=mark.format,
            table=mark.table,
            encoding=mark.encoding,
            catalog_version=mark.catalog_version,
            documents=mark.documents,
            rows=mark.rows,
            new=len(self._new) if told else 0,
            replaced=len(self._replaced) if told else 0,
            removed=len(self._removed) if told else 0,
            is_new=is_new,
            whole=whole,
            rows_written=rows_written,
            bytes=self._target.size(),
        )


@contextmanager
def opened_export(lake: Lake, request: Request, *, access: Access = SORTING) -> Iterator[Export]:
    """Open lake and target, and find what there is to do.

    Raises UsageError for a target of another lake, encoding, table or format, or that is no export, and if nothing is
    to be exported; LakeError if there is no lake.
    """
    require_vectors(request.format, request.vectors)
    _require_outside(lake, request.out)
    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    wanted = _mark_of(snapshot, request)
    with ExitStack() as stack:
        target = stack.enter_context(opened(request.format, request.out))
        before = target.mark()
        if before is not None:
            before.require_same_content(wanted, str(target))
            if before.is_same_state(wanted):
                yield Export(target, None, {}, before)
                return
        source = stack.enter_context(
            Source(
                snapshot, lake, encoding=find_encoding(snapshot, request.encoding), table=request.table,
                where=request.where, vectors=request.vectors, access=access,
            )
        )  # fmt: skip
        states = source.documents()
        if not states:
            raise _nothing(request, target, is_new=before is None)
        yield Export(target, source, states, _with_content(wanted, states))


def _mark_of(snapshot: Snapshot, request: Request) -> Mark:
    encoding = find_encoding(snapshot, request.encoding)
    return Mark(
        format=request.format, lake_id=snapshot.lake_id, encoding_id=encoding.encoding_id, encoding=encoding.name,
        table=request.table, vectors=request.vectors, where=request.where, catalog_version=snapshot.catalog_version,
        epoch=snapshot.epoch, documents=0, rows=0, digest="",
    )  # fmt: skip


def _states_of(target: Target) -> States:
    try:
        return target.states()
    except PolysemeError:
        raise
    except Exception as error:  # whatever a library makes of a file that is damaged
        raise PolysemeError(
            f"Cannot read {target}, which an export made: {_said(error)}. It is left as it is. If it is damaged, "
            "remove it, and export again; --debug has the traceback."
        ) from error


def _said(error: Exception) -> str:
    what = (str(error).splitlines() or [""])[0][:_LONGEST_MESSAGE].rstrip(".")
    return f"{type(error).__name__}: {what}"


class _Rows:
    """Rows of documents as they are read, counted, with the error that ended them."""

    def __init__(self, source: Source, doc_ids: Collection[str], progress: Callable[[int], None]) -> None:
        self._source, self._doc_ids, self._progress = source, doc_ids, progress
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._source.rows(self._doc_ids):
                yield batch
                self._progress(batch.num_rows * self._source.bytes_a_vector)
        except GeneratorExit:
            raise
        except BaseException as error:
            self.error = error
            raise


def _with_content(mark: Mark, states: States) -> Mark:
    rows = sum(state.rows for state in states.values())
    return replace(mark, documents=len(states), rows=rows, digest=digest_of(states))


def _nothing(request: Request, target: Target, *, is_new: bool) -> UsageError:
    of = "" if request.where is None else " of documents that meet --where"
    left = "Nothing was written" if is_new else f"{target} is left as it is; remove it if that is what you want"
    why = " Words are stored by polyseme embed --level words." if request.table == "words" else ""
    return UsageError(f"The lake has no {request.table}{of} with vectors. {left}.{why}")


def _require_outside(lake: Lake, out: str) -> None:
    """Raise UsageError for a target in the lake's own folder: vacuum would take its files for what nobody needs."""
    if isinstance(lake.root, Path) and "://" not in out and Path(out).expanduser().resolve().is_relative_to(lake.root):
        raise UsageError(f"{out} is in the folder of the lake. Name a target outside of it.")
