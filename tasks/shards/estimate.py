"""The dry run: an estimate of what an embedding run would do. Writes nothing, needs no server."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import MissingLakeError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, DocumentVersion, Outputs, Reject
from polyseme.tasks.encode.forward import chunk_vectors
from polyseme.tasks.engine import Engine
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.sources import read_sources, resolve
from polyseme.tasks.shards.known_sources import known_to
from polyseme.tasks.shards.scan import is_current
from polyseme.tasks.shards.seen_ids import SeenIds
from polyseme.tasks.text.chunks import chunk_tokens, chunks
from polyseme.tasks.text.passages import Passage, passages

_SAMPLE_CHARS = 2_000_000
"""Characters in which tokens are counted; beyond them counts are extrapolated."""
_TRIAL_TOKENS = 3_000
"""Tokens that are encoded to measure the speed."""
_FLOAT16 = 2
_LOOKUP = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run would do. `tokens` and the fields after it are extrapolated beyond the first two million characters.

    `bytes` is the size of the new parts in the lake, `seconds` the time at `tokens_per_second`.
    """

    documents: int
    to_encode: int
    unchanged: int
    refused: int
    chars: int
    tokens: int
    words: int
    bytes: int
    seconds: float
    tokens_per_second: float

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as plain values, for JSON."""
        return asdict(self)

    def to_text(self) -> str:
        """Return the estimate in one or two lines for people."""
        counts = (
            f"{self.documents:,} documents: {self.to_encode:,} to encode, {self.unchanged:,} unchanged, "
            f"{self.refused:,} records refused."
        )
        if not self.to_encode:
            return f"{counts} Nothing to do, and nothing was written."
        return (
            f"{counts}\nAbout {self.tokens:,} tokens, {self.bytes / 1e6:,.1f} MB in the lake, "
            f"{self.seconds / 60:,.1f} minutes at the {self.tokens_per_second:,.0f} tokens/s measured just now. "
            "Nothing was written."
        )


@dataclass
class _Sample:
    chars: int = 0
    tokens: int = 0
    words: int = 0
    sentences: int = 0
    masked: int = 0
    """Tokens to run for pseudo-log-likelihoods."""


def estimate(
    sources: Sequence[str], lake: Lake, engine: Engine, outputs: Outputs, reading: ReadOptions, *, limit: int | None
) -> Estimate:
    """Scan the sources, compare with the lake if there is one, count tokens and measure the speed on a sample.

    `limit` is the most documents to read. Raises UsageError for sources that cannot be read, ModelError for the engine.
    """
    items = read_sources(resolve(sources, lake=lake, known=known_to(lake)), reading, stdin=sys.stdin.buffer)
    return estimate_items(items, lake, engine, outputs, limit=limit)


def estimate_items(
    items: Iterator[Document | Reject], lake: Lake, engine: Engine, outputs: Outputs, *, limit: int | None
) -> Estimate:
    """Estimate the encoding of `items`, as `estimate` does."""
    sample, trial = _Sample(), list[Passage]()
    seen = documents = refused = unchanged = chars = to_encode = 0
    with _KnownVersions(lake, engine) as known, SeenIds() as seen_ids:
        for batch in _batches(items):
            found = [item for item in batch if isinstance(item, Document)]
            refused += sum(isinstance(item, Reject) for item in batch)
            fresh = [d for d in found if seen_ids.add(d.doc_id)]
            refused += len(found) - len(fresh)
            if limit is not None:
                fresh = fresh[: limit - seen]
            seen += len(fresh)
            before = known.lookup([d.doc_id for d in fresh])
            for document in fresh:
                documents += 1
                if document.doc_id in before and is_current(before[document.doc_id], document, outputs):
                    unchanged += 1
                    continue
                to_encode += 1
                chars += len(document.text)
                if sample.chars < _SAMPLE_CHARS:
                    _count(sample, trial, document, engine)
            if seen == limit:
                break
    scale = chars / sample.chars if sample.chars else 0.0
    rate, forward = _measured_rates(engine, trial, outputs) if trial else (0.0, 0.0)
    if outputs.pll is not None and sample.tokens and rate:
        rate = 1 / (1 / rate + sample.masked / sample.tokens / forward)
    tokens = round(sample.tokens * scale)
    return Estimate(
        documents=documents,
        to_encode=to_encode,
        unchanged=unchanged,
        refused=refused,
        chars=chars,
        tokens=tokens,
        words=round(sample.words * scale),
        bytes=round(_bytes(sample, outputs, engine.spec.width) * scale),
        seconds=tokens / rate if rate else 0.0,
        tokens_per_second=rate,
    )


def _batches(items: Iterator[Document | Reject]) -> Iterator[list[Document | Reject]]:
    """Yield items in lists for one catalog lookup each, with a bounded number of characters."""
    batch: list[Document | Reject] = []
    chars = 0
    for item in items:
        batch.append(item)
        chars += len(item.text) if isinstance(item, Document) else 0
        if len(batch) >= _LOOKUP or chars >= _SAMPLE_CHARS:
            yield batch
            batch, chars = [], 0
    yield batch


def _count(sample: _Sample, trial: list[Passage], document: Document, engine: Engine) -> None:
    sample.chars += len(document.text)
    most = engine.spec.max_tokens - 2
    for passage in passages([document], engine.wordpiece):
        if sample.tokens < _TRIAL_TOKENS:
            trial.append(replace(passage, last=True))  # without the rest of the document
        sample.tokens += passage.tokens
        sample.sentences += len(passage)
        sample.masked += int((passage.lengths * (np.minimum(passage.lengths, most) + 2)).sum())
        ends = np.cumsum(passage.lengths)[passage.lengths > 0]
        sample.words += int((passage.word[ends - 1] + 1).sum())


def _bytes(sample: _Sample, outputs: Outputs, width: int) -> int:
    """Return the size in the lake: float16 vectors, 20 bytes of keys per row, and the text."""
    rows = sample.sentences
    if outputs.level != "sentences" and outputs.words is None:
        rows += sample.words
    if outputs.level == "tokens":
        rows += sample.tokens
    return rows * (width * _FLOAT16 + 20) + sample.chars


def _measured_rates(engine: Engine, trial: list[Passage], outputs: Outputs) -> tuple[float, float]:
    """Return tokens per second of the source and of the forward passes, without pseudo-log-likelihood.

    Measured on the first chunk of `trial` with the model loaded.
    """
    chunk = next(chunks(trial, min(_TRIAL_TOKENS, chunk_tokens(engine.spec.width))))

    def encode() -> int:
        return engine.in_lane(
            lambda encoder: chunk_vectors(
                encoder, chunk, context=engine.config.context, pooling=engine.config.pooling,
                max_tokens=engine.spec.max_tokens, nsp=outputs.nsp, seed=0, on_batch=lambda tokens: None,
            ).forward_tokens
        )  # fmt: skip

    engine.in_lane(lambda encoder: encoder.label)
    started = time.perf_counter()
    forward = encode()
    seconds = time.perf_counter() - started
    return len(chunk.ids) / seconds, forward / seconds


class _KnownVersions:
    """The stored versions of documents in a lake, which may not exist yet."""

    def __init__(self, lake: Lake, engine: Engine) -> None:
        self._encoding_id = engine.spec.encoding_id
        self._catalog: Catalog | None = None
        with suppress(MissingLakeError):
            self._catalog = Catalog.open(lake)

    def lookup(self, doc_ids: list[str]) -> dict[str, DocumentVersion]:
        return self._catalog.lookup(self._encoding_id, doc_ids) if self._catalog else {}

    def __enter__(self) -> _KnownVersions:
        return self

    def __exit__(self, *_: object) -> None:
        if self._catalog:
            self._catalog.close()
