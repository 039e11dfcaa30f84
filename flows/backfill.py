"""backfill: documents that the lake already holds, encoded again or in another encoding, as a Prefect flow.

The body of `embed_corpus` over another selection. Texts come from the lake itself, or from their sources where some are
named; nothing is ever deleted. Safe next to scheduled runs: a text read by a later run always wins.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from prefect import flow

from flows.embed import AS_A_FLOW, Job, carry_out
from flows.report import RunReport
from flows.runners import Runner
from storage.catalog import Catalog
from storage.errors import UsageError
from storage.lake import Lake
from storage.records import Document, Outputs, Reject
from tasks.documents import ReadOptions
from tasks.engine import EngineConfig
from tasks.sources import read_sources, resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRequest:
    """What to encode again and how. Plain values, so that a deployment can carry it as parameters.

    Without `sources` the texts are those of the encoding `texts_of`, the lake's default for None, chosen by `where`, a
    SQL condition on `documents`, and `since`, when they were ingested.
    """

    lake: str = "lake"
    engine: EngineConfig = field(default_factory=EngineConfig)
    outputs: Outputs = field(default_factory=Outputs)
    sources: list[str] = field(default_factory=list)
    texts_of: str | None = None
    where: str | None = None
    since: datetime | None = None
    reading: ReadOptions = field(default_factory=ReadOptions)
    limit: int | None = None
    runner: Runner = field(default_factory=Runner)

    def __post_init__(self) -> None:
        if self.sources and (self.where or self.since or self.texts_of):
            raise UsageError(
                "--where, --since and --from choose among the lake's own documents, SOURCE reads others. Give one kind."
            )
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit must be at least 1, got {self.limit}.")

    @property
    def label(self) -> list[str]:
        """What `runs` shows as the run's sources."""
        chosen = [f"since {self.since:%Y-%m-%d %H:%M}" if self.since else "", self.where or ""]
        return self.sources or [" and ".join(["lake", *filter(None, chosen)])]


@flow(name="backfill", **AS_A_FLOW)
def backfill(request: BackfillRequest) -> RunReport:
    """Encode what of the selection is not up to date in the encoding. Running it again changes nothing.

    Raises PolysemeError where shards failed after their retries; what was committed before stays, and the same request
    goes on from there.
    """
    lake = Lake(Path(request.lake))
    return carry_out(
        Job(
            lake=lake,
            engine=request.engine,
            outputs=request.outputs,
            sources=request.label,
            items=lambda: documents(lake, request),
            limit=request.limit,
            runner=request.runner,
        )
    )


def documents(lake: Lake, request: BackfillRequest) -> Iterator[Document | Reject]:
    """Yield the selected documents."""
    if request.sources:
        yield from read_sources(resolve(request.sources), request.reading, stdin=sys.stdin.buffer)
        return
    from storage.selection import Selection, select_documents

    selection = Selection(encoding=request.texts_of, where=request.where, since=request.since)
    with Catalog.open(lake) as catalog:
        yield from select_documents(catalog, selection)
