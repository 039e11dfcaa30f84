"""Events: their names, resource ids and payloads, and how they are sent.

Events are hints, at most once: one that is sent while the server is down is lost, and `reconcile` closes the gap. They
carry ids, addresses and counts, never text, and announce only what has been committed. `docs/events.md` is the
reference for those who send or receive them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from polyseme.flows.runs.run_report import RunReport
    from polyseme.storage.database.encodings import Encoding

URIS_IN_AN_EVENT = 100
_NAMESPACE = UUID("6a0c4f3e-8f4e-5c0b-9a55-6f1d3c2b7e10")


class Payload(Protocol):
    """What every kind of event has: a name, a resource that it is about, and fields that are its payload."""

    name: ClassVar[str]

    @property
    def resource_id(self) -> str: ...

    @property
    def related(self) -> list[tuple[str, str]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChanged:
    """Files of a corpus arrived, changed or went; or may have, since a watcher was not running (`watch-started`).

    `uris` are the addresses of the first hundred of `files`.
    """

    name: ClassVar[str] = "polyseme.source.changed"
    corpus: str
    reason: Literal["files-settled", "watch-started"]
    files: int = 0
    uris: tuple[str, ...] = ()

    @property
    def resource_id(self) -> str:
        return f"polyseme.corpus.{self.corpus}"

    @property
    def related(self) -> list[tuple[str, str]]:
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommitted:
    """A run changed what readers of a lake see. `state` is completed, held-back, or failed if shards did.

    `rounded` of the documents were not encoded: their vectors are those of an encoding with more bits.
    """

    name: ClassVar[str] = "polyseme.run.committed"
    run_id: str
    lake: str
    lake_id: str
    encoding: str
    encoding_id: str
    state: str
    documents: int
    deleted: int
    tokens: int
    rounded: int = 0

    @property
    def resource_id(self) -> str:
        return f"polyseme.run.{self.run_id}"

    @property
    def related(self) -> list[tuple[str, str]]:
        return [("lake", f"polyseme.lake.{self.lake_id}"), ("encoding", f"polyseme.encoding.{self.encoding_id}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentsRejected:
    """A run refused input: how many records, by code. One event a run; the view `rejects` has each with its reason."""

    name: ClassVar[str] = "polyseme.document.rejected"
    run_id: str
    lake: str
    lake_id: str
    rejected: int
    codes: dict[str, int]

    @property
    def resource_id(self) -> str:
        return f"polyseme.run.{self.run_id}"

    @property
    def related(self) -> list[tuple[str, str]]:
        return [("lake", f"polyseme.lake.{self.lake_id}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentsHeldBack:
    """A run did not hide documents that a source no longer yields, because they were too many.

    `uris` are a few of their addresses; `confirm_with` is the least `--delete-limit` that hides them.
    """

    name: ClassVar[str] = "polyseme.document.held-back"
    run_id: str
    lake: str
    lake_id: str
    source: str
    reason: str
    documents: int
    had: int
    uris: tuple[str, ...]
    confirm_with: str

    @property
    def resource_id(self) -> str:
        return f"polyseme.run.{self.run_id}"

    @property
    def related(self) -> list[tuple[str, str]]:
        return [("lake", f"polyseme.lake.{self.lake_id}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingChanged:
    """A lake got a new encoding: its first one, or one of another model or other settings."""

    name: ClassVar[str] = "polyseme.encoding.changed"
    run_id: str
    lake: str
    lake_id: str
    encoding: str
    encoding_id: str
    previous: str | None

    @property
    def resource_id(self) -> str:
        return f"polyseme.encoding.{self.encoding_id}"

    @property
    def related(self) -> list[tuple[str, str]]:
        return [("lake", f"polyseme.lake.{self.lake_id}"), ("run", f"polyseme.run.{self.run_id}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoherenceBreak:
    """A document that a run committed has breaks: after which sentences, and the least margin of those steps."""

    name: ClassVar[str] = "polyseme.coherence.break"
    run_id: str
    lake: str
    lake_id: str
    doc_id: str
    after_sentences: tuple[int, ...]
    worst_margin: float

    @property
    def resource_id(self) -> str:
        return f"polyseme.document.{hashlib.sha256(self.doc_id.encode()).hexdigest()[:16]}"

    @property
    def related(self) -> list[tuple[str, str]]:
        return [("lake", f"polyseme.lake.{self.lake_id}"), ("run", f"polyseme.run.{self.run_id}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAdapted:
    """A model was adapted to a corpus and written to its folder. `start` is None if it began with random weights.

    `fingerprint` is that of weights and configuration, as in encodings. `before` and `after` are held-out figures.
    """

    name: ClassVar[str] = "polyseme.model.adapted"
    model: str
    fingerprint: str
    start: str | None
    documents: int
    held_out_documents: int
    steps: int
    tokens: int
    before: dict[str, float]
    after: dict[str, float]

    @property
    def resource_id(self) -> str:
        return f"polyseme.model.{self.fingerprint[:16]}"

    @property
    def related(self) -> list[tuple[str, str]]:
        return []


KINDS: tuple[type[Payload], ...] = (
    SourceChanged, RunCommitted, DocumentsRejected, DocumentsHeldBack, EncodingChanged, CoherenceBreak, ModelAdapted,
)  # fmt: skip


def as_event(payload: Payload, *, occurred: datetime, event_id: UUID | None = None) -> dict[str, Any]:
    """Return the event as Prefect's API takes it.

    `occurred` is when it is sent: a debounced trigger ignores what happened before its last window.
    """
    event = {
        "event": payload.name,
        "occurred": occurred.isoformat(),
        "resource": {"prefect.resource.id": payload.resource_id},
        "related": _related(payload),
        "payload": asdict(payload),  # type: ignore[call-overload]
    }
    return event if event_id is None else event | {"id": str(event_id)}


def event_id(payload: Payload, what: str) -> UUID:
    """Return the same id for the same event about the same `what`, so that sending it again makes no second event."""
    return uuid5(_NAMESPACE, f"{payload.name}\0{payload.resource_id}\0{what}")


def emit(payload: Payload, *, event_id: UUID | None = None) -> None:
    """Send an event from inside a flow run, in the background. Call it after the commit that it announces."""
    from prefect.events import emit_event

    related = _related(payload)
    emit_event(
        payload.name,
        resource={"prefect.resource.id": payload.resource_id},
        related=related,
        payload=asdict(payload),  # type: ignore[call-overload]
        id=event_id,
    )


def emit_run(report: RunReport, *, lake_id: str, known: Sequence[Encoding], refused: Mapping[str, int]) -> None:
    """Emit the events of a run: what it changed and refused. `known` are the encodings that the lake had before."""
    about = {"run_id": report.run_id, "lake": report.lake, "lake_id": lake_id}
    encoding = {"encoding": report.encoding, "encoding_id": report.encoding_id}
    if report.counts.documents or report.counts.redescribed or report.tally.deleted:
        if report.encoding_id not in {e.encoding_id for e in known}:
            emit(EncodingChanged(**about, **encoding, previous=known[-1].encoding_id if known else None))
        emit(
            RunCommitted(
                **about, **encoding, state=report.state, documents=report.counts.documents,
                deleted=report.tally.deleted, tokens=report.counts.tokens, rounded=report.counts.rounded_documents,
            )
        )  # fmt: skip
    if refused:
        emit(DocumentsRejected(**about, rejected=sum(refused.values()), codes=dict(refused)))
    for held in report.held_back:
        emit(
            DocumentsHeldBack(
                **about, source=held.source, reason=held.reason, documents=held.documents, had=held.had,
                uris=held.examples, confirm_with=held.confirm_with,
            )
        )  # fmt: skip


def send(events: Sequence[dict[str, Any]], *, timeout: float = 10.0) -> None:
    """Post events to the configured server and return once it has them. Raises SendError if it did not take them."""
    import httpx
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True, httpx_settings={"timeout": timeout}) as client:
            answer = client.request("POST", "/events", json=list(events))
            answer.raise_for_status()
    except (httpx.HTTPError, OSError) as error:
        raise SendError(f"{type(error).__name__}: {error}") from error


class SendError(Exception):
    """The server did not acknowledge; whether it has the events is not known. Sending them again does no harm."""


def now() -> datetime:
    return datetime.now(UTC)


def _related(payload: Payload) -> list[dict[str, str]]:
    return [{"prefect.resource.role": role, "prefect.resource.id": id_} for role, id_ in payload.related]
