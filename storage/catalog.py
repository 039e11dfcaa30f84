"""Catalog: the SQL database that records which parts and which version of each document are live.

The source of truth about a lake: commits, version fences and look-ups of what is up to date are its transactions. Knows
files by their relative path only, and never opens one. Safe to share between threads; a forked process opens its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from types import TracebackType

from sqlalchemy import Connection, Engine

from polyseme.storage.database import (
    commits,
    dead_runs,
    dropped_encodings,
    encodings,
    held_back,
    meta,
    opening,
    part_rows,
    rejects,
    runs,
    skipped_files,
    topics,
    versions,
)
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.scratch import scratch_copy
from polyseme.storage.database.snapshot import Snapshot, read_totals, take_snapshot
from polyseme.storage.database.staleness import Staleness, damaged_documents, staleness
from polyseme.storage.database.transactions import (
    PATIENCE_SECONDS,
    longest_key,
    publishing,
    reading,
    writing,
)
from polyseme.storage.errors import PolysemeError
from polyseme.storage.fitted_topics import TopicFit
from polyseme.storage.lake import Lake
from polyseme.storage.records import (
    Counts,
    DocumentVersion,
    EncodingSpec,
    HeldBack,
    Outputs,
    Part,
    PrecisionLoss,
    Reject,
    ShardResult,
    StoreLoss,
)
from polyseme.storage.tiers import Centre

_PAGE = 1000


class Catalog:
    """An open catalog. Use it as a context manager, or `close` it."""

    def __init__(self, lake: Lake, engine: Engine, *, patience: float) -> None:
        self.lake = lake
        self._engine = engine
        self._patience = patience
        self._longest_key = longest_key(engine)

    @staticmethod
    def create_or_open(lake: Lake, *, patience: float = PATIENCE_SECONDS) -> Catalog:
        """Open the lake's catalog and create what is missing of it. Raises LakeError."""
        return Catalog(lake, opening.create_or_open(lake, patience=patience), patience=patience)

    @staticmethod
    def open(lake: Lake, *, patience: float = PATIENCE_SECONDS) -> Catalog:
        """Open the catalog of an existing lake. Raises LakeError if there is none that this Polyseme reads."""
        return Catalog(lake, opening.open_existing(lake, patience=patience), patience=patience)

    @staticmethod
    def opened(lake: Lake, *, dry_run: bool) -> AbstractContextManager[Catalog]:
        """Open the catalog of an existing lake: for a dry run to be read, as `unchanged`, else as `open`."""
        return Catalog.unchanged(lake) if dry_run else Catalog.open(lake)

    @staticmethod
    @contextmanager
    def unchanged(lake: Lake, *, patience: float = PATIENCE_SECONDS) -> Iterator[Catalog]:
        """Open the catalog of an existing lake to be read, and do not bring it to today's format.

        Of an older format a scratch copy is opened. Raises LakeError as `open` does.
        """
        engine = opening.open_existing(lake, patience=patience, migrating=False)
        with Catalog(lake, engine, patience=patience) as catalog:
            if opening.is_of_today(engine):
                yield catalog
                return
        with Catalog.scratch(lake, patience=patience) as catalog:
            yield catalog

    @staticmethod
    @contextmanager
    def scratch(lake: Lake, *, patience: float = PATIENCE_SECONDS) -> Iterator[Catalog]:
        """Open a copy of the lake's catalog, to be changed and thrown away; an empty one if there is no lake.

        The lake itself is only read. Raises LakeError for a catalog that this Polyseme does not read.
        """
        with scratch_copy(lake, patience=patience) as (engine, longest):
            catalog = Catalog(lake, engine, patience=patience)
            catalog._longest_key = longest
            yield catalog

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def register_encoding(
        self, spec: EncodingSpec, *, name: str | None = None, centres: Mapping[str, Centre] | None = None
    ) -> str:
        """Return the encoding's name, registering it first if it is new. The first one becomes the default.

        `centres` are needed for a new one with binary vectors, by table. Raises UsageError if `name` is malformed or
        belongs to another encoding, or if this one has another name.
        """
        with self.writing() as connection:
            chosen, is_new = encodings.register(connection, spec, name, centres=centres or {}, at=_now())
            if is_new:
                meta.raise_catalog_version(connection)
            return chosen

    def encodings(self) -> tuple[Encoding, ...]:
        """Return every registered encoding, oldest first."""
        with self.reading() as connection:
            return encodings.read_encodings(connection)

    def default_encoding(self) -> str | None:
        """Return the id of the default encoding; None without encodings."""
        with self.reading() as connection:
            return meta.default_encoding(connection)

    def record_precision_loss(self, encoding_id: str, fidelity: PrecisionLoss) -> None:
        """Record what was measured of an encoding, unless something is recorded already."""
        with self.writing() as connection:
            if meta.record_precision_loss(connection, encoding_id, fidelity):
                meta.raise_catalog_version(connection)

    def record_store_loss(self, encoding_id: str, table: str, loss: StoreLoss) -> None:
        """Record what was measured of a table's stored vectors, unless more of them were measured already."""
        with self.writing() as connection:
            if meta.record_store_loss(connection, encoding_id, table, loss):
                meta.raise_catalog_version(connection)

    def encoding(self, encoding_id: str) -> Encoding:
        """Return the encoding of that id. Raises PolysemeError if it was dropped."""
        with self.reading() as connection:
            dropped_encodings.require_kept(connection, encoding_id)
            return next(e for e in encodings.read_encodings(connection) if e.encoding_id == encoding_id)

    def begin_run(self, run_id: str, encoding_id: str, sources: Sequence[str], flow_run_id: str | None = None) -> int:
        """Record a run and return its ordinal, greater than any before. Raises PolysemeError if `run_id` is taken."""
        with self.writing() as connection:
            dead_runs.mark(connection)
            ordinal = runs.begin(connection, run_id, encoding_id, sources, flow_run_id, at=_now())
            meta.raise_catalog_version(connection)
            return ordinal

    def finish_run(
        self,
        run_id: str,
        state: str,
        counts: Counts,
        *,
        skipped: int,
        deleted: int,
        rejected: int,
        error: str | None = None,
    ) -> None:
        """Record how a run ended and what it did. Raises PolysemeError for a run that never began."""
        tally = {"skipped": skipped, "deleted": deleted, "rejected": rejected}
        with self.writing() as connection:
            runs.finish(connection, run_id, state, counts, tally, error=error, at=_now())
            meta.raise_catalog_version(connection)

    def lookup(self, encoding_id: str, doc_ids: Sequence[str]) -> dict[str, DocumentVersion]:
        """Return the live version of each of `doc_ids` that has one."""
        with self.reading() as connection:
            return versions.find(connection, encoding_id, doc_ids)

    def restorable(self, encoding_id: str, doc_ids: Sequence[str]) -> dict[str, DocumentVersion]:
        """Return what each of `doc_ids` that is deleted and can be restored was before."""
        with self.reading() as connection:
            return versions.find_restorable(connection, encoding_id, doc_ids)

    def outputs(self, encoding_id: str) -> list[Outputs]:
        """Return the distinct outputs that live documents of an encoding have."""
        with self.reading() as connection:
            return versions.all_outputs(connection, encoding_id)

    def documents_under(
        self, encoding_id: str, uri_prefix: str = "", *, page: int = _PAGE
    ) -> Iterator[list[tuple[str, str]]]:
        """Yield `(doc_id, uri)` of the live documents whose uri begins with `uri_prefix`, in pages, by uri and id.

        Each page is a transaction of its own: documents may be deleted or moved between pages.
        """
        rows: list[tuple[str, str]] = []
        while True:
            with self.reading() as connection:
                rows = versions.page_after(connection, encoding_id, uri_prefix, rows[-1] if rows else None, rows=page)
            if rows:
                yield rows
            if len(rows) < page:
                return

    def commit_shard(self, result: ShardResult) -> None:
        """Make a shard's rows visible, all of them or none. Does nothing if the shard is committed already.

        A document that has a newer version in the catalog keeps it, and the shard's rows of it are hidden. Raises
        PolysemeError if a file of the shard is missing: a vacuum may remove it after its grace period.
        """
        with self.writing() as connection:
            if commits.is_committed(connection, result.shard.shard_key):
                return
            # Within the transaction: vacuum also removes files within one, so none can go between this and the commit.
            self._require_files(result.parts)
            dropped_encodings.require_kept(connection, result.shard.encoding_id)
            commits.commit(connection, result, at=_now(), longest=self.longest_key)
            runs.add_committed(connection, result.shard.run_id, result.counts)
            meta.raise_catalog_version(connection)

    def replace_parts(self, old: Sequence[Part], new: Part | None, *, moved: Iterable[tuple[str, int, str]]) -> bool:
        """Replace parts by the one they were merged into; None if it has no rows.

        Return False, and change nothing, if one of them is no longer live. `moved` are the `(doc_id, version, uri)`
        corrections that the new part contains.
        """
        with self.writing() as connection:
            if not part_rows.are_live(connection, old):
                return False
            if new is not None:
                self._require_files([new])
            shards = part_rows.shard_range(connection, old)
            part_rows.retire(connection, old, reason="compacted", at=_now())
            part_rows.add_merged(connection, new, old[0].encoding_id, moved, shards=shards)
            meta.raise_catalog_version(connection)
            return True

    def set_default_encoding(self, name: str) -> None:
        """Choose the encoding that the unsuffixed views show. Raises UsageError for a name that is not registered."""
        with self.writing() as connection:
            encodings.choose_default(connection, name)
            meta.raise_catalog_version(connection)

    def add_topics(self, encoding_id: str, fit: TopicFit) -> None:
        """Add a version of an encoding's topics; those before stay as they are.

        Raises PolysemeError if the encoding was dropped, or another version was added since the one before was read.
        """
        with self.writing() as connection:
            dropped_encodings.require_kept(connection, encoding_id)
            topics.add(connection, encoding_id, fit)
            meta.raise_catalog_version(connection)

    def drop_encoding(self, name: str) -> None:
        """Forget an encoding with all its documents, and retire its parts: vacuum removes their files.

        Raises UsageError for a name that is not registered and for the default encoding, PolysemeError if a run that
        encodes into it goes on.
        """
        with self.writing() as connection:
            dropped_encodings.drop(connection, name, at=_now())
            meta.raise_catalog_version(connection)

    def delete_documents(self, encoding_id: str, doc_ids: Sequence[str], *, version: int) -> int:
        """Hide documents that the run `version` found gone, unless their text is newer. Return how many were hidden."""
        with self.writing() as connection:
            deleted = commits.delete(connection, encoding_id, doc_ids, version=version, at=_now())
            if deleted:
                meta.raise_catalog_version(connection)
            return deleted

    def move_documents(self, encoding_id: str, moves: Iterable[tuple[str, str]]) -> int:
        """Give documents another uri, as `(doc_id, uri)`, without encoding them again. Return how many moved."""
        with self.writing() as connection:
            count = commits.move(connection, encoding_id, dict(moves))
            if count:
                meta.raise_catalog_version(connection)
            return count

    def held_back(self) -> tuple[HeldBack, ...]:
        """Return the deletions that runs held back, until a later run has settled them."""
        with self.reading() as connection:
            return held_back.read(connection)

    def replace_held_back(self, encoding_id: str, found: Sequence[HeldBack], *, judged: Callable[[str], bool]) -> None:
        """Record what a run held back, in place of the records of the sources that it has `judged`."""
        with self.writing() as connection:
            if held_back.replace(connection, encoding_id, found, judged=judged, at=_now()):
                meta.raise_catalog_version(connection)

    def record_rejects(self, run_id: str, found: Sequence[Reject]) -> None:
        """Add rejects of a run. A reject that is there already, as after a retry, is not added again."""
        with self.writing() as connection:
            rejects.add(connection, run_id, found, longest=self.longest_key)
            if found:
                meta.raise_catalog_version(connection)

    def retire_rejects(self, run_id: str, scanned: Callable[[str], bool]) -> None:
        """Drop the rejects of older runs at uris that this run has `scanned`: its own replace them."""
        with self.writing() as connection:
            if rejects.retire(connection, run_id, scanned):
                meta.raise_catalog_version(connection)

    def replace_skipped(self, run_id: str, settled: skipped_files.Settled) -> None:
        """Record which files a run skipped, as `settled` decides from the rows of other runs."""
        with self.writing() as connection:
            retired, found = settled(*skipped_files.others(connection, run_id))
            if skipped_files.replace(connection, run_id, found, retired=retired):
                meta.raise_catalog_version(connection)

    def totals(self, encoding_id: str) -> dict[str, int]:
        """Return how many live `documents` and `tokens`, `parts` and `bytes` an encoding has."""
        with self.reading() as connection:
            return read_totals(connection, encoding_id)

    def staleness(self) -> dict[str, Staleness]:
        """Return how many documents are stale, by encoding id."""
        with self.reading() as connection:
            return staleness(connection)

    def damaged_documents(self, encoding_id: str) -> dict[str, str]:
        """Return the uris of the documents that a repair marked in an encoding, by id."""
        with self.reading() as connection:
            return damaged_documents(connection, encoding_id)

    @property
    def lake_id(self) -> str:
        """The id of this lake, which no other has and which stays when the lake is moved."""
        with self.reading() as connection:
            return meta.lake_id(connection)

    @property
    def longest_key(self) -> int | None:
        """The most bytes of UTF-8 that a document's id and uri may have together; None if there is no limit."""
        return self._longest_key

    @property
    def version(self) -> int:
        """The number that every change of the catalog raises, but for signs of life of runs."""
        with self.reading() as connection:
            return meta.catalog_version(connection)

    @property
    def state(self) -> meta.State:
        """What tells the catalog as it is from what was or will be at this place: a version alone is not unique."""
        with self.reading() as connection:
            return meta.state(connection)

    def snapshot(self) -> Snapshot:
        """Return everything that readers need, from one read transaction."""
        with self.reading() as connection:
            return take_snapshot(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a read transaction (one snapshot)."""
        with reading(self._engine) as connection:
            yield connection

    @contextmanager
    def writing(self, *, patience: float | None = None) -> Iterator[Connection]:
        """Open the write transaction, one at a time; it commits at the end and rolls back on any exception."""
        with writing(self._engine, patience=self._patience if patience is None else patience) as connection:
            yield connection

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Hold the publishing lock, one at a time on all machines; readers and writers go on."""
        with publishing(self._engine, patience=self._patience):
            yield

    def _require_files(self, parts: Iterable[Part]) -> None:
        missing = self.lake.files.missing([part.path for part in parts])
        if missing:
            raise PolysemeError(
                f"{missing[0]} vanished from {self.lake.root} before it was committed; a vacuum may have removed it "
                "after its grace period. Nothing was committed; run the same command again."
            )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
