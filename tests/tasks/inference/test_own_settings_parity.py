"""Vectors of texts equal those of sentence-transformers for the checkpoints that it saves, module by module."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.storage.records import Context
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference.vectors import text_vectors, token_and_text_vectors
from tests.conftest import MakeCheckpoint
from tests.extras import require
from tests.tasks.test_engine_families import TEXTS as NORMALISED
from tests.tasks.test_engine_families import saved as save_family
from tests.tokenizers import SENTENCES

pytestmark = pytest.mark.extra
TEXTS = [text for text in SENTENCES if text.strip("\u200b\ufffd ")]


@pytest.fixture
def save(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> Any:
    """Return a function that saves a random checkpoint with modules behind its transformer, and returns both."""
    require("sentence_transformers", "parity")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    def saved(pooling: str, *behind: Any, **options: Any) -> tuple[Engine, SentenceTransformer]:
        base = shutil.copytree(make_checkpoint("BertModel"), tmp_path / "base")
        transformer = Transformer(str(base), max_seq_length=60)
        modules = [transformer, Pooling(48, pooling_mode=pooling), *behind]
        SentenceTransformer(modules=modules, device="cpu", **options).save(str(tmp_path / "saved"))
        theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
        return Engine(EngineConfig(model=str(tmp_path / "saved"), device="cpu")), theirs

    return saved


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken", "weightedmean"])
@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "mpnet", "albert", "modernbert", "deberta-v2"])
def test_pooling_and_prompts_of_other_families_are_sentence_transformers(
    tmp_path: Path, family: str, pooling: str
) -> None:
    require("sentence_transformers", "parity")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    base = save_family(tmp_path / "base", family, "Model")
    padding = "<pad>" if family in ("roberta", "xlm-roberta") else "[PAD]"
    transformer = Transformer(str(base), max_seq_length=140)
    transformer.tokenizer.pad_token = padding
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling)]
    prompts = {"query": "the ", "document": "the quick brown "}  # of letters that every vocabulary here has
    SentenceTransformer(modules=modules, device="cpu", prompts=prompts).save(str(tmp_path / "saved"))
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    assert_equal(Engine(EngineConfig(model=str(tmp_path / "saved"), device="cpu")), theirs, NORMALISED)


def assert_equal(engine: Engine, theirs: Any, texts: Sequence[str] = TEXTS) -> None:
    queries, documents = theirs.encode_query(texts), theirs.encode_document(texts)
    np.testing.assert_allclose(text_vectors(engine, texts), queries, atol=1e-4)
    np.testing.assert_allclose(token_and_text_vectors(engine, texts)[1], documents, atol=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken", "weightedmean"])
def test_every_pooling_is_sentence_transformers(save: Any, pooling: str) -> None:
    assert_equal(*save(pooling))


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken", "weightedmean"])
def test_prompts_are_sentence_transformers(save: Any, pooling: str) -> None:
    engine, theirs = save(pooling, prompts={"query": "query: ", "document": "a longer passage: "})
    assert (engine.spec.query_prompt, engine.spec.prompt) == ("query: ", "a longer passage: ")
    assert_equal(engine, theirs)


@pytest.mark.parametrize("activation", ["Tanh", "Identity", "ReLU", "Sigmoid", "GELU"])
def test_dense_layers_and_length_are_sentence_transformers(save: Any, activation: str) -> None:
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    made = getattr(torch.nn, activation)()
    engine, theirs = save("mean", Dense(48, 20, activation_function=made), Dense(20, 30, bias=False), Normalize())
    assert engine.spec.width == 30
    assert_equal(engine, theirs)


def test_the_length_of_a_window_is_sentence_transformers(save: Any) -> None:
    engine, theirs = save("mean")
    assert engine.spec.max_tokens == theirs.max_seq_length == 60


@pytest.mark.parametrize("context", ["window", "pair"])
def test_normalised_vectors_have_length_1_in_every_context(save: Any, context: Context) -> None:
    from sentence_transformers.sentence_transformer.modules import Normalize

    engine, _ = save("mean", Normalize())
    found = text_vectors(Engine(EngineConfig(model=engine.config.model, device="cpu", context=context)), TEXTS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
