"""Heads that are neither NSP nor MLM fill columns of their own, with the numbers of transformers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Document, Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference.predictions import next_sentence
from tests.reference import assert_close, one_thread
from tests.tasks.reused_lakes import embed, rows, stored
from tests.tasks.test_engine_families import TEXTS, engine, saved

TEXT = "The quick brown fox isn't naïve. It is a fox! Nobody knew it. The river left its bank in spring."
CHANGED = TEXT.replace("Nobody knew it.", "Nobody ever knew it.")


def tables(made: Engine, text: str, outputs: Outputs) -> dict[str, list[dict[str, Any]]]:
    made.check(outputs)
    now = datetime(2026, 11, 28, tzinfo=UTC)
    (chunk,) = made.run([Document("a", "a", text)], outputs, version=1, seed=0, ingested_at=now)
    return {name: table.to_pylist() for name, table in chunk.tables.items()}


def test_the_sentence_order_head_of_albert_fills_the_order_margin_and_no_nsp(tmp_path: Path) -> None:
    folder = saved(tmp_path, "albert", "ForPreTraining")
    made = engine(folder)
    found = tables(made, TEXT, Outputs("sentences", None))
    texts = [row["text"] for row in found["sentences"]]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AlbertForPreTraining.from_pretrained(folder, dtype=torch.float32).eval()
    assert len(found["transitions"]) >= 3
    for row in found["transitions"]:
        two = texts[row["sentence_index"]], texts[row["next_sentence_index"]]
        pair = tokenizer(*two, return_token_type_ids=True, return_tensors="pt")
        assert pair["token_type_ids"].any()
        with torch.inference_mode(), one_thread():
            logits = model(**pair).sop_logits[0]
        assert_close(np.array(row["order_margin"]), (logits[0] - logits[1]).numpy())
        assert (row["nsp_logit_is_next"], row["nsp_logit_not_next"]) == (None, None)
    with pytest.raises(ModelError, match="no NSP head: no ALBERT has one"):
        next_sentence(made, [("One.", "Two.")])


def test_a_pass_over_pairs_has_the_order_margins_of_a_pass_of_its_own(tmp_path: Path) -> None:
    folder = saved(tmp_path, "albert", "ForPreTraining")
    alone, joined = (
        tables(Engine(EngineConfig(model=str(folder), device="cpu", context=context)), TEXT, Outputs("sentences", None))
        for context in ("sentence", "pair")
    )
    steps = [
        [row["order_margin"] for row in found["transitions"] if row["kind"] == "adjacent"] for found in (alone, joined)
    ]
    assert_close(*(np.array(margins) for margins in steps))


def test_the_discriminator_of_electra_tells_of_every_token_whether_it_was_replaced(tmp_path: Path) -> None:
    folder = saved(tmp_path, "electra", "ForPreTraining")
    found = tables(engine(folder), " ".join(TEXTS), Outputs("tokens", None, nsp=False))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.ElectraForPreTraining.from_pretrained(folder, dtype=torch.float32).eval()
    for sentence in found["sentences"]:
        of_it = [row for row in found["tokens"] if row["sentence_index"] == sentence["sentence_index"]]
        logits = [row["replaced_logit"] for row in sorted(of_it, key=lambda row: int(row["token_index"]))]
        with torch.inference_mode(), one_thread():
            expected = model(**tokenizer(sentence["text"], return_tensors="pt")).logits[0].numpy()
        assert_close(np.array(logits, np.float32), expected[1:-1])


def test_other_models_have_no_such_logits(tmp_path: Path) -> None:
    found = tables(engine(saved(tmp_path, "electra")), TEXT, Outputs("tokens", None, nsp=False))
    assert {row["replaced_logit"] for row in found["tokens"]} == {None}


@pytest.mark.parametrize("name", ["albert", "electra"])
def test_a_changed_document_has_the_scores_of_a_new_lake_to_the_bit(tmp_path: Path, name: str) -> None:
    made = engine(saved(tmp_path / "model", name, "ForPreTraining"))
    outputs = Outputs("tokens", None, nsp=name == "albert")
    copied = [embed(tmp_path / "changed", [Document("a", "a", text)], made, outputs) for text in (TEXT, CHANGED)]
    embed(tmp_path / "new", [Document("a", "a", CHANGED)], made, outputs)
    assert copied[1].reused_sentences == 3
    assert stored(tmp_path / "changed") == stored(tmp_path / "new")
    column, table = {"albert": ("order_margin", "transitions"), "electra": ("replaced_logit", "tokens")}[name]
    assert rows(tmp_path / "changed", f"SELECT count({column}) > 2, count(*) - count({column}) FROM {table}") == [
        (True, 0)
    ]
