"""The two stages of one shard: encode staged documents into immutable parts, and commit them in one transaction.

Both can be retried without effect: parts that no commit names are garbage, which vacuum removes, and a committed shard
is recognised by its key.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import ModelError
from polyseme.storage.lake import Lake
from polyseme.storage.parts import write_part
from polyseme.storage.records import Counts, Document, DocumentVersion, Outputs, Part, Shard, ShardResult
from polyseme.storage.staging import read_staged
from polyseme.tasks.engine import Engine, OnBatch
from polyseme.tasks.shards.comparison import is_current
from polyseme.tasks.shards.redescribing import Redescribed, redescribe
from polyseme.tasks.shards.reuse import stored_source
from polyseme.tasks.shards.store_loss import record_losses, unmeasured

_WRITERS = 2
"""Threads that write a chunk's tables: Parquet encodes float16 lists at ~130 MB/s per core."""


def encode_shard(
    shard: Shard, lake: Lake, catalog: Catalog, engine: Engine, *, on_batch: OnBatch = lambda tokens: None,
    device_lock: AbstractContextManager[object] | None = None, reuse: bool = True,
) -> ShardResult:  # fmt: skip
    """Encode a shard's documents and write their parts. Nothing is visible before `commit_shard`.

    With `reuse`, what `stored_source` finds in the lake is copied, and only the rest is run. Documents that another run
    has finished meanwhile are left out. `on_batch` is called after every batch, `device_lock` entered for
    every chunk. Raises ModelError if the engine's encoding is not the shard's, as on a machine with other model files.
    """
    _require_encoding(shard, engine)
    ingested_at = datetime.now(UTC)
    seed = int(shard.shard_key[:12], 16)
    (documents, known), outputs = still_wanted(shard, lake, catalog), shard.outputs
    described, encoding = Redescribed(), catalog.encoding(shard.encoding_id)
    if shard.redescribes:
        described = redescribe(shard, documents, catalog, width=engine.spec.width, ingested_at=ingested_at)
        documents, outputs = described.left, outputs.union(described.outputs)
    if not documents:
        return ShardResult(
            shard=shard, parts=described.parts, documents=described.versions, rejects=(), counts=described.counts
        )
    by_id = {d.doc_id: d for d in documents}
    parts: list[Part] = []
    tokens: dict[str, int] = {}
    counts = Counts()
    measuring = unmeasured(encoding)
    sample: dict[str, pa.Table] = {}
    began = time.perf_counter()
    with (
        stored_source(documents, known, catalog, engine, outputs, version=shard.version)
        if reuse
        else nullcontext() as stored,
        ThreadPoolExecutor(_WRITERS, "polyseme-writer") as writers,
    ):
        counts += Counts(seconds={"reuse": time.perf_counter() - began})
        devices = {} if stored is None else stored.devices
        writing: list[Future[Part]] = []
        run = engine.run(
            documents, outputs, version=shard.version, seed=seed, ingested_at=ingested_at, on_batch=on_batch,
            device_lock=device_lock or nullcontext(), stored=stored, layouts=encoding.layouts,
        )  # fmt: skip
        for chunk in run:
            began = time.perf_counter()
            parts += [w.result() for w in writing]
            waited = {"write": time.perf_counter() - began}
            counts += chunk.counts + Counts(seconds=waited)
            if "documents" in chunk.tables:
                rows = chunk.tables["documents"].select(["doc_id", "n_tokens"]).to_pydict()
                tokens |= dict(zip(rows["doc_id"], rows["n_tokens"], strict=True))
            writing = [
                writers.submit(
                    write_part, lake, rows, table=name, encoding_id=shard.encoding_id, width=engine.spec.width,
                    layout=encoding.layouts.of(name),
                )
                for name, rows in chunk.tables.items()
            ]  # fmt: skip
            sample = sample or {name: chunk.tables[name] for name in measuring if name in chunk.tables}
        began = time.perf_counter()
        parts += [w.result() for w in writing]
        rounded = len(tokens.keys() & devices.keys())
        counts += Counts(
            seconds={"write": time.perf_counter() - began}, bytes=sum(p.bytes for p in parts), rounded_documents=rounded
        )
    record_losses(catalog, encoding, sample, parts)
    here = engine.device_kind
    versions = [version_of(by_id[d], shard, outputs, n, device=devices.get(d, here)) for d, n in tokens.items()]
    return ShardResult(
        shard=shard, parts=(*described.parts, *parts), documents=(*described.versions, *versions), rejects=(),
        counts=described.counts + counts,
    )  # fmt: skip


def commit_shard(result: ShardResult, catalog: Catalog) -> Counts:
    """Make a shard's rows visible in one transaction, remove its staged text, merge small parts. Return its counts."""
    catalog.commit_shard(result)
    catalog.lake.files.remove([result.shard.path])
    _tidy(catalog, result.shard.encoding_id)
    return result.counts


def _tidy(catalog: Catalog, encoding_id: str) -> None:
    """Merge small parts; not on a machine that only encodes, without DuckDB: the next commit elsewhere does."""
    try:
        from polyseme.storage.maintenance.tiering import tidy
    except ModuleNotFoundError as missing:
        if missing.name != "duckdb":
            raise
        return
    tidy(catalog, encoding_id, now=datetime.now(UTC))


def _require_encoding(shard: Shard, engine: Engine) -> None:
    if engine.spec.encoding_id != shard.encoding_id:
        raise ModelError(
            f"Shard {shard.ordinal} belongs to encoding {shard.encoding_id}, and '{engine.spec.model}' here makes "
            f"{engine.spec.encoding_id}. Use the same model files and the same Polyseme on every machine of a run."
        )


def still_wanted(shard: Shard, lake: Lake, catalog: Catalog) -> tuple[list[Document], Mapping[str, DocumentVersion]]:
    """Return the documents that are not up to date, and the live versions of all."""
    documents = list(read_staged(lake, shard.path))
    known = catalog.lookup(shard.encoding_id, [d.doc_id for d in documents])
    wanted = [d for d in documents if d.doc_id not in known or not is_current(known[d.doc_id], d, shard.outputs)]
    return wanted, known


def version_of(
    document: Document, shard: Shard, outputs: Outputs, n_tokens: int, *, device: str | None
) -> DocumentVersion:
    """Return the version that a shard commits of a document."""
    return DocumentVersion(
        doc_id=document.doc_id,
        uri=document.uri,
        version=shard.version,
        record_sha256=document.record_sha256,
        outputs=outputs,
        n_tokens=n_tokens,
        text_version=document.text_version,
        content_sha256=document.content_sha256,
        device=device,
    )
