"""The plan of a run, for `--dry-run`: what the run would read, encode, copy, write and hide. Changes nothing.

The run's own scan, on a scratch copy of the catalog, with staged texts in a temporary folder; shards are planned and
not encoded. Needs no Prefect, and PyTorch only if something is to be encoded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from polyseme.flows.runs.continued import continued
from polyseme.flows.runs.job import Job
from polyseme.flows.runs.lemma_check import require_lemmas
from polyseme.flows.runs.progress import Progress, phase, refresh
from polyseme.flows.runs.scan_thread import first
from polyseme.storage.catalog import Catalog
from polyseme.storage.database.skipped_files import SkippedFiles
from polyseme.storage.lake import Lake
from polyseme.storage.records import Counts, HeldBack
from polyseme.storage.tiers import zero_centres
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.shards.deletion_guard import by_source
from polyseme.tasks.shards.forecast import Forecast
from polyseme.tasks.shards.refused_tally import RefusedRecords, most_first
from polyseme.tasks.shards.scan import Scan
from polyseme.tasks.shards.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """What a run would find in one source, and hide or hold back of it. A document counts for its first source.

    `refused` are the records that would be refused, by code.
    """

    source: str
    tally: Tally
    refused: Mapping[str, int]
    held_back: HeldBack | None = None

    @property
    def n_held_back(self) -> int:
        """The number of documents that are held back from deletion."""
        return self.held_back.documents if self.held_back else 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"source": self.source, **_plain(self.tally, self.refused), "held_back": self.n_held_back}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would do. `counts` has exact numbers if `is_exact`, but for `bytes`; else they are extrapolated.

    `seconds` is the time to encode at `tokens_per_second`, of tokens run, as measured; both are 0 if nothing is run.
    """

    lake: str
    encoding_id: str
    encoding: str
    store: str
    is_new_encoding: bool
    tally: Tally
    counts: Counts
    vectors: int
    is_exact: bool
    tokens_per_second: float
    sources: tuple[SourcePlan, ...] = ()
    held_back: tuple[HeldBack, ...] = ()
    skipped: tuple[SkippedFiles, ...] = ()
    refused: tuple[RefusedRecords, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """The time to encode."""
        return self.counts.forward_tokens / self.tokens_per_second if self.tokens_per_second else 0.0

    @property
    def to_encode(self) -> int:
        """The number of documents to encode: not those that are only rounded from an encoding with more bits."""
        return self.tally.new + self.tally.changed - self.counts.rounded_documents

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        counts = asdict(self.counts)
        tally = _plain(self.tally, {one.code: one.records for one in self.refused})
        for measured_by_runs in ("documents", "redescribed", "seconds"):
            del counts[measured_by_runs]
        return {
            **tally,
            "to_encode": self.to_encode,
            **counts,
            "sentences_to_encode": self.counts.sentences - self.counts.reused_sentences,
            "vectors": self.vectors,
            "is_exact": self.is_exact,
            "seconds": self.seconds,
            "tokens_per_second": self.tokens_per_second,
            "lake": self.lake,
            "encoding": self.encoding,
            "encoding_id": self.encoding_id,
            "store": self.store,
            "is_new_encoding": self.is_new_encoding,
            "sources": [one.to_dict() for one in self.sources],
            "held_back": [asdict(held) for held in self.held_back],
            "absent": list(self.absent),
            "skipped": [asdict(one) for one in self.skipped],
        }


def _plain(tally: Tally, refused: Mapping[str, int]) -> dict[str, Any]:
    found = asdict(tally)
    return found | {
        "refused": found.pop("rejected"),
        "refused_by_code": most_first(refused),
        "chars": found.pop("chars_to_encode"),
    }


def plan(job: Job) -> Plan:
    """Return what a run of the job would do now. Listeners to progress are told how much has been read.

    Raises what the run would raise before it encodes anything.
    """
    run_id = uuid4().hex[:12]
    with (
        Catalog.scratch(job.lake) as catalog,
        tempfile.TemporaryDirectory(prefix="polyseme-plan-", ignore_cleanup_errors=True) as folder,
    ):
        known = catalog.encodings()
        engine = shared_engine(continued(job.engine, known, default=catalog.default_encoding(), name=job.name))
        encoding_id = engine.spec.encoding_id
        is_new = all(encoding.encoding_id != encoding_id for encoding in known)
        centres = zero_centres(engine.spec.store, engine.spec.width)
        name = catalog.register_encoding(engine.spec, name=job.name, centres=centres)
        version = catalog.begin_run(run_id, encoding_id, job.sources)
        staged = Lake(folder)
        scan = Scan(catalog, staged, run_id, version, encoding_id, job.outputs, job.scanned, by_source=True)
        forecast = Forecast(catalog, staged, engine)
        progress = Progress.begin(run_id)
        progress.tally, progress.reading = scan.tally, scan.reading
        try:
            for shard in scan.shards(first(job.items(catalog), job.limit)):
                refresh()
                forecast.add(shard)
            phase("looking for what is gone")
            job.settle(scan)
            if scan.tally.new or scan.tally.changed:
                require_lemmas(catalog, engine)
            phase("measuring how fast the model runs")
            rate = forecast.tokens_per_second() if forecast.counts.forward_tokens else 0.0
        finally:
            progress.end()
            scan.close()
    counts = forecast.counts
    held_back = tuple(by_source(scan.held_back))
    return Plan(
        lake=str(job.lake.root),
        encoding_id=encoding_id,
        encoding=name,
        store=engine.spec.store,
        is_new_encoding=is_new,
        tally=scan.tally,
        counts=counts,
        vectors=forecast.vectors,
        is_exact=forecast.is_exact,
        tokens_per_second=rate,
        sources=_by_source(job, scan, held_back),
        held_back=held_back,
        skipped=tuple(scan.skipped_files),
        refused=tuple(scan.refused_records),
        absent=job.absent,
    )


def _by_source(job: Job, scan: Scan, held_back: tuple[HeldBack, ...]) -> tuple[SourcePlan, ...]:
    if job.scanned is None or scan.of_sources is None:
        return ()
    held = {one.source: one for one in held_back}
    of_sources = zip(job.scanned, scan.of_sources.tallies, scan.of_sources.refused, strict=True)
    return tuple(
        SourcePlan(source=source.spec, tally=tally, refused=refused, held_back=held.get(source.name))
        for source, tally, refused in of_sources
    )
