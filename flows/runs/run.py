"""One run: known to the catalog from its begin to its end, with a scan that has begun.

Needs neither Prefect nor PyTorch: a run that finds nothing to encode begins and ends here. One that does is taken over
by a flow, which encodes what the scan has staged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from uuid import uuid4

from polyseme.flows.observation.observation import Observation
from polyseme.flows.runs import observed
from polyseme.flows.runs.continued import continued
from polyseme.flows.runs.heartbeat import heartbeat
from polyseme.flows.runs.job import Job
from polyseme.flows.runs.progress import Progress
from polyseme.flows.runs.run_report import HELD_BACK, RunReport
from polyseme.flows.runs.scan_thread import ScanThread
from polyseme.flows.signals.ending import arrived
from polyseme.storage.catalog import Catalog
from polyseme.storage.database import runs
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.errors import PolysemeError
from polyseme.storage.maintenance.broken_parts import broken_parts
from polyseme.storage.records import Counts, Shard
from polyseme.storage.sql.publish import publish
from polyseme.storage.staging import remove_staging
from polyseme.storage.tiers import Centre
from polyseme.tasks.engine import Cancelled, Engine, shared_engine
from polyseme.tasks.shards.deletion_guard import by_source, explain
from polyseme.tasks.shards.reuse import is_larger
from polyseme.tasks.shards.scan import Scan
from polyseme.tasks.shards.stages import commit_shard, encode_shard

Publish = Callable[[Catalog, RunReport], object]


@dataclass
class Run:
    """The moving state of one run. `encoding` is the encoding's name, `known` are those that the lake had before."""

    job: Job
    catalog: Catalog
    engine: Engine
    encoding: str
    known: tuple[Encoding, ...]
    scanning: ScanThread
    observation: Observation
    flow_run_id: str | None = None
    shards: int = 0
    failures: list[str] = field(default_factory=list)
    _ended: bool = False

    @property
    def scan(self) -> Scan:
        return self.scanning.scan

    @property
    def progress(self) -> Progress:
        return self.scanning.progress

    @property
    def run_id(self) -> str:
        return self.scan.run_id

    def complete(self, publishing: Publish = lambda catalog, report: publish(catalog)) -> RunReport:
        """Settle what the scan found, once all of it is encoded, record the end and publish the lake. Returns a report.

        Documents that are only described anew need no encoder: what is left of them to commit is committed here.

        `publishing` publishes a lake in which everything was committed. Raises what the scan raised.
        """
        with self.recording_failure():
            for shard in self.scanning.shards():
                self._redescribe(shard)
            self.job.settle(self.scan)
            return self._end(*_ended(self.failures, self.scan), publishing)

    def _redescribe(self, shard: Shard) -> None:
        if not shard.redescribes:
            raise AssertionError(f"shard {shard.ordinal} was not encoded")
        self.shards += 1
        self.observation.submitted(shard)
        result = encode_shard(shard, self.job.lake, self.catalog, self.engine, on_batch=self.progress.batch)
        counts = commit_shard(result, self.catalog)
        self.observation.committed(result)
        self.progress.shard(counts, chars=shard.n_chars)

    @contextmanager
    def recording_failure(self) -> Iterator[None]:
        """Stop the scan and record the end of the run, if the body raises and it has not been recorded."""
        try:
            yield
        except BaseException as error:
            self.fail(error)
            raise

    def fail(self, error: BaseException) -> None:
        """Stop the scan and record that this error ended the run, unless its end has been recorded."""
        self.progress.stop()
        if not self._ended:
            self._end(_state_by(error), str(error) or type(error).__name__, raised=error)

    def _end(
        self,
        state: str,
        error: str | None,
        publishing: Publish = lambda catalog, report: None,
        *,
        raised: BaseException | None = None,
    ) -> RunReport:
        tally = self.scan.tally
        report = RunReport(
            run_id=self.run_id,
            state=state,
            lake=str(self.job.lake.root),
            encoding_id=self.scan.encoding_id,
            encoding=self.encoding,
            store=self.engine.spec.store,
            default_encoding=self.encoding if raised else self._default_encoding(),
            counts=self.progress.counts,
            tally=tally,
            shards=self.shards,
            wall_seconds=self.progress.seconds,
            error=error,
            held_back=tuple(by_source(self.scan.held_back)),
            skipped=tuple(self.scan.skipped_files),
            refused=tuple(self.scan.refused_records),
            absent=self.job.absent,
            broken_parts=() if raised else broken_parts(self.catalog, self.scan.encoding_id),
        )
        self._ended = True
        self.catalog.finish_run(
            self.run_id,
            state,
            self.progress.counts,
            skipped=tally.unchanged,
            deleted=tally.deleted,
            rejected=tally.rejected,
            error=error,
        )
        with observed.ending(self, report, raised=raised):
            if state in ("completed", HELD_BACK):
                publishing(self.catalog, report)
            else:
                publish(self.catalog)
        return report

    def _default_encoding(self) -> str:
        default = self.catalog.default_encoding()
        return next((e.name for e in self.known if e.encoding_id == default), self.encoding)


@contextmanager
def begun(job: Job, flow_run_id: str | None = None) -> Iterator[Run]:
    """Begin a run and its scan; on leaving, both have ended. An error that leaves the body is recorded with the run.

    The run's job has the splitter of the encoding that it makes, if the lake has one. Raises ModelError if the model is
    not available, LakeError if the lake is not.
    """
    run_id = uuid4().hex[:12]
    lake = job.lake
    _ = shared_engine(job.engine).spec  # no lake is made for a model that is not there
    with Catalog.create_or_open(lake) as catalog, heartbeat(catalog, run_id):
        known = catalog.encodings()
        config = continued(job.engine, known, default=catalog.default_encoding(), name=job.name)
        job, engine = replace(job, engine=config), shared_engine(config)
        _ = engine.split  # raises if it is not installed as it was
        encoding_id = engine.spec.encoding_id
        name = catalog.register_encoding(engine.spec, name=job.name, centres=_centres(engine, known))
        try:
            version = catalog.begin_run(run_id, encoding_id, job.sources, flow_run_id)
            scan = Scan(catalog, lake, run_id, version, encoding_id, job.outputs, job.scanned)
            scanning = ScanThread(scan, lambda: job.items(catalog), limit=job.limit, progress=Progress.begin(run_id))
            scanning.progress.may_round = any(is_larger(e.spec, engine.spec) for e in known)
            observation = observed.begin(job, catalog, name, scanning, spec=engine.spec)
            run = Run(job, catalog, engine, name, known, scanning, observation, flow_run_id)
        except BaseException as error:
            with suppress(PolysemeError):  # it did not begin
                catalog.finish_run(
                    run_id, _state_by(error), Counts(), skipped=0, deleted=0, rejected=0, error=str(error)
                )
            raise
        try:
            with run.recording_failure():
                scanning.start()
                yield run
        finally:
            scanning.wait()
            scan.close()
            remove_staging(lake, run_id)
            run.progress.end()


def _centres(engine: Engine, known: Sequence[Encoding]) -> dict[str, Centre]:
    """Return the centres of a new encoding with binary vectors: only that needs the model before there is text."""
    if "binary" not in engine.spec.store or any(e.encoding_id == engine.spec.encoding_id for e in known):
        return {}
    from polyseme.tasks.evaluation.centres import centres

    return centres(engine)


_handed_over: ContextVar[Run | None] = ContextVar("_handed_over", default=None)


@contextmanager
def handed_over(run: Run) -> Iterator[None]:
    """Let the flow that is called inside take the run over."""
    token = _handed_over.set(run)
    try:
        yield
    finally:
        _handed_over.reset(token)


def handed_over_job() -> Job | None:
    """Return the job of the run that was handed to the flow that asks, None if none was."""
    run = _handed_over.get()
    return None if run is None else run.job


@contextmanager
def taken_over(job: Job, flow_run_id: str | None) -> Iterator[Run]:
    """Take the run over that was handed to this flow, or begin one of the job."""
    run = _handed_over.get()
    if run is None:
        with begun(job, flow_run_id) as run:
            yield run
        return
    _handed_over.set(None)
    run.flow_run_id = flow_run_id
    if flow_run_id is not None:
        with run.catalog.writing() as connection:
            runs.set_flow_run(connection, run.run_id, flow_run_id)
    with run.recording_failure():
        yield run


def _ended(failures: list[str], scan: Scan) -> tuple[str, str | None]:
    """Return the state of a run that came to its end, and why it is not `completed`."""
    if failures:
        return "failed", "; ".join(failures[:3])
    if scan.held_back:
        return HELD_BACK, "; ".join(explain(held) for held in by_source(scan.held_back))
    return "completed", None


def _state_by(error: BaseException) -> str:
    """Return the state of a run that an error ended: also one that a library made of a signal's exception."""
    cancelled = isinstance(error, Cancelled) or not isinstance(error, Exception) or arrived() is not None
    return "cancelled" if cancelled else "failed"
