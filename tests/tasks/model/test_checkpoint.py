"""A checkpoint is found, fingerprinted and loaded, or rejected with an error that says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig
from transformers.utils import logging

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model import weights as module
from polyseme.tasks.model.checkpoint import EMBEDDED, Checkpoint, find
from polyseme.tasks.model.weights import load_weights
from polyseme.tasks.text.windows import sentence_windows
from tests.conftest import MakeCheckpoint
from tests.frames import MINI
from tests.reference import assert_close, reference


def engine(folder: Path) -> Engine:
    return Engine(EngineConfig(model=str(folder), device="cpu"))


def test_the_embedded_model_has_both_heads_and_fits_the_design() -> None:
    checkpoint = find(EMBEDDED)
    weights = load_weights(checkpoint)
    assert (weights.has_nsp, weights.has_mlm) == (True, True)
    assert (checkpoint.width, checkpoint.max_tokens) == (384, 512)


@pytest.mark.parametrize(
    ("head", "nsp", "mlm"),
    [
        ("BertForPreTraining", True, True),
        ("BertForNextSentencePrediction", True, False),
        ("BertForMaskedLM", False, True),
        ("BertModel", False, False),
        ("BertForTokenClassification", False, False),
    ],
)
def test_a_head_is_there_only_if_the_file_has_it(
    make_checkpoint: MakeCheckpoint, capfd: pytest.CaptureFixture[str], head: str, nsp: bool, mlm: bool
) -> None:
    loaded = engine(make_checkpoint(head))
    capfd.readouterr()
    assert (loaded.encoder.has_nsp, loaded.encoder.has_mlm) == (nsp, mlm)
    assert capfd.readouterr() == ("", "")
    for name, there in (("NSP", nsp), ("MLM", mlm)):
        assert loaded.checkpoint.claims_head(name) is there  # type: ignore[arg-type]
        if not there:
            with pytest.raises(ModelError, match=rf"no {name} head.*polyseme-mini"):
                loaded.encoder.require(name)  # type: ignore[arg-type]


def test_a_missing_nsp_head_is_an_error_before_anything_is_loaded(make_checkpoint: MakeCheckpoint) -> None:
    without = engine(make_checkpoint("BertModel"))
    with pytest.raises(ModelError, match="--no-nsp"):
        without.check(Outputs())
    without.check(Outputs(nsp=False))


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_pickled_weights_are_never_loaded(copied: Path) -> None:
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled"):
        _ = engine(copied).encoder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, "'gpt2' model.*decoder"),
        ({"model_type": "their_own", "auto_map": {"AutoModel": "x.py"}}, "never runs"),
        ({"is_decoder": True}, "bidirectional"),
        ({"position_embedding_type": "relative_key"}, "the positions of its family"),
    ],
)
def test_another_architecture_is_rejected(copied: Path, changes: dict[str, object], message: str) -> None:
    edit_config(copied, **changes)
    with pytest.raises(ModelError, match=message):
        _ = engine(copied).encoder


def test_a_damaged_file_is_an_error_and_not_random_weights(copied: Path) -> None:
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"could not be loaded|not a readable"):
        _ = engine(copied).encoder


@pytest.mark.parametrize(
    "changes", [{"num_hidden_layers": 6}, {"intermediate_size": 64}, {"max_position_embeddings": 128}]
)
def test_a_body_that_lacks_weights_is_an_error_and_not_random_weights(copied: Path, changes: dict[str, object]) -> None:
    edit_config(copied, **changes)
    with pytest.raises(ModelError, match=r"lacks \d+ weights.*or has them in another shape"):
        _ = engine(copied).encoder


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


@pytest.mark.parametrize("name", ["bert.encoder.layer.2.output.dense.weight", "bert.embeddings.LayerNorm.bias"])
def test_one_missing_weight_is_named(copied: Path, name: str) -> None:
    edit_weights(copied, lambda tensors: tensors.__delitem__(name))
    with pytest.raises(ModelError, match=rf"lacks 1 weights.*{name}"):
        _ = engine(copied).encoder


def test_a_head_of_another_shape_is_a_missing_head(copied: Path) -> None:
    edit_weights(copied, lambda tensors: tensors.update({"cls.seq_relationship.weight": torch.zeros(3, 48)}))
    loaded = engine(copied).encoder
    assert (loaded.has_nsp, loaded.has_mlm) == (False, True)


def vectors(folder: Path) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    ids = np.arange(1000, 1020, dtype=np.int32)
    return (
        engine(folder).encoder.encode(ids, sentence_windows(np.array([0, 20]), range(1), 64, MINI), sentences=1).tokens
    )


def test_weights_under_their_old_names_are_the_same_weights(copied: Path, tiny_folder: Path) -> None:
    def rename(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            tensors[old] = tensors.pop(name)

    edit_weights(copied, rename)
    assert (vectors(copied) == vectors(tiny_folder)).all()


def test_weights_stored_in_float16_are_computed_in_float32(copied: Path) -> None:
    edit_weights(copied, lambda tensors: tensors.update({n: t.half() for n, t in tensors.items()}))
    assert_close(vectors(copied), reference(copied).hidden(list(range(1000, 1020)))[1:-1])


def test_the_fast_path_to_weights_and_transformers_agree(tiny_folder: Path) -> None:
    fast = load_weights(Checkpoint("tiny", tiny_folder))
    slow = module._load_with_transformers(Checkpoint("tiny", tiny_folder))
    assert (fast.has_nsp, fast.has_mlm) == (slow.has_nsp, slow.has_mlm) == (True, True)
    assert all((tensor == slow.tensors[name]).all() for name, tensor in fast.tensors.items())


def test_loading_leaves_the_settings_of_transformers_as_they_were(make_checkpoint: MakeCheckpoint) -> None:
    def settings() -> tuple[int, bool]:
        return logging.get_verbosity(), logging.is_progress_bar_enabled()

    def choose(verbosity: int, bars: bool) -> None:
        logging.set_verbosity(verbosity)
        switch: Any = logging.enable_progress_bar if bars else logging.disable_progress_bar
        switch()

    folder, before = make_checkpoint("BertModel"), settings()
    try:
        for chosen in ((20, True), (40, False)):
            choose(*chosen)
            load_weights(Checkpoint("body", folder))
            assert settings() == chosen
    finally:
        choose(*before)


def test_missing_values_of_a_config_have_the_defaults_of_transformers(copied: Path) -> None:
    (copied / "config.json").write_text('{"model_type": "bert"}')
    config, truth = Checkpoint("bare", copied).config, BertConfig()
    assert {name: getattr(truth, name) for name in config} == config


def test_a_config_of_the_oldest_checkpoints_is_enough(copied: Path, tiny_folder: Path) -> None:
    path = copied / "config.json"
    config = json.loads(path.read_text())
    kept = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    path.write_text(json.dumps({n: config[n] for n in (*kept, "max_position_embeddings", "model_type")}))
    assert (vectors(copied) == vectors(tiny_folder)).all()


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00"])
def test_an_unreadable_config_is_an_error(copied: Path, content: str) -> None:
    (copied / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config\.json could not be read"):
        engine(copied).check(Outputs())


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_the_error_for_an_incomplete_folder_names_what_is_missing(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(ModelError, match=r"config\.json"):
        engine(copied).check(Outputs())


def test_the_error_for_a_path_that_does_not_exist_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="leave it out for polyseme-mini"):
        find(str(tmp_path / "nowhere"))


def test_the_fingerprint_follows_the_weights_and_not_the_folder(
    tiny_folder: Path, copied: Path, make_checkpoint: MakeCheckpoint
) -> None:
    assert Checkpoint("a", copied).sha256 == Checkpoint("b", tiny_folder).sha256
    assert engine(copied).spec.encoding_id == engine(tiny_folder).spec.encoding_id
    other = make_checkpoint(hidden_act="relu")
    assert engine(other).spec.encoding_id != engine(tiny_folder).spec.encoding_id
