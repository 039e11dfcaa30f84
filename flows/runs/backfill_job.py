"""What a backfill is asked to do: its request, the documents it selects, and the settings that repeat an encoding.

Without Prefect or PyTorch, as `job`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from polyseme.flows.runs.continued import continued
from polyseme.flows.runs.job import Job
from polyseme.flows.runs.runners import Runner
from polyseme.flows.settings import lake_at
from polyseme.storage.catalog import Catalog
from polyseme.storage.catalog_url import refuse_password
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.encoding_names import check_name
from polyseme.storage.errors import MissingLakeError, ModelError, UsageError
from polyseme.storage.lake import Lake, refuse_secrets
from polyseme.storage.records import ENCODING_SCHEMES, Device, Document, Outputs, Reject
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference.lake_model import config_like, place_of
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.patterns import Patterns
from polyseme.tasks.reading.resolving import names, refuse_credentials, resolve
from polyseme.tasks.reading.skipped import Skipped
from polyseme.tasks.reading.sources import read_sources

if TYPE_CHECKING:
    from polyseme.storage.sql.selection import Selection

LEAST = Outputs("sentences", None, nsp=False)
"""Adds nothing to a document that the encoding holds already, since outputs only ever grow: it keeps what it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRequest:
    """What to encode again and how. Plain values, so that a deployment can carry it as parameters.

    Without `sources` the texts are those of the encoding `texts_of`, the lake's default for None, chosen by `where`, a
    SQL condition on `documents`, and `since`, when they were ingested. `damaged` selects only what a repair marked,
    `lacking` only documents with this word or phrase in their text that have no vectors of it.
    """

    lake: str = "lake"
    catalog: str | None = None
    engine: EngineConfig = field(default_factory=EngineConfig)
    outputs: Outputs = field(default_factory=Outputs)
    sources: list[str] = field(default_factory=list)
    texts_of: str | None = None
    where: str | None = None
    since: datetime | None = None
    damaged: bool = False
    lacking: str | None = None
    name: str | None = None
    reading: ReadOptions = field(default_factory=ReadOptions)
    patterns: Patterns = field(default_factory=Patterns)
    limit: int | None = None
    runner: Runner = field(default_factory=Runner)

    def __post_init__(self) -> None:
        check_name(self.name) if self.name else None
        refuse_credentials(self.sources)
        refuse_secrets(self.lake)
        refuse_password(self.catalog)
        if self.sources and (self.where is not None or self.since or self.texts_of or self.lacking):
            raise UsageError(
                "--where, --since and --from choose among the lake's own documents, SOURCE reads others. Give one kind."
            )
        if self.patterns and not self.sources:
            raise UsageError("--include and --exclude choose among the files of SOURCE, which is missing. Use --where.")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit must be at least 1, got {self.limit}.")

    @property
    def label(self) -> str:
        """What the view `runs` shows as the sources of a run over the lake's own documents."""
        chosen = [f"since {self.since:%Y-%m-%d %H:%M}" if self.since else "", self.where or ""]
        chosen += ["damaged" if self.damaged else "", f"without vectors of {self.lacking}" if self.lacking else ""]
        return " and ".join(["lake", *filter(None, chosen)])


def backfill_job(request: BackfillRequest, *, dry_run: bool = False) -> Job:
    """Resolve a request into a job, without a change of the lake for a dry run.

    Raises UsageError for a source that cannot be read, for an encoding that the lake does not have and for what is not
    a condition: no run is recorded of a mistake.
    """
    lake = lake_at(request.lake, request.catalog)
    request = replace(request, engine=_continued(lake, request, dry_run=dry_run))
    _check(lake, request, dry_run=dry_run)
    scanned = resolve(request.sources, lake=lake, patterns=request.patterns) if request.sources else None
    return Job(
        lake=lake,
        engine=request.engine,
        outputs=request.outputs,
        sources=[request.label] if scanned is None else names(scanned),
        places=request.sources,
        items=lambda catalog: documents(catalog, request),
        scanned=scanned,
        limit=request.limit,
        name=request.name,
        runner=request.runner,
        kind="backfill",
    )


def _continued(lake: Lake, request: BackfillRequest, *, dry_run: bool) -> EngineConfig:
    try:
        with Catalog.opened(lake, dry_run=dry_run) as catalog:
            known, default = catalog.encodings(), catalog.default_encoding()
    except MissingLakeError:
        return request.engine
    return continued(request.engine, known, default=default, name=request.name)


def _check(lake: Lake, request: BackfillRequest, *, dry_run: bool) -> None:
    if not request.sources:
        from polyseme.storage.sql.selection import check_selection

        with Catalog.opened(lake, dry_run=dry_run) as catalog:
            check_selection(catalog, _selection(request))


def _selection(request: BackfillRequest) -> Selection:
    from polyseme.storage.sql.selection import Selection

    return Selection(
        encoding=request.texts_of,
        where=request.where,
        since=request.since,
        damaged_in=shared_engine(request.engine).spec.encoding_id if request.damaged else None,
        lacking=request.lacking,
    )


def documents(catalog: Catalog, request: BackfillRequest) -> Iterator[Document | Reject | Skipped]:
    """Yield the selected documents."""
    from polyseme.storage.sql.selection import select_documents

    if not request.sources:
        yield from select_documents(catalog, _selection(request))
        return
    sources = resolve(request.sources, lake=catalog.lake, patterns=request.patterns)
    found = read_sources(sources, request.reading, stdin=sys.stdin.buffer)
    marked = catalog.damaged_documents(shared_engine(request.engine).spec.encoding_id) if request.damaged else None
    yield from found if marked is None else (d for d in found if isinstance(d, Document) and d.doc_id in marked)


def config_of(encoding: Encoding, device: Device, *, model: str | None = None) -> EngineConfig:
    """Return the settings that encode as an encoding of the lake was; `model` is where its checkpoint is now.

    Raises ModelError if the checkpoint, or anything else that fixes a vector, has changed.
    """
    spec, why = encoding.spec, ""
    for place in filter(None, (model, place_of(spec))):
        config = config_like(spec, model=place, device=device, precision=spec.precision)
        try:
            if shared_engine(config).spec.encoding_id == encoding.encoding_id:
                return config
            changed = spec.scheme != ENCODING_SCHEMES[spec.context]
            why = (
                f"Polyseme makes the windows of --context {spec.context} otherwise since."
                if changed
                else f"the checkpoint at {place} gives other vectors now."
            )
        except ModelError as error:
            why = str(error)
    raise ModelError(
        f"Encoding {encoding.name} cannot be repeated as it was: {why} Name the place of its checkpoint {spec.model!r} "
        "with --encoding and --model, or begin another encoding with --model alone."
    )
