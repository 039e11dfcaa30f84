"""What a run is asked to do: the request of `embed`, and the job that it or a backfill becomes.

Without Prefect or PyTorch, so that a command knows what there is to do before either is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from polyseme.flows.observation.facts import Kind
from polyseme.flows.runs.runners import Runner
from polyseme.flows.settings import lake_at
from polyseme.storage.catalog_url import refuse_password
from polyseme.storage.encoding_names import check_name
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake, refuse_secrets
from polyseme.storage.records import Outputs
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.patterns import Patterns
from polyseme.tasks.reading.resolving import names, refuse_credentials, resolve
from polyseme.tasks.reading.source import Source
from polyseme.tasks.reading.sources import list_sources, read_sources
from polyseme.tasks.shards.deletion_guard import DeletionLimit
from polyseme.tasks.shards.known_sources import known_to

if TYPE_CHECKING:
    from polyseme.storage.catalog import Catalog
    from polyseme.tasks.shards.scan import Item, Scan


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest:
    """What to embed and how. Plain values, so that a deployment can carry it as parameters.

    `catalog` is the database of the lake's catalog, if the lake does not know it yet: without a password, since Prefect
    shows parameters. `delete` hides documents that the sources no longer yield, of each source no more than
    `delete_limit`, a share such as `35%` or a number; `limit` stops after so many documents and never deletes. `name`
    is the name of a new encoding, `stdin_name` that of standard input. Files that `patterns` leave out are no part of
    the run.
    """

    sources: list[str]
    lake: str = "lake"
    catalog: str | None = None
    engine: EngineConfig = field(default_factory=EngineConfig)
    outputs: Outputs = field(default_factory=Outputs)
    reading: ReadOptions = field(default_factory=ReadOptions)
    limit: int | None = None
    delete: bool = True
    delete_limit: str | int | None = None
    stdin_name: str | None = None
    patterns: Patterns = field(default_factory=Patterns)
    name: str | None = None
    runner: Runner = field(default_factory=Runner)

    def __post_init__(self) -> None:
        check_name(self.name) if self.name else None
        refuse_credentials(self.sources)
        refuse_secrets(self.lake)
        if not self.sources:
            raise UsageError("Nothing to embed: name at least one file, folder, glob or - for standard input.")
        refuse_password(self.catalog)
        DeletionLimit.parse(self.delete_limit)
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit must be at least 1, got {self.limit}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run over some selection: where its documents come from, and what to do once they are committed.

    `sources` is what the view `runs` shows, with whole paths, `places` the files and folders that are read, `scanned`
    the same resolved; None for documents of the lake itself. `items` is given the catalog of the run or of its plan;
    with a `limit` it yields no files, so that documents can be counted.
    """

    lake: Lake
    engine: EngineConfig
    outputs: Outputs
    sources: list[str]
    places: list[str]
    items: Callable[[Catalog], Iterator[Item]]
    scanned: Sequence[Source] | None = None
    limit: int | None = None
    settle: Callable[[Scan], None] = lambda scan: None
    name: str | None = None
    runner: Runner = field(default_factory=Runner)
    kind: Kind = "embed"

    @property
    def absent(self) -> tuple[str, ...]:
        """What is not there of the sources."""
        return tuple(source.away for source in self.scanned or () if source.absent)


def embed_job(request: EmbedRequest, *, dry_run: bool = False) -> Job:
    """Resolve a request into a job, without a change of the lake for a dry run.

    Raises UsageError for a source that cannot be read.
    """
    lake = lake_at(request.lake, request.catalog)
    sources = resolve(
        request.sources,
        lake=lake,
        known=known_to(lake, dry_run=dry_run),
        stdin_name=request.stdin_name,
        patterns=request.patterns,
    )
    delete_limit = DeletionLimit.parse(request.delete_limit)

    def items(catalog: Catalog) -> Iterator[Item]:
        found = list_sources if request.limit is None else read_sources
        return found(sources, request.reading, stdin=sys.stdin.buffer)

    def settle(scan: Scan) -> None:
        if request.limit is None:
            scan.retire_rejects(sources)
            scan.record_skipped(sources)
            if request.delete:
                scan.delete_gone(sources, delete_limit)

    return Job(
        lake=lake,
        engine=request.engine,
        outputs=request.outputs,
        sources=names(sources),
        places=request.sources,
        items=items,
        scanned=sources,
        limit=request.limit,
        settle=settle,
        name=request.name,
        runner=request.runner,
    )
