"""The complete pipeline compared with its model: the CPU time of reading, tokenizing, Parquet and the catalog.

The stages of `polyseme.flows.embed` without Prefect: scan, shards, parts, commit, publish. The model's share is
measured twice: by the clocks of the threads that run it, in the same run, and by running the same windows alone.
"""

from __future__ import annotations

import io
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.race import Times, race
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import Context, Counts, Document, Outputs, Shard
from polyseme.tasks.encode.forward import ChunkVectors, chunk_vectors
from polyseme.tasks.engine import Engine
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources
from polyseme.tasks.shards.scan import Scan
from polyseme.tasks.shards.stages import commit_shard, encode_shard
from polyseme.tasks.text.chunks import Chunk, chunks
from polyseme.tasks.text.passages import passages

OUTPUTS = {
    "words, NSP": Outputs("words", nsp=True),
    "words": Outputs("words", nsp=False),
    "sentences, NSP": Outputs("sentences", nsp=True),
    "sentences": Outputs("sentences", nsp=False),
}
_IN_FLIGHT = 3
_MODEL_THREADS = "polyseme-batch"


@dataclass
class Pipeline:
    """Runs with one kind of output. `model` has the model's CPU seconds of each run, `counts` those of the last run.

    With `published` a run ends with the views of DuckDB, as `polyseme embed` does.
    """

    engine: Engine
    source: Path
    outputs: Outputs
    in_flight: int = _IN_FLIGHT
    published: bool = True
    model: list[float] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    def run(self) -> None:
        """Run the pipeline once, into a lake in a temporary folder."""
        before = _model_seconds()
        with tempfile.TemporaryDirectory(prefix="polyseme-benchmark-") as folder:
            lake = Lake(Path(folder))
            with Catalog.create_or_open(lake) as catalog:
                self.counts = self._embed(lake, catalog)
                if self.published:
                    from polyseme.storage.sql.publish import publish  # needs DuckDB, which a GPU machine may lack

                    publish(catalog)
        self.model.append(_model_seconds() - before)

    def _embed(self, lake: Lake, catalog: Catalog) -> Counts:
        spec = self.engine.spec
        catalog.register_encoding(spec)
        version = catalog.begin_run("benchmark", spec.encoding_id, [str(self.source)])
        scan = Scan(catalog, lake, "benchmark", version, spec.encoding_id, self.outputs)
        items = read_sources(resolve([str(self.source)]), ReadOptions(), stdin=io.BytesIO())

        def embed(shard: Shard) -> Counts:
            return commit_shard(encode_shard(shard, lake, catalog, self.engine), catalog)

        try:
            with ThreadPoolExecutor(self.in_flight) as shards:
                return sum(shards.map(embed, scan.shards(items)), Counts())
        finally:
            scan.close()


@dataclass(frozen=True, slots=True)
class Overhead:
    """One kind of output: times of the pipeline, the model's CPU seconds in it, and times of the model alone."""

    whole: Times
    model: list[float]
    alone: Times
    counts: Counts

    def shares(self) -> list[float]:
        """Return the pipeline's CPU time in addition to its model, as a share of the model's, by round."""
        return [whole / model - 1 for whole, model in zip(self.whole.cpu, self.model, strict=True)]


def overheads(engine: Engine, source: Path, documents: Sequence[Document], rounds: int) -> dict[str, Overhead]:
    """Time the pipeline over `source` for every kind of output, and the model alone over the same windows."""
    laid_out = lay_out(engine, documents)
    pipelines = {name: Pipeline(engine, source, outputs) for name, outputs in OUTPUTS.items()}
    runners: dict[str, Callable[[], object]] = {name: p.run for name, p in pipelines.items()}
    runners |= {f"model alone, NSP {nsp}": model_alone(engine, laid_out, nsp=nsp) for nsp in (True, False)}
    times = race(runners, rounds)
    return {
        name: Overhead(times[name], p.model[-rounds:], times[f"model alone, NSP {p.outputs.nsp}"], p.counts)
        for name, p in pipelines.items()
    }


def lay_out(engine: Engine, documents: Sequence[Document]) -> list[Chunk]:
    """Tokenize `documents` into the chunks of the engine."""
    return list(chunks(passages(documents, engine.wordpiece, engine.split), engine.chunk_tokens))


def model_alone(
    engine: Engine, laid_out: Sequence[Chunk], *, nsp: bool, context: Context = "sentence", tokens: bool = True
) -> Callable[[], list[ChunkVectors]]:
    """Return a function that runs all passes over `laid_out`, without reading, tokenizing and storing."""

    def run() -> list[ChunkVectors]:
        return [
            chunk_vectors(
                engine.encoder,
                chunk,
                engine.frame,
                context=context,
                pooling="mean",
                max_tokens=engine.spec.max_tokens,
                nsp=nsp,
                seed=0,
                on_batch=lambda tokens: None,
                tokens=tokens,
            )
            for chunk in laid_out
        ]

    return run


def _model_seconds() -> float:
    """Return the CPU seconds of the threads that run batches, which is those of the forward passes."""
    clocks = [
        time.pthread_getcpuclockid(thread.ident)
        for thread in threading.enumerate()
        if thread.name.startswith(_MODEL_THREADS) and thread.ident is not None
    ]
    return sum(time.clock_gettime(clock) for clock in clocks)
