"""A checkpoint of any family with its own tokenizer: texts in, the vectors of transformers out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Document, Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference.predictions import fill_masks
from polyseme.tasks.inference.vectors import text_vectors
from polyseme.tasks.reading.normalization import normalise
from tests.random_models import KINDS, Kind, save_random
from tests.reference import assert_close, one_thread
from tests.tasks.model.test_generic import KINDS as OTHERS
from tests.tokenizers import SENTENCES, save_tokenizer

ALL = KINDS | {"deberta-v2": OTHERS["deberta-v2"]}
TEXTS = [normalise(text) for text in SENTENCES if text.strip() and text.isprintable() and len(text) < 45]


def saved(folder: Path, name: str, head: str = "ForMaskedLM") -> Path:
    kind: Kind = ALL[name]
    folder.mkdir(exist_ok=True)
    save_tokenizer(folder, name)
    positions = {"max_position_embeddings": 150, "vocab_size": 700}
    # Positions begin behind the padding token, which is not in a text: here 1 is CamemBERT's unknown token.
    padding = {"pad_token_id": 3} if name == "camembert" else {}
    return save_random(folder, kind, head, **positions, **padding)


def engine(folder: Path) -> Engine:
    return Engine(EngineConfig(model=str(folder), device="cpu"))


@pytest.mark.parametrize("name", ALL)
def test_texts_in_many_scripts_have_the_vectors_of_transformers(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path, name)
    found = text_vectors(engine(folder), TEXTS)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    for text, vector in zip(TEXTS, found, strict=True):
        with torch.inference_mode(), one_thread():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        assert_close(vector, states.mean(0).numpy())


@pytest.mark.parametrize("name", ALL)
def test_a_corpus_has_a_row_for_every_word_and_no_scores_are_needed(tmp_path: Path, name: str) -> None:
    made = engine(saved(tmp_path, name))
    outputs = Outputs(nsp=False)
    made.check(outputs)
    document = Document("a", "a", " ".join(TEXTS))
    now = datetime(2026, 11, 28, tzinfo=UTC)
    (chunk,) = made.run([document], outputs, version=1, seed=0, ingested_at=now)
    words = chunk.tables["words"].to_pylist()
    assert len(words) > 40
    assert all(document.text[row["char_start"] : row["char_end"]] == row["word"] for row in words)
    vectors = np.array([row["embedding"] for row in words], np.float32)
    assert np.isfinite(vectors).all()
    assert vectors.any(axis=1).all()


@pytest.mark.parametrize("name", ALL)
def test_masks_are_filled_and_scores_of_steps_are_refused_by_the_name_of_the_family(tmp_path: Path, name: str) -> None:
    made = engine(saved(tmp_path, name))
    mask = made.wordpiece.pieces([made.wordpiece.mask_id])[0]
    assert len(fill_masks(made, f"The quick {mask} fox", k=3)) == 3
    with pytest.raises(ModelError, match=r"no NSP head and no sentence-order head: .*--no-nsp"):
        made.check(Outputs())
