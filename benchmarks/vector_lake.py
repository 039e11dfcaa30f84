"""A lake of many sentence vectors, for benchmarks: jittered copies of real ones, or random ones."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.parts import write_part
from polyseme.storage.records import Counts, DocumentVersion, EncodingSpec, Outputs, Shard, ShardResult
from polyseme.storage.schemas import ADDED, embedding_type, table_schema
from polyseme.storage.search.unit_vectors import Floats, unit_rows
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.vectors import vectors

SENTENCES_A_DOCUMENT = 100
DOCUMENTS_A_PART = 1000
_JITTER = 0.3
"""Of the deviation of each dimension: a copy and its original have a cosine of about .96."""


def real_vectors(lake: Lake) -> Floats:
    """Return the distinct sentence vectors of a lake as `(rows, width)` of length 1."""
    with connect(lake) as con:
        return np.unique(unit_rows(vectors(con.sql("SELECT embedding FROM sentences"))), axis=0)


def make(lake: Lake, sentences: int, width: int, real: Floats | None = None) -> None:
    """Write `sentences` vectors of length 1 into a new lake: copies of `real` ones, or random."""
    spec = EncodingSpec(
        model="random", model_sha256="0", tokenizer_sha256="0", width=width, layers="last", pooling="mean",
        context="sentence", max_tokens=512, precision="fp32", splitter="none",
    )  # fmt: skip
    random = np.random.default_rng(0)
    with Catalog.create_or_open(lake) as catalog:
        catalog.register_encoding(spec)
        version = catalog.begin_run("bench", spec.encoding_id, ["random"])
        documents = sentences // SENTENCES_A_DOCUMENT
        for first in range(0, documents, DOCUMENTS_A_PART):
            numbers = range(first, min(first + DOCUMENTS_A_PART, documents))
            found = _drawn(len(numbers) * SENTENCES_A_DOCUMENT, width, real, random)
            catalog.commit_shard(_shard(lake, spec, numbers, version, found))


def _drawn(rows: int, width: int, real: Floats | None, random: np.random.Generator) -> npt.NDArray[np.float16]:
    drawn = random.standard_normal((rows, width), np.float32)
    if real is not None:
        drawn = real[random.integers(0, len(real), rows)] + drawn * (_JITTER * real.std(0))
    return unit_rows(drawn).astype(np.float16)


def _shard(
    lake: Lake, spec: EncodingSpec, numbers: range, version: int, vectors: npt.NDArray[np.float16]
) -> ShardResult:
    ids = [f"document-{number:07d}" for number in numbers]
    n = len(ids) * SENTENCES_A_DOCUMENT
    index = np.tile(np.arange(SENTENCES_A_DOCUMENT, dtype=np.int32), len(ids))
    flat = pa.array(vectors.reshape(-1))
    rows = {
        "sentences": [
            pa.array(np.repeat(ids, SENTENCES_A_DOCUMENT)), pa.repeat(version, n), pa.array(index),
            pa.array(index * 100), pa.array(index * 100 + 90),
            pa.array([f"Sentence {i} of a text about nothing, as long as sentences in English are." for i in index]),
            pa.array(np.full(n, 18)), pa.FixedSizeListArray.from_arrays(flat, type=embedding_type(spec.width)),
        ],
        "documents": [
            ids, [version] * len(ids), [f"random:{i}" for i in ids], [f"On {i}" for i in ids], ["{}"] * len(ids),
            [""] * len(ids), [0] * len(ids), [SENTENCES_A_DOCUMENT] * len(ids), [1800] * len(ids), ["0"] * len(ids),
            [datetime.now(UTC)] * len(ids),
        ],
    }  # fmt: skip
    parts = []
    for name, columns in rows.items():
        schema = table_schema(name, spec.width)
        given = iter(columns)
        arrays = [
            pa.nulls(len(columns[0]), field.type) if field.name in ADDED.get(name, ()) else _column(next(given), field)
            for field in schema
        ]
        table = pa.Table.from_arrays(arrays, schema=schema)
        parts.append(write_part(lake, table, table=name, encoding_id=spec.encoding_id, width=spec.width))
    shard = Shard(
        run_id="bench", ordinal=numbers.start, version=version, encoding_id=spec.encoding_id, outputs=Outputs(),
        path="", n_documents=len(ids), n_chars=0, shard_key=f"bench-{numbers.start}",
    )  # fmt: skip
    versions = [
        DocumentVersion(
            doc_id=i, uri=f"random:{i}", version=version, record_sha256="0", outputs=Outputs(), n_tokens=1800
        )
        for i in ids
    ]
    return ShardResult(
        shard=shard, parts=tuple(parts), documents=tuple(versions), rejects=(), counts=Counts(documents=len(ids))
    )


def _column(values: pa.Array | list[object], field: pa.Field) -> pa.Array:
    return pa.array(values, field.type) if isinstance(values, list) else values.cast(field.type)
