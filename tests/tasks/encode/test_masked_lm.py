"""Surprisals equal those of masking one token at a time with transformers, whatever the batches."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.storage.errors import ModelError, UsageError
from polyseme.storage.records import PllVariant
from polyseme.tasks.encode import masked_lm
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference.predictions import fill_masks, surprisals
from tests.conftest import MakeCheckpoint
from tests.reference import one_thread

TEXTS = ["The unbelievableness of untruths.", "", "Rain fell.", "A river's bank, undercut for years, slid away."]


@cache
def pretrained(folder: Path) -> Any:
    """The model as transformers loads it, once for all texts."""
    import torch
    from transformers import BertForPreTraining

    return BertForPreTraining.from_pretrained(folder, dtype=torch.float32).eval()


def one_at_a_time(engine: Engine, text: str, variant: PllVariant) -> list[float]:
    """The definition, run with transformers: mask a token, read its log probability."""
    import torch

    model = pretrained(engine.checkpoint.folder)
    wordpiece = engine.wordpiece
    tokens = wordpiece.explain(text)
    ids = [t.token_id for t in tokens]
    found = []
    for i, token in enumerate(tokens):
        masked = [
            j == i or (variant == "within_word_l2r" and j > i and other.word_index == token.word_index)
            for j, other in enumerate(tokens)
        ]
        inner = [wordpiece.mask_id if m else n for m, n in zip(masked, ids, strict=True)]
        row = [wordpiece.cls_id, *inner, wordpiece.sep_id]
        with torch.inference_mode(), one_thread():
            logits = model(torch.tensor([row])).prediction_logits[0, i + 1].double()
        found.append(float(-torch.log_softmax(logits, 0)[ids[i]]))
    return found


@pytest.mark.parametrize("variant", ["original", "within_word_l2r"])
def test_surprisals_are_those_of_masking_one_token_at_a_time(mini: Engine, variant: PllVariant) -> None:
    for text, found in zip(TEXTS, surprisals(mini, TEXTS, variant=variant), strict=True):
        assert [t.surprisal for t in found] == pytest.approx(one_at_a_time(mini, text, variant), abs=1e-3)
        assert [t.token for t in found] == [t.token for t in mini.wordpiece.explain(text)]


def test_the_rest_of_the_word_gives_nothing_away_if_it_is_masked(mini: Engine) -> None:
    text = ["The unbelievableness of it."]
    visible, masked = (surprisals(mini, text, variant=v)[0] for v in ("original", "within_word_l2r"))
    assert masked[1].token == "unbelievable"
    assert masked[1].surprisal > visible[1].surprisal
    assert masked[2].surprisal == pytest.approx(visible[2].surprisal, abs=1e-3)


def test_the_number_of_copies_run_at_once_makes_no_difference(mini: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = surprisals(mini, TEXTS)
    monkeypatch.setattr(masked_lm, "_TOKENS_AT_ONCE", 20)
    for some, all_ in zip(surprisals(mini, TEXTS), whole, strict=True):
        assert [t.surprisal for t in some] == pytest.approx([t.surprisal for t in all_], abs=1e-4)


@pytest.mark.parametrize("variant", ["original", "within_word_l2r"])
def test_no_more_tokens_are_run_than_one_pass_per_token_needs(mini: Engine, variant: PllVariant) -> None:
    run: list[int] = []
    found = surprisals(mini, TEXTS, variant=variant, on_batch=run.append)
    assert sum(run) == sum(len(tokens) * (len(tokens) + 2) for tokens in found)


def test_every_token_of_a_text_beyond_the_limit_is_scored(tiny: Engine) -> None:
    text = "The old bank by the river lent money. " * 12
    (found,) = surprisals(tiny, [text])
    assert len(found) == len(tiny.wordpiece.explain(text)) > tiny.spec.max_tokens
    assert all(np.isfinite(t.surprisal) and t.surprisal > 0 for t in found)


def test_good_order_is_less_surprising_than_bad(mini: Engine) -> None:
    good, bad = surprisals(mini, ["The dog barked at the postman.", "Dog the at barked postman the."])
    assert sum(t.surprisal for t in good) < sum(t.surprisal for t in bad)


def test_without_an_mlm_head_there_is_no_surprisal(make_checkpoint: MakeCheckpoint) -> None:
    folder: Path = make_checkpoint("BertForNextSentencePrediction")
    with pytest.raises(ModelError, match="no MLM head"):
        surprisals(Engine(EngineConfig(model=str(folder), device="cpu")), ["The bank."])


def test_targets_are_ranked_by_their_probability_in_the_whole_vocabulary(mini: Engine) -> None:
    text = "He put his money in the [MASK]."
    found = fill_masks(mini, text, k=1, targets=["pitch", "bank"])
    assert [c.token for c in found] == ["bank", "pitch"]
    everything = {c.token: c.probability for c in fill_masks(mini, text, k=mini.wordpiece.vocab_size)}
    assert [c.probability for c in found] == pytest.approx([everything["bank"], everything["pitch"]])


@pytest.mark.parametrize("target", ["unbelievableness", "", "[MASK]", "two words"])
def test_a_target_of_no_or_several_tokens_is_rejected(mini: Engine, target: str) -> None:
    with pytest.raises(UsageError, match="one token"):
        fill_masks(mini, "[MASK]", k=1, targets=[target])
