"""Catalog: the SQL database that says which parts and which version of each document are live.

The truth about the lake, and the place where commits, fences and skip-lookups are transactions. Knows files only by
their relative path, and never opens one. Safe to share between threads; a forked process opens its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from sqlalchemy import Connection, Engine, delete, insert, inspect, select, tuple_, update
from sqlalchemy.exc import DatabaseError

from storage import commits, swaps
from storage.catalog_schema import (
    COUNT_COLUMNS,
    FORMAT_VERSION,
    document_versions,
    encodings,
    meta,
    metadata,
    rejects,
    runs,
)
from storage.catalog_url import place_of
from storage.commits import CommitOutcome
from storage.errors import LakeError, PolysemeError, UsageError
from storage.lake import Lake
from storage.marker import catalog_of, check_pair, no_lake, read_marker, remember
from storage.migrations import check_format, format_of, migrate
from storage.naming import check_name, encoding_name
from storage.records import Counts, DocumentVersion, EncodingSpec, Fidelity, Outputs, Part, Reject, ShardResult
from storage.snapshot import FIDELITY, Encoding, Snapshot, read_encodings, read_totals, take_snapshot
from storage.transactions import PATIENCE_SECONDS, open_engine, publishing, reading, writing

_PAGE = 1000


class Catalog:
    """An open catalog. Use it as a context manager, or `close` it."""

    def __init__(self, lake: Lake, engine: Engine, *, patience: float) -> None:
        self.lake = lake
        self._engine = engine
        self._patience = patience

    @staticmethod
    def create_or_open(lake: Lake, *, patience: float = PATIENCE_SECONDS) -> Catalog:
        """Open the lake's catalog and make what is missing of it. Raises LakeError."""
        lake.create()
        marker = read_marker(lake)
        catalog = Catalog(lake, open_engine(catalog_of(lake, marker), patience=patience), patience=patience)
        with catalog._explained():
            with catalog.writing() as connection:
                if marker is None and not inspect(connection).has_table(meta.name):
                    _create(connection)
                check_pair(connection, lake, marker)
                migrate(connection, place=str(lake.root))
                lake_id = connection.execute(select(meta.c.value).where(meta.c.key == "lake_id")).scalar_one()
            remember(lake, marker, lake_id, catalog._engine.url)
        return catalog

    @staticmethod
    def open(lake: Lake, *, patience: float = PATIENCE_SECONDS) -> Catalog:
        """Open the catalog of an existing lake. Raises LakeError where there is none that this Polyseme can read."""
        marker = read_marker(lake)
        url = catalog_of(lake, marker)
        if url.drivername == "sqlite" and not Path(str(url.database)).is_file():
            raise no_lake(lake, url)
        catalog = Catalog(lake, open_engine(url, patience=patience), patience=patience)
        with catalog._explained():
            with catalog.reading() as connection:
                check_pair(connection, lake, marker)
                written = format_of(connection)
            check_format(written, place=str(lake.root))
            if written != FORMAT_VERSION:
                with catalog.writing() as connection:
                    migrate(connection, place=str(lake.root))
        return catalog

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def register_encoding(self, spec: EncodingSpec, *, name: str | None = None) -> str:
        """Return the encoding's name, registering it first where it is new. The first one becomes the default.

        Raises UsageError where `name` is malformed, belongs to another encoding, or this one has another.
        """
        with self.writing() as connection:
            known = {e.name: e.encoding_id for e in read_encodings(connection)}
            registered = next((n for n, encoding_id in known.items() if encoding_id == spec.encoding_id), None)
            if registered is not None:
                if name not in (None, registered):
                    raise UsageError(f"This encoding is named {registered!r} already. Leave the other name out.")
                return registered
            if name in known:
                raise UsageError(f"The name {name!r} belongs to encoding {known[name]}. Choose another.")
            chosen = check_name(name) if name else encoding_name(spec, taken=known)
            connection.execute(
                insert(encodings).values(
                    encoding_id=spec.encoding_id,
                    name=chosen,
                    spec=json.dumps(asdict(spec), sort_keys=True),
                    width=spec.width,
                    created_at=_now(),
                )
            )
            if not known:
                connection.execute(insert(meta).values(key="default_encoding", value=spec.encoding_id))
            advance(connection, "catalog_version")
            return chosen

    def encodings(self) -> tuple[Encoding, ...]:
        """Return every registered encoding, oldest first."""
        with self.reading() as connection:
            return read_encodings(connection)

    def record_fidelity(self, encoding_id: str, fidelity: Fidelity) -> None:
        """Keep what was measured of an encoding. What an earlier run or another process kept stays."""
        key = FIDELITY + encoding_id
        with self.writing() as connection:
            if connection.scalar(select(meta.c.key).where(meta.c.key == key)) is None:
                connection.execute(insert(meta).values(key=key, value=json.dumps(asdict(fidelity), sort_keys=True)))
                advance(connection, "catalog_version")

    def begin_run(self, run_id: str, encoding_id: str, sources: Sequence[str], flow_run_id: str | None = None) -> int:
        """Record a run and return its ordinal, greater than any before. A second attempt needs a new `run_id`."""
        with self.writing() as connection:
            if connection.scalar(select(runs.c.ordinal).where(runs.c.run_id == run_id)) is not None:
                raise PolysemeError(f"Run {run_id!r} has already begun in {self.lake.root}. Begin it under a new id.")
            ordinal = advance(connection, "last_ordinal")
            connection.execute(
                insert(runs).values(
                    run_id=run_id,
                    ordinal=ordinal,
                    flow_run_id=flow_run_id,
                    encoding_id=encoding_id,
                    sources=json.dumps(list(sources)),
                    state="running",
                    started_at=_now(),
                )
            )
            advance(connection, "catalog_version")
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
        """Record how a run ended and what it did."""
        values = {name: getattr(counts, name) for name in COUNT_COLUMNS}
        values |= {"skipped": skipped, "deleted": deleted, "rejected": rejected}
        values |= {"seconds": json.dumps(counts.seconds, sort_keys=True), "error": error}
        with self.writing() as connection:
            ended = update(runs).where(runs.c.run_id == run_id).values(state=state, finished_at=_now(), **values)
            if not connection.execute(ended).rowcount:
                raise PolysemeError(f"Run {run_id!r} never began in {self.lake.root}. Call begin_run first.")
            advance(connection, "catalog_version")

    def lookup(self, encoding_id: str, doc_ids: Sequence[str]) -> dict[str, DocumentVersion]:
        """Return the live version of each of `doc_ids` that has one."""
        d = document_versions.c
        columns = (d.doc_id, d.uri, d.version, d.record_sha256, d.outputs, d.n_tokens, d.text_version)
        query = select(*columns).where(d.encoding_id == encoding_id, d.deleted.is_(False))
        with self.reading() as connection:
            return {
                doc_id: DocumentVersion(
                    doc_id=doc_id,
                    uri=uri,
                    version=version,
                    record_sha256=record_sha256,
                    outputs=_outputs(outputs),
                    n_tokens=n_tokens,
                    text_version=None if text_version == version else text_version,
                )
                for ids in commits.chunks(doc_ids)
                for doc_id, uri, version, record_sha256, outputs, n_tokens, text_version in connection.execute(
                    query.where(d.doc_id.in_(ids))
                ).all()
            }

    def outputs(self, encoding_id: str) -> list[Outputs]:
        """Return every different outputs that live documents of an encoding have."""
        d = document_versions.c
        query = select(d.outputs).where(d.encoding_id == encoding_id, d.deleted.is_(False)).distinct()
        with self.reading() as connection:
            return [_outputs(text) for text in connection.scalars(query)]

    def documents_under(
        self, encoding_id: str, uri_prefix: str = "", *, page: int = _PAGE
    ) -> Iterator[list[tuple[str, str]]]:
        """Yield `(doc_id, uri)` of live documents whose uri begins so, in pages, by uri and id.

        Each page is a transaction of its own: documents may be deleted or moved on the way.
        """
        d = document_versions.c
        here = select(d.doc_id, d.uri).where(d.encoding_id == encoding_id, d.deleted.is_(False))
        if uri_prefix:
            here = here.where(d.uri >= uri_prefix, d.uri < uri_prefix + "\U0010ffff")
        here = here.order_by(d.uri, d.doc_id).limit(page)
        query = here
        while True:
            with self.reading() as connection:
                rows = [(doc_id, uri) for doc_id, uri in connection.execute(query).all()]
            if rows:
                yield rows
            if len(rows) < page:
                return
            doc_id, uri = rows[-1]
            query = here.where(tuple_(d.uri, d.doc_id) > tuple_(uri, doc_id))

    def commit_shard(self, result: ShardResult) -> CommitOutcome:
        """Make a shard's rows visible, all of them or none. A shard that is committed already changes nothing.

        A document whose version in the catalog is newer keeps it, and our rows of it are hidden. Raises PolysemeError
        where a vacuum took the shard's files for garbage, as it may when a process was stopped for days.
        """
        with self.writing() as connection:
            if commits.is_committed(connection, result.shard.shard_key):
                return CommitOutcome(already_committed=True)
            # Within the transaction: vacuum removes files within one too, so none can go between this and the commit.
            self._require_files(result.parts)
            outcome = commits.commit(connection, result, at=_now())
            advance(connection, "catalog_version")
            return outcome

    def replace_parts(self, old: Sequence[Part], new: Part | None, *, moved: Iterable[tuple[str, int, str]]) -> bool:
        """Let `new` stand for the parts it was merged from; False, and nothing changed, where one is no longer live.

        `moved` are the `(doc_id, version, uri)` corrections that the new part has taken in.
        """
        with self.writing() as connection:
            if not swaps.are_live(connection, old):
                return False
            if new is not None:
                self._require_files([new])
            swaps.retire(connection, old, reason="compacted", at=_now())
            swaps.add(connection, new, old[0].encoding_id, moved)
            advance(connection, "catalog_version")
            return True

    def set_default_encoding(self, name: str) -> None:
        """Choose the encoding that the unsuffixed views show. Raises UsageError for a name that is not registered."""
        with self.writing() as connection:
            known = {e.name: e.encoding_id for e in read_encodings(connection)}
            if name not in known:
                raise UsageError(f"No encoding is named {name!r}; there are: {', '.join(known) or 'none yet'}.")
            connection.execute(update(meta).where(meta.c.key == "default_encoding").values(value=known[name]))
            advance(connection, "catalog_version")

    def delete_documents(self, encoding_id: str, doc_ids: Sequence[str], *, version: int) -> int:
        """Hide documents that `version` found gone, unless a newer version came. Return how many were hidden."""
        with self.writing() as connection:
            deleted = commits.delete(connection, encoding_id, doc_ids, version=version)
            if deleted:
                advance(connection, "catalog_version")
            return deleted

    def move_documents(self, encoding_id: str, moves: Iterable[tuple[str, str]]) -> int:
        """Give documents, by `(doc_id, uri)`, another uri without encoding them again. Return how many moved."""
        with self.writing() as connection:
            count = commits.move(connection, encoding_id, dict(moves))
            if count:
                advance(connection, "catalog_version")
            return count

    def record_rejects(self, run_id: str, found: Sequence[Reject]) -> None:
        """Add rejects of a run, a batch at a time; the same one again, as after a retry, is not added."""
        with self.writing() as connection:
            commits.add_rejects(connection, run_id, found)
            if found:
                advance(connection, "catalog_version")

    def retire_rejects(self, run_id: str, scanned: Callable[[str], bool]) -> None:
        """Drop what older runs rejected at uris that this run has `scanned`: what it rejects there is what counts."""
        with self.writing() as connection:
            ordinal = select(runs.c.ordinal).where(runs.c.run_id == run_id).scalar_subquery()
            older = rejects.c.run_id.in_(select(runs.c.run_id).where(runs.c.ordinal < ordinal))
            retired = [uri for uri in connection.scalars(select(rejects.c.uri).where(older).distinct()) if scanned(uri)]
            for some in commits.chunks(retired):
                connection.execute(delete(rejects).where(older, rejects.c.uri.in_(some)))
            if retired:
                advance(connection, "catalog_version")

    def totals(self, encoding_id: str) -> dict[str, int]:
        """Return the `documents`, `tokens`, `parts` and `bytes` of an encoding."""
        with self.reading() as connection:
            return read_totals(connection, encoding_id)

    @property
    def lake_id(self) -> str:
        """What tells this lake from every other, wherever it is moved."""
        with self.reading() as connection:
            return str(connection.scalar(select(meta.c.value).where(meta.c.key == "lake_id")))

    @property
    def version(self) -> int:
        """The number that every change of the catalog raises."""
        with self.reading() as connection:
            return int(connection.execute(select(meta.c.value).where(meta.c.key == "catalog_version")).scalar_one())

    def snapshot(self) -> Snapshot:
        """Return one consistent picture of everything that readers need."""
        with self.reading() as connection:
            return take_snapshot(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Hold one consistent picture of the catalog."""
        with reading(self._engine) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Hold the right to write alone; committed at the end, rolled back on any exception."""
        with writing(self._engine, patience=self._patience) as connection:
            yield connection

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Hold the right to publish alone."""
        with publishing(self._engine, patience=self._patience):
            yield

    def _require_files(self, parts: Iterable[Part]) -> None:
        missing = self.lake.files.missing([part.path for part in parts])
        if missing:
            raise PolysemeError(
                f"{missing[0]} vanished from {self.lake.root} before it was committed; a vacuum may have taken it for "
                "garbage after its grace period. Nothing was committed; run the same command again."
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what goes wrong while opening into a LakeError, and leave no connection behind."""
        try:
            yield
        except DatabaseError as e:
            self.close()
            raise LakeError(
                f"Cannot read the catalog of {self.lake.root}, {place_of(self._engine.url)}: {e.orig}. See that it is "
                "Polyseme's and that you may use it. Restore it from a copy where it is damaged."
            ) from e
        except BaseException:
            self.close()
            raise


def _create(connection: Connection) -> None:
    metadata.create_all(connection)
    first = {"format_version": FORMAT_VERSION, "lake_id": uuid4(), "catalog_version": 0, "last_ordinal": 0}
    connection.execute(insert(meta), [{"key": key, "value": str(value)} for key, value in first.items()])


def advance(connection: Connection, counter: str) -> int:
    """Raise a counter in `meta` by one and return it."""
    value = 1 + int(connection.scalars(select(meta.c.value).where(meta.c.key == counter)).one())
    connection.execute(update(meta).where(meta.c.key == counter).values(value=str(value)))
    return value


@lru_cache(maxsize=256)
def _outputs(text: str) -> Outputs:
    return Outputs.from_json(text)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
