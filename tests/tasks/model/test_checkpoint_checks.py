"""A checkpoint whose files cannot belong together is refused before it is loaded, with file, field and value."""

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
from polyseme.storage.records import Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model import weights as weights_module
from polyseme.tasks.model.checkpoint import EMBEDDED, find
from polyseme.tasks.model.checkpoint_checks import check_finite
from polyseme.tasks.model.weights import load_weights
from tests.conftest import MakeCheckpoint

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def copied(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> Path:
    return Path(shutil.copytree(make_checkpoint(), tmp_path / "copied"))


def edit(path: Path, change: Edit) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refused(folder: Path) -> str:
    """Return what a run and doctor say, before anything is encoded."""

    def start() -> None:
        engine = Engine(EngineConfig(model=str(folder), device="cpu"))
        engine.check(Outputs(nsp=False))
        engine.in_lane(lambda encoder: encoder)

    with pytest.raises(ModelError) as error:
        start()
    return str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", 10**9),
        ("hidden_size", -48),
        ("hidden_size", "48"),
        ("hidden_size", 48.0),
        ("num_attention_heads", 0),
        ("num_attention_heads", 7),
        ("num_hidden_layers", -1),
        ("num_hidden_layers", 10**12),
        ("num_hidden_layers", True),
        ("max_position_embeddings", 0),
        ("intermediate_size", None),
        ("vocab_size", 2**31),
        ("type_vocab_size", []),
        ("layer_norm_eps", float("nan")),
        ("layer_norm_eps", -1.0),
    ],
)
def test_sizes_that_no_model_has_are_refused_by_field_and_value(copied: Path, field: str, value: object) -> None:
    edit(copied / "config.json", lambda config: config.update({field: value}))
    message = refused(copied)
    assert field in message
    assert str(value)[:40] in message
    assert "config.json" in message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vocab_size", 1 << 24),
        ("hidden_size", 65_520),
        ("max_position_embeddings", 1 << 20),
        ("intermediate_size", 1 << 20),
    ],
)
def test_weights_of_other_sizes_are_refused_before_memory_is_taken(copied: Path, field: str, value: int) -> None:
    edit(copied / "config.json", lambda config: config.update({field: value}))
    began = time.process_time()
    message = refused(copied)
    assert field in message
    assert "model.safetensors" in message
    assert time.process_time() - began < 5


@pytest.mark.parametrize("change", [{"num_hidden_layers": 1024}, {"vocab_size": 1 << 24, "hidden_size": 1 << 12}])
def test_a_model_whose_matrices_are_missing_is_refused_before_it_is_made(
    copied: Path, change: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(copied / "config.json", lambda config: config.update(change))
    if "vocab_size" in change:
        save_file({"other": torch.zeros(1)}, copied / "model.safetensors")
    monkeypatch.delattr(weights_module, "_load_with_transformers")
    assert "weights of the BERT body" in refused(copied)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[]", b"{", b"\xff\xfe", b" " * (17 << 20), b'"text"'])
def test_a_configuration_that_is_not_one_is_refused(copied: Path, content: bytes) -> None:
    (copied / "config.json").write_bytes(content)
    assert "config.json" in refused(copied)


def test_a_token_beyond_the_matrix_is_refused_with_both_sizes(copied: Path) -> None:
    rows = find(str(copied)).config["vocab_size"]
    added = {"id": rows, "content": "<url>", "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": False}  # fmt: skip
    edit(copied / "tokenizer.json", lambda tokenizer: tokenizer["added_tokens"].append(added))
    message = refused(copied)
    assert f"{rows:,}" in message
    assert "resize_token_embeddings" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_numbers_are_refused_by_name(copied: Path, value: float) -> None:
    weights = load_file(copied / "model.safetensors")
    name = sorted(weights)[3]
    weights[name].view(-1)[-1] = value
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    assert name in refused(copied)


@pytest.mark.parametrize(
    "header",
    [
        (1 << 40).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}",
        (200).to_bytes(8, "little")
        + b'{"a":{"dtype":"F32","shape":[99999999,99999999],"data_offsets":[0,4]}}'.ljust(200),
        b"",
        b"\0" * 100,
    ],
)
def test_a_weight_file_whose_header_lies_is_refused(copied: Path, header: bytes) -> None:
    (copied / "model.safetensors").write_bytes(header + b"\0" * 4)
    assert str(copied) in refused(copied)


REGEX = {"Regex": "(a+)+$"}


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.update(normalizer={"type": "Replace", "pattern": REGEX, "content": ""}),
        lambda t: t.update(normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}),
        lambda t: t.update(normalizer={"type": "Prepend", "prepend": "a" * 1000}),
        lambda t: t.update(normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}] * 1000}),
        lambda t: t.update(normalizer={"type": "Precompiled", "precompiled_charsmap": ""}),
        lambda t: t.update(pre_tokenizer={"type": "Split", "pattern": REGEX, "behavior": "Removed", "invert": False}),
        lambda t: t["model"].update(max_input_chars_per_word=10**9),
        lambda t: t.update(model=None),
        lambda t: t.update(added_tokens=7),
    ],
)
def test_a_tokenizer_that_may_take_any_time_or_memory_is_refused(copied: Path, change: Edit) -> None:
    edit(copied / "tokenizer.json", change)
    assert str(copied) in refused(copied)


@pytest.mark.parametrize("content", [b"[" * 1_000_000, b" " * (65 << 20), b"{" * 100, b"\xff"])
def test_a_tokenizer_file_that_is_none_is_refused(copied: Path, content: bytes) -> None:
    (copied / "tokenizer.json").write_bytes(content)
    assert "tokenizer.json" in refused(copied)


@pytest.mark.parametrize(
    "options",
    [{"do_lower_case": False}, {"strip_accents": False}, {"tokenize_chinese_chars": False}, {"do_lower_case": True}],
)
def test_tokens_are_those_of_the_reference_if_the_tokenizers_two_files_disagree(
    tmp_path: Path, options: dict[str, object]
) -> None:
    from transformers import AutoTokenizer

    folder = Path(shutil.copytree(find(EMBEDDED).folder, tmp_path / "model"))
    edit(folder / "tokenizer_config.json", lambda config: config.update(options))
    edit(folder / "tokenizer.json", lambda t: t["normalizer"].update(lowercase=not options.get("do_lower_case", False)))
    text = "Paris has a café near the 東京 garden."
    expected = AutoTokenizer.from_pretrained(folder).tokenize(text)
    ours = Engine(EngineConfig(model=str(folder), device="cpu")).wordpiece.explain(text)
    assert [token.token for token in ours] == expected


def test_the_check_of_all_weights_takes_no_time_to_speak_of() -> None:
    weights = load_weights(find(EMBEDDED)).tensors
    times = []
    for _ in range(3):
        began = time.perf_counter()
        check_finite(Path("."), weights)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.5
    check_finite(Path("."), {"empty": torch.empty(0)})
