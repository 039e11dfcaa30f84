"""Facts about a run, or about maintenance, as plain values: what is known when it begins, and how it ended.

Names, addresses and counts; no text of a document, no credentials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, Protocol

from polyseme.storage.records import Counts, EncodingSpec, Shard, ShardResult
from polyseme.tasks.shards.tally import Tally

Kind = Literal["embed", "backfill"]
MaintenanceKind = Literal["compact", "vacuum", "restore", "repair"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A place that a run reads, by its kind: a path, a pattern, an address, or what standard input was called."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegun:
    """A run that begins. `lake` is its absolute path or its URL, `sources` is empty if the lake itself is read.

    `tables` are those that the run may write, `encoding` is the encoding's name.
    """

    run_id: str
    kind: Kind
    at: datetime
    lake: str
    lake_id: str
    encoding: str
    spec: EncodingSpec
    tables: tuple[str, ...]
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """How a run ended: `state` is completed, held-back, failed or cancelled, `error` why it is not completed.

    `held_back` counts deletions that were not made, `refused` rejected records by code. `flow_run_id` and `flow` are
    those of Prefect's flow run, if there was one.
    """

    state: str
    at: datetime
    counts: Counts
    tally: Tally
    shards: int
    seconds: float
    error: str | None = None
    held_back: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    flow_run_id: str | None = None
    flow: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceBegun:
    """Maintenance of a lake that begins. `id` is a UUID of its own, since a catalog records none.

    `lake` is its absolute path or its URL; `flow_run_id` and `flow` are those of Prefect's flow run, if there is one.
    """

    id: str
    kind: MaintenanceKind
    at: datetime
    lake: str
    lake_id: str
    flow_run_id: str | None = None
    flow: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedTable:
    """A table of one encoding that maintenance changed, and what it wrote of it: nothing, or merged parts."""

    table: str
    encoding_id: str
    width: int
    rows: int = 0
    bytes: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceEnded:
    """How maintenance ended: `state` is completed, failed or cancelled, `error` why it is not completed.

    `counts` are of what it did, under names of its kind.
    """

    state: str
    at: datetime
    seconds: float
    tables: Sequence[ChangedTable] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None


def installed_version() -> str:
    """Return the version of the installed distribution; 0 where the code runs from its folder."""
    try:
        return version("polyseme")
    except PackageNotFoundError:
        return "0"


class Observer(Protocol):
    """What is told about one run. Calls come from one thread, in this order; whatever one raises is logged once."""

    def submitted(self, shard: Shard) -> None:
        """A shard was sent to be encoded."""

    def committed(self, result: ShardResult) -> None:
        """A shard is committed."""

    def failed(self, shard: Shard) -> None:
        """A shard failed after its retries."""

    def scanned(self, seconds: float) -> None:
        """The scan has ended, so long after the run began."""

    def published(self, seconds: float) -> None:
        """The lake was published, which took so long."""

    def ended(self, end: RunEnded) -> None:
        """The run ended."""

    def close(self, seconds: float) -> bool:
        """Deliver what is left, within so many seconds; return whether everything was delivered."""


class MaintenanceObserver(Protocol):
    """What is told how maintenance ended. Calls come from one thread; whatever one raises is logged once."""

    def ended(self, end: MaintenanceEnded) -> None:
        """Maintenance ended."""

    def close(self, seconds: float) -> bool:
        """Deliver what is left, within so many seconds; return whether everything was delivered."""
