"""A checkpoint whose vectors come from a layer below the top: they cost no more, and the heads read the top."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from polyseme.storage.errors import ModelError, UsageError
from polyseme.storage.records import Layers
from polyseme.tasks.encode.masked_lm import Masking, token_surprisals
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model.encoder import Encoder
from polyseme.tasks.text.windows import SentencePairs, pair_windows, paired_context_windows, sentence_windows
from tests.conftest import MakeCheckpoint
from tests.frames import MINI
from tests.reference import assert_close, reference

PTR = np.array([0, 7, 12, 40, 60], dtype=np.int64)
IDS = np.random.default_rng(0).integers(110, 30_000, int(PTR[-1])).astype(np.int32)
NEAR = SentencePairs(np.arange(3), np.arange(1, 4))


@pytest.fixture(scope="module")
def folder(make_checkpoint: MakeCheckpoint) -> Path:
    return make_checkpoint(num_hidden_layers=6, vector_layer=4)


def encoder(folder: Path, layers: Layers = "last") -> Encoder:
    return Engine(EngineConfig(model=str(folder), device="cpu", layers=layers)).encoder


def copied(folder: Path, to: Path, **config: object) -> None:
    """Copy a checkpoint with other values in its `config.json`."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    (to / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | config))


def sentence(i: int) -> list[int]:
    return IDS[PTR[i] : PTR[i + 1]].tolist()


@pytest.mark.parametrize(("layers", "last"), [("last", 1), ("last4", 4)])
def test_vectors_are_those_of_the_vector_layer_and_scores_those_of_the_top(
    folder: Path, layers: Layers, last: int
) -> None:
    ours, truth = encoder(folder, layers), reference(folder)
    encoded = ours.encode(IDS, sentence_windows(PTR, range(4), 64, MINI), sentences=4)
    scores = ours.score_pairs(IDS, pair_windows(PTR, NEAR, 64, MINI)[0])
    for i in range(4):
        assert_close(encoded.tokens[PTR[i] : PTR[i + 1]], truth.hidden(sentence(i), last=last)[1:-1])
    for i in range(3):
        assert_close(scores[i, :2], truth.next_sentence(sentence(i), sentence(i + 1)))
    masked = IDS.copy()
    masked[9] = 103
    found = ours.token_logits(masked, sentence_windows(PTR, range(4), 64, MINI), wanted=np.array([9]))
    assert_close(found, truth.masked(masked[PTR[1] : PTR[2]].tolist())[[2]])


@pytest.mark.parametrize(("layers", "last"), [("last", 1), ("last4", 4)])
def test_one_pass_over_pairs_gives_both(folder: Path, layers: Layers, last: int) -> None:
    ours = encoder(folder, layers)
    windows, _ = paired_context_windows(PTR, NEAR, 4, 64, MINI)
    both = ours.encode(IDS, windows, sentences=4, pairs=3)
    assert_close(both.logits[:, :2], ours.score_pairs(IDS, pair_windows(PTR, NEAR, 64, MINI)[0])[:, :2])
    assert_close(both.tokens[:7], reference(folder).hidden(sentence(0), sentence(1), last=last)[1:8])


def test_layers_above_the_vectors_are_not_run_for_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = encoder(folder)
    monkeypatch.setattr(ours.network, "layers", ours.network.layers[:4])
    ours.encode(IDS, sentence_windows(PTR, range(4), 64, MINI), sentences=4)


def test_four_layers_are_counted_from_the_vector_layer_down(folder: Path, tmp_path: Path) -> None:
    copied(folder, tmp_path, vector_layer=3)
    with pytest.raises(UsageError, match=r"last4 needs at least 4 layers; .* has 3 up to the one that `last` is"):
        encoder(tmp_path, "last4")


@pytest.mark.parametrize(
    ("written", "stored"),
    [("4", "last"), ("mean:1-4", "last4"), ("last1", "last"), ("6", "6"), ("mean:3-6", "mean:3-6")],
)
def test_what_ends_at_the_vector_layer_is_the_encoding_that_earlier_releases_made(
    folder: Path, written: Layers, stored: Layers
) -> None:
    numbers, named = (Engine(EngineConfig(model=str(folder), device="cpu", layers=one)) for one in (written, stored))
    assert numbers.spec == named.spec
    assert numbers.spec.layers == stored


def test_surprisals_are_those_of_the_top(folder: Path) -> None:
    ids = IDS[:7]
    masking = Masking("original", 103)
    found = token_surprisals(
        encoder(folder), ids, sentence_windows(PTR[:2], range(1), 64, MINI), np.arange(7), masking=masking
    )
    for at in (0, 6):
        row = ids.copy()
        row[at] = 103
        logits = torch.from_numpy(reference(folder).masked(row.tolist())[at])
        assert float(found[at]) == pytest.approx(-float(torch.log_softmax(logits, 0)[ids[at]]), abs=1e-3)


def test_an_order_head_scores_pairs_and_without_one_the_margin_is_nan(folder: Path, tmp_path: Path) -> None:
    windows, _ = pair_windows(PTR, NEAR, 64, MINI)
    plain = encoder(folder)
    assert not plain.has_order
    assert np.isnan(plain.score_pairs(IDS, windows)[:, 2]).all()
    copied(folder, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    weight, bias = torch.randn(2, 48), torch.tensor([0.5, -0.25])
    tensors |= {"cls.order_relationship.weight": weight, "cls.order_relationship.bias": bias}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ours = encoder(tmp_path)
    assert ours.has_order
    scores = ours.score_pairs(IDS, windows)
    assert_close(scores[:, :2], plain.score_pairs(IDS, windows)[:, :2])
    model = reference(folder)._model("BertForPreTraining")
    for i in range(3):
        row = [101, *sentence(i), 102, *sentence(i + 1), 102]
        types = [0] * (len(sentence(i)) + 2) + [1] * (len(sentence(i + 1)) + 1)
        with torch.inference_mode():
            pooled = model.bert(torch.tensor([row]), token_type_ids=torch.tensor([types])).pooler_output[0]
        logits = weight @ pooled + bias
        assert scores[i, 2] == pytest.approx(float(logits[0] - logits[1]), abs=1e-3)


@pytest.mark.parametrize("layer", [0, 7, "6", True, None])
def test_a_vector_layer_that_the_model_lacks_is_refused(folder: Path, tmp_path: Path, layer: object) -> None:
    copied(folder, tmp_path, vector_layer=layer)
    with pytest.raises(ModelError, match=r"layer .*; the model has layers 1 to 6"):
        encoder(tmp_path)
