"""Tiers of an encoding: rows are copied within one to the bit, and moved to a smaller one without the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, Outputs
from polyseme.storage.sql.connection import connect
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.shards import store_loss
from tests import lakes
from tests.tasks.conftest import document
from tests.tasks.reused_lakes import embed, rows, stored

STORES = ["int8", "binary", "sentences=int8,words=binary", "sentences=float16,words=int8"]
STORY = ["It rains!", "Nobody came.", "The bank was steep.", "Was it cold?", "She left the house.", "Yes."]
EVERYTHING = Outputs("tokens", None, nsp=True, pll="original")


@pytest.fixture(scope="module")
def engines(foreign_folder: Path) -> dict[str, Engine]:
    config = EngineConfig(model=str(foreign_folder), device="cpu", context="window")
    return {store: Engine(replace(config, store=store)) for store in ("float16", *STORES)}


def corpus(*texts: Sequence[str]) -> list[Document]:
    return [document(f"d{i}", " ".join(text), f"file:///d{i}") for i, text in enumerate(texts)]


@pytest.mark.parametrize("store", STORES)
def test_a_changed_lake_equals_a_new_one_in_every_tier(engines: dict[str, Engine], tmp_path: Path, store: str) -> None:
    engine, edited = engines[store], [*STORY[:3], "It snows.", *STORY[4:]]
    embed(tmp_path / "changed", corpus(STORY, STORY[2:]), engine, EVERYTHING)
    counts = embed(tmp_path / "changed", corpus(edited, STORY[2:], STORY), engine, EVERYTHING)
    assert counts.reused_sentences > 0
    embed(tmp_path / "fresh", corpus(edited, STORY[2:], STORY), engine, EVERYTHING)
    assert stored(tmp_path / "changed") == stored(tmp_path / "fresh")
    assert counts.rounded_documents == 0, "what is copied within an encoding is not rounded"


@pytest.mark.parametrize("store", STORES)
def test_a_smaller_tier_is_filled_from_float16_without_the_model(
    engines: dict[str, Engine], tmp_path: Path, store: str
) -> None:
    outputs = EVERYTHING
    embed(tmp_path / "moved", corpus(STORY, STORY[2:]), engines["float16"], outputs)
    with Catalog.open(Lake(tmp_path / "moved")) as catalog, catalog.writing() as connection:
        connection.exec_driver_sql("UPDATE document_versions SET device = 'cpu-there'")
    counts = embed(tmp_path / "moved", corpus(STORY, STORY[2:]), engines[store], outputs)
    assert (counts.forward_tokens, counts.documents, counts.reused_tokens) == (0, 2, counts.tokens)
    assert (counts.rounded_documents, counts.encoded_documents) == (2, 0)
    embed(tmp_path / "fresh", corpus(STORY, STORY[2:]), engines[store], outputs)
    with Catalog.open(Lake(tmp_path / "moved")) as catalog:
        encoding = next(e for e in catalog.encodings() if e.spec.store == store)
        catalog.set_default_encoding(encoding.name)
        devices = {v.device for v in catalog.lookup(encoding.encoding_id, ["d0", "d1"]).values()}
        assert devices == {"cpu-there"}, "the vectors are still those that it computed"
    assert stored(tmp_path / "moved") == stored(tmp_path / "fresh")


def test_float16_is_never_made_from_fewer_bits(engines: dict[str, Engine], tmp_path: Path) -> None:
    for store in ("int8", "float16", "binary"):
        counts = embed(tmp_path, corpus(STORY), engines[store], Outputs())
        assert (counts.forward_tokens == 0) == (store == "binary"), "which float16 has, and int8 has not"
    embed(tmp_path / "fresh", corpus(STORY), engines["float16"], Outputs())
    with Catalog.open(Lake(tmp_path)) as catalog:
        catalog.set_default_encoding(next(e.name for e in catalog.encodings() if e.spec.store == "float16"))
    assert stored(tmp_path) == stored(tmp_path / "fresh")


def test_what_float16_lacks_is_computed(engines: dict[str, Engine], tmp_path: Path) -> None:
    embed(tmp_path, corpus(STORY, STORY), engines["float16"], Outputs("sentences"))
    counts = embed(tmp_path, corpus(STORY, STORY), engines["int8"], Outputs("words"))
    assert (counts.reused_tokens, counts.forward_tokens > 0) == (0, True)
    assert counts.rounded_documents == 0
    edited = corpus(STORY, ["Another text."])
    counts = embed(tmp_path / "edited", corpus(STORY, STORY), engines["float16"], Outputs("words"))
    counts = embed(tmp_path / "edited", edited, engines["int8"], Outputs("words"))
    assert 0 < counts.reused_sentences < counts.sentences
    assert (counts.rounded_documents, counts.encoded_documents) == (1, 1)


@pytest.mark.parametrize("store", STORES)
def test_the_loss_is_measured_on_the_lakes_own_vectors(engines: dict[str, Engine], tmp_path: Path, store: str) -> None:
    embed(tmp_path, corpus(STORY, STORY[2:]), engines[store], Outputs("words"))
    found = rows(tmp_path, "SELECT stored_sentences, stored_words FROM encodings")[0]
    for table, measured in zip(("sentences", "words"), found, strict=True):
        tier = lakes.layouts_of(engines[store].spec).of(table).tier
        if tier == "float16":
            assert measured is None
            continue
        assert isinstance(measured, dict)
        assert measured["vectors"] == rows(tmp_path, f"SELECT count(*) FROM {table}")[0][0]
        assert measured["bytes_a_vector"] > 0
        if tier == "int8":
            assert measured["cosine"] >= measured["least_cosine"] > 0.999
    with Catalog.open(Lake(tmp_path)) as catalog:
        (encoding,) = catalog.encodings()
        assert encoding.losses.keys() == set(store_loss.unmeasured(encoding)), "until 2,000 vectors are there"


def test_recall_counts_a_tie_and_does_not_count_the_question() -> None:
    exact = np.eye(30, dtype=np.float32)
    assert store_loss.recall(exact, exact[::-1].copy(), np.arange(30)) == 1, "all others are as near as the tenth"
    random = np.random.default_rng(3).standard_normal((200, 8)).astype(np.float32)
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    assert store_loss.recall(random, random, np.arange(50)) == 1
    shuffled = np.random.default_rng(4).permutation(random)
    assert store_loss.recall(random, shuffled, np.arange(50)) < 0.3


def test_plain_duckdb_reads_every_tier(engines: dict[str, Engine], tmp_path: Path) -> None:
    for store in STORES:
        embed(tmp_path / store, corpus(STORY), engines[store], Outputs())
        with connect(tmp_path / store) as con:
            sql = "SELECT array_cosine_similarity(a.embedding, b.embedding) FROM sentences a, sentences b"
            assert all(-1.001 <= value <= 1.001 for (value,) in con.execute(sql).fetchall())
