"""A checkpoint's own settings are read from its sentence-transformers files; what cannot be honoured is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.storage.errors import ModelError, UsageError
from polyseme.storage.records import Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model.own_settings import OwnSettings, own_settings
from tests.conftest import MakeCheckpoint

TRANSFORMER = {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
DENSE = {"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
OLD = {"word_embedding_dimension": 48, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
LAYER = {"in_features": 48, "out_features": 8, "activation_function": "torch.nn.modules.activation.Tanh"}


def write(folder: Path, **files: Any) -> Path:
    """Write JSON files; `__` in a name stands for a folder."""
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def saved(folder: Path, *behind: dict[str, Any], pooling: dict[str, Any] = OLD, **files: Any) -> Path:
    return write(folder, modules=[TRANSFORMER, POOLING, *behind], **({"1_Pooling__config": pooling} | files))


def test_a_plain_checkpoint_says_nothing(tmp_path: Path) -> None:
    assert own_settings(tmp_path) == OwnSettings()


def test_files_of_older_and_of_present_releases_are_read(tmp_path: Path) -> None:
    prompts = {"prompts": {"query": "query: ", "passage": "passage: "}, "similarity_fn_name": "dot"}
    folder = saved(
        tmp_path, NORMALIZE, sentence_bert_config={"max_seq_length": 32}, config_sentence_transformers=prompts
    )
    found = own_settings(folder)
    assert (found.pooling, found.normalize, found.max_tokens, found.similarity) == ("cls", True, 32, "dot")
    assert (found.query_prompt, found.prompt) == ("query: ", "passage: ")
    assert own_settings(saved(tmp_path, pooling={"pooling_mode": "lasttoken"})).pooling == "last"


def test_the_default_prompt_is_for_both_and_a_named_one_before_it(tmp_path: Path) -> None:
    prompts = {"prompts": {"query": "q: ", "sts": "s: "}, "default_prompt_name": "sts"}
    found = own_settings(saved(tmp_path, config_sentence_transformers=prompts))
    assert (found.query_prompt, found.prompt) == ("q: ", "s: ")


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"modules": [TRANSFORMER]}, "no Pooling"),
        ({"modules": [POOLING]}, "Pooling as its first module"),
        ({"modules": [TRANSFORMER, POOLING, NORMALIZE, DENSE]}, "Dense behind Normalize"),
        ({"modules": [TRANSFORMER, POOLING, {"path": "2", "type": "my_code.WordWeights"}]}, "'WordWeights'"),
        ({"modules": [TRANSFORMER, {"path": "1", "type": "sentence_transformers.models.WeightedLayerPooling"}]},
         "'WeightedLayerPooling'"),
        ({"modules": [TRANSFORMER | {"path": "0_BERT"}, POOLING]}, "'0_BERT'"),
        ({"modules": [TRANSFORMER, POOLING | {"path": "../../etc"}]}, r"a module at '\.\./\.\./etc'"),
        ({"modules": {}}, "dict instead of list"),
        ({"1_Pooling__config": {"pooling_mode": ["cls", "mean"]}}, "the pooling cls and mean"),
        ({"1_Pooling__config": {"pooling_mode": "mean_sqrt_len_tokens"}}, "mean_sqrt_len_tokens"),
        ({"1_Pooling__config": {"pooling_mode": "mean", "include_prompt": False}}, "without the prompt"),
        ({"modules": [TRANSFORMER, POOLING, DENSE], "2_Dense__config": LAYER}, "no weights"),
        ({"modules": [TRANSFORMER, POOLING, DENSE], "2_Dense__config": LAYER | {"activation_function": "my.Code"}},
         "the activation function 'my.Code'"),
        ({"sentence_bert_config": {"do_lower_case": True}}, "do_lower_case"),
        ({"config_sentence_transformers": {"prompts": {"query": 1}}}, "prompts that are not texts"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(tmp_path: Path, files: dict[str, Any], what: str) -> None:
    with pytest.raises(ModelError, match=what):
        own_settings(write(saved(tmp_path), **files))


def test_pickled_weights_of_a_dense_layer_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path, DENSE, **{"2_Dense__config": LAYER})
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="pickled weights"):
        own_settings(folder)


def test_own_settings_are_defaults_that_flags_override(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    import shutil

    prompts = {"prompts": {"query": "query: ", "document": "passage: "}}
    folder = saved(
        shutil.copytree(make_checkpoint(), tmp_path / "c"), NORMALIZE, sentence_bert_config={"max_seq_length": 32},
        config_sentence_transformers=prompts,
    )  # fmt: skip
    spec = Engine(EngineConfig(model=str(folder), device="cpu")).spec
    assert (spec.pooling, spec.normalize, spec.max_tokens, spec.prompt) == ("cls", True, 32, "passage: ")
    given = EngineConfig(model=str(folder), device="cpu", pooling="mean", normalize=False, prompt="", max_tokens=40)
    changed = Engine(given).spec
    assert (changed.pooling, changed.normalize, changed.max_tokens, changed.prompt) == ("mean", False, 40, "")
    assert changed.query_prompt == "query: "
    with pytest.raises(UsageError, match="--pooling cls needs --context sentence"):
        _ = Engine(EngineConfig(model=str(folder), context="window")).spec
    with pytest.raises(UsageError, match="A prompt stands before each sentence"):
        _ = Engine(EngineConfig(model=str(folder), context="window", pooling="mean")).spec


def test_the_prompt_of_queries_is_in_no_id(make_checkpoint: MakeCheckpoint) -> None:
    one, other = (
        Engine(EngineConfig(model=str(make_checkpoint()), device="cpu", query_prompt=prompt)).spec
        for prompt in ("", "query: ")
    )
    assert one != other
    assert one.encoding_id == other.encoding_id


def test_dense_layers_of_another_width_are_for_sentences_only(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    import shutil

    from safetensors.numpy import save_file

    folder = saved(shutil.copytree(make_checkpoint(), tmp_path / "c"), DENSE, **{"2_Dense__config": LAYER})
    rng = np.random.default_rng(0)
    weights = {"linear.weight": rng.normal(size=(8, 48)), "linear.bias": rng.normal(size=8)}
    save_file({k: v.astype(np.float32) for k, v in weights.items()}, folder / "2_Dense" / "model.safetensors")
    engine = Engine(EngineConfig(model=str(folder), device="cpu"))
    assert engine.spec.width == 8
    engine.check(Outputs("sentences", None, nsp=False))
    with pytest.raises(UsageError, match="--level sentences"):
        engine.check(Outputs())
    without = Engine(EngineConfig(model=str(folder), device="cpu", dense=False))
    without.check(Outputs())
    assert without.spec.width == 48
    assert without.spec.encoding_id != engine.spec.encoding_id
