"""Speed of `nearest` on a lake of many sentences, in memory and from Parquet.

    python benchmarks/nearest_speed.py --sentences 1000000 --lake big-lake

Makes a lake of random unit vectors (kept for the next run), then queries the ten nearest neighbours of random vectors
through SQL, and compares the results with plain SQL over Parquet.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.parts import write_part
from polyseme.storage.records import Counts, DocumentVersion, EncodingSpec, Outputs, Shard, ShardResult
from polyseme.storage.schemas import ADDED, embedding_type, table_schema
from polyseme.storage.sql.connection import connect
from polyseme.tasks.sql.functions import ModelFunctions

SENTENCES_A_DOCUMENT = 100
DOCUMENTS_A_PART = 1000


def main() -> None:
    """Make the lake if there is none, measure, and print whether the results agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--questions", type=int, default=5)
    options = parser.parse_args()
    if not Lake(options.lake).catalog_path.is_file():
        make(Lake(options.lake), options.sentences, options.width)
    random = np.random.default_rng(1)
    questions = [random.standard_normal(options.width).astype(np.float32) for _ in range(options.questions)]
    kept = ask(options.lake, questions, 4 * 2**30, "in memory")
    streamed = ask(options.lake, questions[:1], 0, "from Parquet")
    plain = by_sql(options.lake, questions[:1])
    print("the three agree:", kept[:1] == streamed == plain)


def ask(lake: Path, questions: list[np.ndarray], cache_bytes: int, label: str) -> list[list[tuple[str, int]]]:
    """Print the times of `nearest_to` for `questions`, and return the keys found."""
    con = connect(lake, functions=ModelFunctions(cache_bytes=cache_bytes))
    answers = []
    for number, question in enumerate(questions):
        began = time.perf_counter()
        sql = "SELECT doc_id, sentence_index FROM nearest_to($1, k := 10)"
        answers.append(con.execute(sql, [question.tolist()]).fetchall())
        print(f"{label}, question {number}: {time.perf_counter() - began:.3f} s")
    began = time.perf_counter()
    sql = "FROM nearest_to($1, docs := (SELECT list(doc_id) FROM documents WHERE title LIKE '%7'))"
    con.execute(sql, [questions[0].tolist()]).fetchall()
    print(f"{label}, a tenth of the documents: {time.perf_counter() - began:.3f} s")
    con.close()
    return answers


def by_sql(lake: Path, questions: list[np.ndarray]) -> list[list[tuple[str, int]]]:
    """Print the time of plain SQL for `questions`, and return the keys found."""
    con = connect(lake)
    answers = []
    for question in questions:
        began = time.perf_counter()
        sql = (
            f"SELECT doc_id, sentence_index FROM sentences "
            f"ORDER BY array_cosine_similarity(embedding, $1::FLOAT[{len(question)}]) DESC LIMIT 10"
        )
        answers.append(con.execute(sql, [question.tolist()]).fetchall())
        print(f"plain SQL over Parquet: {time.perf_counter() - began:.3f} s")
    con.close()
    return answers


def make(lake: Lake, sentences: int, width: int) -> None:
    """Write `sentences` random unit vectors of `width` dimensions into the lake."""
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
            catalog.commit_shard(_shard(lake, spec, numbers, version, random))


def _shard(lake: Lake, spec: EncodingSpec, numbers: range, version: int, random: np.random.Generator) -> ShardResult:
    ids = [f"document-{number:07d}" for number in numbers]
    n = len(ids) * SENTENCES_A_DOCUMENT
    vectors = random.standard_normal((n, spec.width), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = np.tile(np.arange(SENTENCES_A_DOCUMENT, dtype=np.int32), len(ids))
    flat = pa.array(vectors.astype(np.float16).reshape(-1))
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


if __name__ == "__main__":
    main()
