"""Lakes of made-up vectors for tests of storage: sentences by document become real parts and shards to commit.

Loads no model: a vector follows from its row's place in the table. `embedded_lakes` makes lakes with a model's vectors.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.parts import fetched_parts, write_part
from polyseme.storage.records import Counts, DocumentVersion, EncodingSpec, Outputs, Part, Reject, Shard, ShardResult
from polyseme.storage.schemas import ADJACENT, RANDOM, SORT_KEYS, embedding_type, table_schema
from polyseme.storage.sql.publish import publish
from polyseme.storage.tiers import Layouts, zero_centres
from polyseme.storage.word_keys import word_key

Texts = Mapping[str, Sequence[str]]
"""Sentences by doc_id."""

Row = dict[str, Any]
INGESTED_AT = datetime(2026, 11, 1, tzinfo=UTC)


def make_spec(**changes: Any) -> EncodingSpec:
    """Return an encoding of 4 dimensions, with `changes` to its fields."""
    fields: dict[str, Any] = {
        "model": "models/polyseme-mini",
        "model_sha256": "m",
        "tokenizer_sha256": "t",
        "width": 4,
        "layers": "last",
        "pooling": "mean",
        "context": "sentence",
        "max_tokens": 128,
        "precision": "fp32",
        "splitter": "s",
    }
    return EncodingSpec(**(fields | changes))


def with_its_catalog(root: Path | str) -> Lake:
    """Return a lake with the catalog that its `lake.json` names given by hand, as `--catalog` does."""
    try:
        with Lake(root).files.fetched("lake.json") as pointer:
            return Lake(root, json.loads(pointer.read_text("utf-8"))["catalog"])
    except FileNotFoundError:
        return Lake(root)


def uri_of(doc_id: str) -> str:
    """Return the uri that documents made here have."""
    return f"file:///corpus/{doc_id}.txt"


def document_version(doc_id: str, version: int, **changes: Any) -> DocumentVersion:
    """Return a version of a document, with `changes` to its fields."""
    fields: dict[str, Any] = {
        "doc_id": doc_id,
        "uri": uri_of(doc_id),
        "version": version,
        "record_sha256": f"{doc_id}@{version}",
        "outputs": Outputs(),
        "n_tokens": 7,
    }
    return DocumentVersion(**(fields | changes))


def make_result(
    spec: EncodingSpec,
    documents: Sequence[DocumentVersion],
    *,
    run_id: str,
    parts: Sequence[Part] = (),
    rejects: Sequence[Reject] = (),
    outputs: Outputs | None = None,
) -> ShardResult:
    """Return a result whose shard key follows from documents and encoding, as the pipeline's does."""
    version = documents[0].version if documents else 1
    name = "|".join([spec.encoding_id, *(d.record_sha256 for d in documents)])
    shard = Shard(
        run_id=run_id,
        ordinal=0,
        version=version,
        encoding_id=spec.encoding_id,
        outputs=outputs or Outputs(),
        path="",
        n_documents=len(documents),
        n_chars=0,
        shard_key=hashlib.sha256(name.encode()).hexdigest(),
    )
    return ShardResult(
        shard=shard, parts=tuple(parts), documents=tuple(documents), rejects=tuple(rejects), counts=Counts()
    )


def encode(
    lake: Lake,
    spec: EncodingSpec,
    texts: Texts,
    *,
    run_id: str,
    version: int,
    margins: Sequence[float] | None = None,
    random_margins: Sequence[float] = (),
    vector: Callable[[str], Sequence[float]] | None = None,
) -> ShardResult:
    """Write the parts of `texts` and return the shard; `margins` go to its adjacent transitions in order.

    `vector` is that of a sentence by its text.
    """
    rows = _rows(texts, version, margins, random_margins)
    tables = [(name, arrow_table(name, spec.width, found)) for name, found in rows.items() if found]
    if vector is not None:
        tables = [(name, _with_vectors(table, vector) if name == "sentences" else table) for name, table in tables]
    documents = [
        document_version(doc_id, version, content_sha256=content_of(sentences)) for doc_id, sentences in texts.items()
    ]
    return make_result(spec, documents, run_id=run_id, parts=write_parts(lake, spec, tables))


def describe(
    lake: Lake, spec: EncodingSpec, texts: Texts, *, run_id: str, version: int, rows_version: int, title: str
) -> ShardResult:
    """Write new rows of `documents` for documents whose text stays, and return the shard."""
    key = {"version": version}
    rows = [_document({"doc_id": doc_id, **key}, found) | {"title": title} for doc_id, found in texts.items()]
    documents = [
        document_version(doc_id, version, content_sha256=content_of(found), rows_version=rows_version)
        for doc_id, found in texts.items()
    ]
    parts = write_parts(lake, spec, [("documents", arrow_table("documents", spec.width, rows))])
    return make_result(spec, documents, run_id=run_id, parts=parts)


def content_of(sentences: Sequence[str]) -> str:
    """Return the hash of the text that documents of these sentences have."""
    return hashlib.sha256(" ".join(sentences).encode()).hexdigest()


def write_parts(lake: Lake, spec: EncodingSpec, tables: Iterable[tuple[str, pa.Table]]) -> list[Part]:
    """Write one part for each `(name, rows)`."""
    layouts = layouts_of(spec)
    return [
        write_part(lake, rows, table=name, encoding_id=spec.encoding_id, width=spec.width, layout=layouts.of(name))
        for name, rows in tables
    ]


def layouts_of(spec: EncodingSpec) -> Layouts:
    """Return how lakes made here store vectors: binary ones around zero."""
    return Layouts(spec.store, spec.width, zero_centres(spec.store, spec.width))


def commit(catalog: Catalog, spec: EncodingSpec, texts: Texts, **more: Any) -> int:
    """Commit `texts` as a run of their own and return its version."""
    catalog.register_encoding(spec, centres=layouts_of(spec).centres)
    run_id = f"run-{len(catalog.snapshot().runs)}-{'-'.join(texts)}"
    version = catalog.begin_run(run_id, spec.encoding_id, ["corpus"])
    catalog.commit_shard(encode(catalog.lake, spec, texts, run_id=run_id, version=version, **more))
    return version


def commit_sentences(catalog: Catalog, spec: EncodingSpec, texts: Texts, **more: Any) -> None:
    """Commit `texts` as `--level sentences` does: without rows of words."""
    catalog.register_encoding(spec, centres=layouts_of(spec).centres)
    version = catalog.begin_run("sentences", spec.encoding_id, ["corpus"])
    made = encode(catalog.lake, spec, texts, run_id="sentences", version=version, **more)
    documents = [
        document_version(d, version, content_sha256=content_of(texts[d]), outputs=Outputs("sentences")) for d in texts
    ]
    parts = [part for part in made.parts if part.table != "words"]
    catalog.commit_shard(make_result(spec, documents, run_id="sentences", parts=parts))


def begin(catalog: Catalog, spec: EncodingSpec, run_id: str) -> int:
    """Begin a run and return its version."""
    return catalog.begin_run(run_id, spec.encoding_id, ["corpus/*.txt"])


def put(catalog: Catalog, spec: EncodingSpec, run_id: str, version: int, *doc_ids: str) -> None:
    """Commit versions of documents that have no rows."""
    catalog.commit_shard(make_result(spec, [document_version(d, version) for d in doc_ids], run_id=run_id))


def rows_of(lake: Lake, parts: Sequence[Part]) -> list[Row]:
    """Return all rows of some parts of one table, dead ones included."""
    with fetched_parts(lake, parts) as files:
        return [row for part in parts for row in pq.read_table(files[part.path], partitioning=None).to_pylist()]


@contextmanager
def temporary() -> Iterator[Path]:
    """Yield a new folder for a lake, for a property that is tried with many."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "lake"


def arrow_table(name: str, width: int, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows as a table of the lake, sorted as its parts are, with made-up vectors."""
    keys = SORT_KEYS[name]
    ordered = sorted(rows, key=lambda row: tuple(row[key] for key in keys))
    schema = table_schema(name, width)
    columns = [
        vectors(len(ordered), width)
        if field.name == "embedding"
        else pa.array([row.get(field.name) if field.nullable else row[field.name] for row in ordered], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def vectors(count: int, width: int) -> pa.Array:
    """Return `count` random vectors, the same every time."""
    numbers = np.random.default_rng(count).standard_normal(count * width).astype(np.float16)
    return pa.FixedSizeListArray.from_arrays(pa.array(numbers), type=embedding_type(width))


def _with_vectors(table: pa.Table, vector: Callable[[str], Sequence[float]]) -> pa.Table:
    numbers = np.array([vector(text) for text in table["text"].to_pylist()], np.float16)
    column = pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), type=embedding_type(numbers.shape[1]))
    place = table.schema.get_field_index("embedding")
    return table.set_column(place, table.schema.field(place), column)


def commit_many(root: Path, worker: int, commits: int) -> None:
    """Commit `commits` documents without rows, one at a time, as one of several processes."""
    spec = make_spec()
    with Catalog.open(with_its_catalog(root)) as catalog:
        run_id = f"worker-{worker}"
        version = catalog.begin_run(run_id, spec.encoding_id, [])
        for i in range(commits):
            documents = [document_version(f"w{worker}-{i}", version)]
            catalog.commit_shard(make_result(spec, documents, run_id=run_id))


def commit_and_publish(root: str, worker: int, commits: int) -> None:
    """Commit `commits` documents, each in a run that is published, as one of several processes."""
    spec = make_spec()
    with Catalog.open(with_its_catalog(root)) as catalog:
        for i in range(commits):
            run_id, doc_id = f"worker-{worker}-{i}", f"w{worker}-{i}"
            version = catalog.begin_run(run_id, spec.encoding_id, [])
            catalog.commit_shard(encode(catalog.lake, spec, {doc_id: ["The bank."]}, run_id=run_id, version=version))
            publish(catalog)


def _rows(
    texts: Texts, version: int, margins: Sequence[float] | None, random_margins: Sequence[float]
) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {t: [] for t in ("documents", "sentences", "words", "transitions")}
    for doc_id, sentences in texts.items():
        key = {"doc_id": doc_id, "version": version}
        rows["documents"].append(_document(key, sentences))
        start = 0
        for i, sentence in enumerate(sentences):
            at = {**key, "sentence_index": i}
            span = {"char_start": start, "char_end": start + len(sentence)}
            rows["sentences"].append({**at, **span, "text": sentence, "n_tokens": 3})
            rows["words"] += _words(at, sentence, start)
            if i + 1 < len(sentences):
                margin = margins[len(rows["transitions"])] if margins else 1.0
                rows["transitions"].append(_transition(at, ADJACENT, margin, doc_id, i + 1))
            start += len(sentence) + 1
    first = next(iter(texts), "")
    at = {"doc_id": first, "version": version, "sentence_index": 0}
    rows["transitions"] += [_transition(at, RANDOM, margin, first, 0) for margin in random_margins]
    return rows


def _document(key: Row, sentences: Sequence[str]) -> Row:
    text = " ".join(sentences)
    return {
        **key,
        "uri": uri_of(key["doc_id"]),
        "title": f"About {key['doc_id']}",
        "metadata": "{}",
        "text": text,
        "n_chars": len(text),
        "n_sentences": len(sentences),
        "n_tokens": 7,
        "content_sha256": content_of(sentences),
        "ingested_at": INGESTED_AT,
    }


def _words(at: Row, sentence: str, start: int) -> list[Row]:
    rows = []
    for i, word in enumerate(re.finditer(r"\S+", sentence)):
        span = {"char_start": start + word.start(), "char_end": start + word.end()}
        rows.append(
            {**at, **span, "word_index": i, "word": word[0], "word_lower": word_key(word[0]), "tokens": [word[0]]}
        )
    return rows


def _transition(at: Row, kind: str, margin: float, next_doc_id: str, next_index: int) -> Row:
    logits = {"nsp_logit_is_next": margin, "nsp_logit_not_next": 0.0}
    following = {"next_doc_id": next_doc_id, "next_sentence_index": next_index}
    return {**at, "kind": kind, **following, **logits, "cosine": 0.5, "n_truncated": 0}
