"""Indexes of a small lake: made in a test, and compared with the parts that they are of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import EncodingSpec
from polyseme.storage.search.candidate_vectors import CandidateVectors
from polyseme.storage.search.candidates import Candidates
from polyseme.storage.search.index import Index, IndexFiles
from polyseme.storage.search.segment import Segment
from tests import lakes

SPEC = lakes.make_spec(width=70)


def commit(catalog: Catalog, *doc_ids: str, sentences: int = 3, spec: EncodingSpec = SPEC) -> None:
    """Commit documents with so many sentences each, as a run of their own."""
    lakes.commit(catalog, spec, {d: [f"{d} {i}." for i in range(sentences)] for d in doc_ids})


def opened(catalog: Catalog, table: str = "sentences") -> Index:
    """Return the index of a table of the default encoding, made as far as it is not there."""
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    return IndexFiles(catalog.lake, snapshot, snapshot.default, table).open(lambda: None, lambda progress: None)


def files_of(catalog: Catalog) -> IndexFiles:
    """Return the files of the index of the sentences of the lake's default encoding."""
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    return IndexFiles(catalog.lake, snapshot, snapshot.default, "sentences")


def assert_is_of_the_parts(catalog: Catalog, index: Index, table: str = "sentences") -> None:
    """Compare documents, sentences, codes and vectors of every live row with the parts themselves."""
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    parts = snapshot.parts.get((snapshot.default.encoding_id, table), ())
    assert sorted(part for used in index.used for part in used) == sorted(parts)
    for segment, used in zip(index.segments, index.used, strict=True):
        for number in (n for n, part in enumerate(segment.parts) if part in used):
            rows = np.arange(segment.starts[number], segment.starts[number + 1])
            assert_rows(catalog.lake, segment, number, rows)


def of_rows(segment: Segment, rows: np.ndarray) -> Candidates:
    """Return rows of a segment as candidates."""
    return Candidates(segment, rows, np.ones(len(rows), np.float32))


def assert_rows(lake: Lake, segment: Segment, number: int, rows: np.ndarray) -> None:
    with lake.files.fetched(segment.parts[number]) as file:
        stored = pq.read_table(file, partitioning=None)
    document, sentence = segment.documents_of(rows)
    assert segment.doc_id.take(pa.array(document)).to_pylist() == stored["doc_id"].to_pylist()
    assert segment.version[document].tolist() == stored["version"].to_pylist()
    assert sentence.tolist() == stored["sentence_index"].to_pylist()
    vectors = stored["embedding"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    assert np.array_equal(CandidateVectors(lake).read(of_rows(segment, rows), lambda: None), vectors)
    unit = vectors.astype(np.float32) / np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True)
    places, coded = segment.place[rows], segment.frame.encode(unit)
    assert np.array_equal(segment.coded(places).bits, coded.bits)
    assert np.array_equal(segment.coded(places).cell, coded.cell)
