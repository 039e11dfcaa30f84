"""Checkpoints of every family are read by their own names and defaults, or refused with a message that names them."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from polyseme.storage.errors import ModelError
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.model.families.known import PACKED
from polyseme.tasks.model.weights import load_weights
from tests.random_models import KINDS, save_random

OTHERS = sorted(PACKED.keys() - {"bert"})
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One checkpoint with an MLM head of each family."""
    return {name: save_random(tmp_path_factory.mktemp(name), kind, "ForMaskedLM") for name, kind in KINDS.items()}


@pytest.fixture(params=OTHERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def copied(folders: dict[str, Path], name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders[name], tmp_path / "copied"))


def configure(folder: Path, **changes: object) -> Checkpoint:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return Checkpoint("some model", folder)


def edit(folder: Path, change: Callable[[Tensors], object]) -> Checkpoint:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})
    return Checkpoint("some model", folder)


def refused(checkpoint: Checkpoint) -> str:
    with pytest.raises(ModelError) as error:
        load_weights(checkpoint)
    return str(error.value)


def first_layer(tensors: Tensors) -> str:
    """The name of a weight of a layer that is not the first by name."""
    return sorted(name for name in tensors if "layer" in name and name.endswith("weight"))[3]


def test_all_families_are_tested() -> None:
    assert set(OTHERS) == set(KINDS)


def test_missing_values_of_a_config_have_the_defaults_of_transformers(name: str, tmp_path: Path) -> None:
    import transformers

    (tmp_path / "config.json").write_text(json.dumps({"model_type": name}))
    config = Checkpoint("bare", tmp_path).config
    truth = getattr(transformers, KINDS[name].classes + "Config")()
    theirs = {field: getattr(truth, field) for field in config if hasattr(truth, field)}
    ours = {field: value for field, value in config.items() if field in theirs}
    assert ours == theirs
    assert config.keys() - theirs.keys() <= {"global_attn_every_n_layers"}


def test_sizes_are_those_of_the_family(folders: dict[str, Path], name: str) -> None:
    checkpoint, kind = Checkpoint("model", folders[name]), KINDS[name]
    assert (checkpoint.width, checkpoint.max_tokens, checkpoint.layers) == (36, kind.limit, kind.layers)
    assert (checkpoint.claims_head("MLM"), checkpoint.claims_head("NSP")) == (True, False)


@pytest.mark.parametrize("value", [0, -1, 1 << 30, "36", None, True])
def test_sizes_that_no_model_has_are_refused_by_their_own_name(copied: Path, name: str, value: object) -> None:
    stored = (copied / "config.json").read_text()
    for field in PACKED[name].own_sizes():
        message = refused(configure(copied, **{field: value}))
        assert field in message
        assert str(value)[:40] in message
        (copied / "config.json").write_text(stored)


def test_weights_of_other_sizes_are_refused_before_memory_is_taken(copied: Path, name: str) -> None:
    field = PACKED[name].fields.get("hidden_size", "hidden_size")
    checkpoint = configure(copied, vocab_size=1 << 24, **{field: 36 << 8})
    began = time.process_time()
    message = refused(checkpoint)
    assert f"weights of the {PACKED[name].title} body" in message
    assert time.process_time() - began < 2


def test_a_missing_weight_is_named(copied: Path, name: str) -> None:
    gone: list[str] = []

    def remove(tensors: Tensors) -> None:
        gone.append(first_layer(tensors))
        del tensors[gone[0]]

    message = refused(edit(copied, remove))
    assert "lacks 1 weights" in message
    assert gone[0] in message


def test_a_weight_under_another_name_is_missing(copied: Path) -> None:
    def rename(tensors: Tensors) -> None:
        old = first_layer(tensors)
        tensors["their." + old] = tensors.pop(old)

    assert "lacks 1 weights" in refused(edit(copied, rename))


def test_a_missing_part_of_many_is_missing_weights(name: str, tmp_path: Path) -> None:
    folder = save_random(tmp_path, KINDS[name], shard="10KB")
    sorted(folder.glob("*.safetensors"))[1].unlink()
    assert f"weights of the {PACKED[name].title} body" in refused(Checkpoint("some model", folder))


def test_weights_that_are_not_numbers_are_refused(copied: Path) -> None:
    assert "NaN" in refused(edit(copied, lambda tensors: tensors[first_layer(tensors)].view(-1)[3:4].fill_(torch.nan)))


def test_a_head_of_which_a_weight_is_missing_or_of_another_shape_is_missing(copied: Path, name: str) -> None:
    heads = {"distilbert": "vocab_transform.weight", "electra": "generator_predictions.dense.weight",
             "albert": "predictions.dense.weight", "modernbert": "head.dense.weight"}  # fmt: skip
    weight = heads.get(name, "lm_head.dense.weight")
    checkpoint = edit(copied, lambda tensors: tensors.update({weight: torch.zeros(7, 36)}))
    assert (checkpoint.claims_head("MLM"), load_weights(checkpoint).has_mlm) == (False, False)
    checkpoint = edit(copied, lambda tensors: tensors.pop(weight))
    assert (checkpoint.claims_head("MLM"), load_weights(checkpoint).has_mlm) == (False, False)


def test_an_untied_head_without_its_matrix_is_missing_and_a_tied_one_is_not(copied: Path) -> None:
    assert load_weights(Checkpoint("tied", copied)).has_mlm
    assert not load_weights(configure(copied, tie_word_embeddings=False)).has_mlm


def test_pickled_weights_are_never_loaded(copied: Path) -> None:
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    assert "pickled" in refused(Checkpoint("some model", copied))


def test_weights_under_their_old_names_are_the_same_weights(copied: Path, folders: dict[str, Path], name: str) -> None:
    def rename(tensors: Tensors) -> None:
        for weight in [weight for weight in tensors if "LayerNorm." in weight]:
            stem, kind = weight.rsplit(".", 1)
            tensors[f"{stem}.{'gamma' if kind == 'weight' else 'beta'}"] = tensors.pop(weight)

    renamed, whole = load_weights(edit(copied, rename)), load_weights(Checkpoint("model", folders[name]))
    assert renamed.tensors.keys() == whole.tensors.keys()
    assert all((tensor == renamed.tensors[weight]).all() for weight, tensor in whole.tensors.items())


def test_weights_stored_in_float16_are_read_as_float32(copied: Path, folders: dict[str, Path], name: str) -> None:
    halves = edit(copied, lambda tensors: tensors.update({n: t.half() for n, t in tensors.items()}))
    whole = load_weights(Checkpoint("model", folders[name])).tensors
    for weight, tensor in load_weights(halves).tensors.items():
        assert tensor.dtype == torch.float32
        assert (tensor == whole[weight].half().float()).all()


CONFIGS: list[tuple[str, dict[str, Any], str]] = [
    ("roberta", {"is_decoder": True}, "RoBERTa, is a decoder"),
    ("xlm-roberta", {"position_embedding_type": "relative_key"}, "relative positions"),
    ("camembert", {"pad_token_id": None}, "pad_token_id"),
    ("roberta", {"pad_token_id": 40}, "pad_token_id"),
    ("electra", {"is_decoder": True}, "ELECTRA, is a decoder"),
    ("mpnet", {"relative_attention_num_buckets": 16}, "relative_attention_num_buckets"),
    ("albert", {"num_hidden_groups": 9}, "num_hidden_groups"),
    ("modernbert", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "rope_scaling"),
    ("modernbert", {"layer_types": ["full_attention"]}, "layer_types"),
    ("modernbert", {"layer_types": 7}, "layer_types"),
    ("modernbert", {"global_attn_every_n_layers": 0}, "global_attn_every_n_layers"),
    ("modernbert", {"num_attention_heads": 12}, "odd size"),
    ("mpnet", {"max_position_embeddings": 2}, "max_position_embeddings"),
    ("distilbert", {"n_heads": 5}, "n_heads"),
    ("roberta", {"hidden_act": "no_such_function"}, "no_such_function"),
]


@pytest.mark.parametrize(("which", "changes", "message"), CONFIGS)
def test_a_configuration_that_cannot_be_run_is_refused(
    folders: dict[str, Path], tmp_path: Path, which: str, changes: dict[str, Any], message: str
) -> None:
    from polyseme.tasks.model.encoder import Encoder

    checkpoint = configure(Path(shutil.copytree(folders[which], tmp_path / "copied")), **changes)
    with pytest.raises(ModelError, match=message):
        Encoder(checkpoint, device=torch.device("cpu"))


def test_bases_of_rotary_positions_are_read_from_old_and_new_files() -> None:
    from polyseme.tasks.model.families.modernbert import theta

    kinds = ("full_attention", "sliding_attention")
    assert [theta({}, kind) for kind in kinds] == [160_000, 10_000]
    old = {"global_rope_theta": 5e5, "local_rope_theta": 7e3}
    assert [theta(old, kind) for kind in kinds] == [5e5, 7e3]
    new = {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 9e4}}}
    assert [theta(new, kind) for kind in kinds] == [9e4, 10_000]


def test_a_family_that_is_not_bert_is_not_trained(folders: dict[str, Path], name: str) -> None:
    from polyseme.tasks.training.network import start_from

    with pytest.raises(ModelError, match=rf"{PACKED[name].title}; Polyseme trains BERTs only"):
        start_from(Checkpoint("some model", folders[name]), seed=0)
