"""A checkpoint's own settings: what its sentence-transformers files say of how a sentence becomes a vector.

Pooling, normalisation, dense layers, prompts and the length of a window. They are the defaults of an encoding. What
cannot be honoured is refused by name. Reads JSON files only; the weights of dense layers are read by `dense`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Pooling

FILES = [
    "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "*_Pooling/config.json",
    "*_Dense/config.json", "*_Dense/model.safetensors",
]  # fmt: skip
"""Patterns of the files of a hub repository that are read here and by `dense`."""

_MOST_BYTES = 1 << 20
_MOST_MODULES = 16
_MODES: Mapping[str, Pooling] = {
    "mean": "mean", "cls": "cls", "max": "max", "lasttoken": "last", "weightedmean": "weighted",
}  # fmt: skip
_LEGACY_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""Names of the prompt for texts to be found, as sentence-transformers looks for them."""


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """A dense layer of sentence vectors: its folder, its widths and its activation function (`Tanh`, `Identity`…)."""

    folder: Path
    width_in: int
    width_out: int
    bias: bool
    activation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSettings:
    """What a checkpoint says of sentence vectors. `max_tokens` is None if it says nothing of the length of a window.

    A checkpoint without sentence-transformers files has the values here: the mean, as it is.
    """

    pooling: Pooling = "mean"
    normalize: bool = False
    dense: tuple[DenseLayer, ...] = ()
    prompt: str = ""
    query_prompt: str = ""
    max_tokens: int | None = None
    similarity: str = ""
    is_stated: bool = False

    @property
    def dense_sha256(self) -> str:
        """SHA-256 of the dense layers, empty without any."""
        if not self.dense:
            return ""
        digest = hashlib.sha256()
        for layer in self.dense:
            digest.update(f"{layer.width_in} {layer.width_out} {layer.bias} {layer.activation}\0".encode())
            with (layer.folder / "model.safetensors").open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def own_settings(folder: Path) -> OwnSettings:
    """Return the settings of the checkpoint in a folder. Raises ModelError for what cannot be read or honoured."""
    path = folder / "modules.json"
    if not path.is_file():
        return OwnSettings()
    modules = _read(path, list)
    if len(modules) > _MOST_MODULES or not all(isinstance(module, dict) for module in modules):
        raise _refused(path, "a list of modules that is not one")
    kinds = [str(module.get("type")).rpartition(".")[2] for module in modules]
    if kinds[:1] != ["Transformer"]:
        raise _refused(path, f"{kinds[0] if kinds else 'nothing'} as its first module")
    if modules[0].get("path"):
        raise ModelError(
            f"{path} has its transformer in the folder {str(modules[0]['path'])[:80]!r}. Save it again with a recent "
            "sentence-transformers, which puts it beside modules.json, and name that folder with --model."
        )
    pooling: Pooling | None = None
    normalize, dense = False, list[DenseLayer]()
    for kind, module in zip(kinds[1:], modules[1:], strict=True):
        place = _inside(folder, path, module.get("path"))
        if normalize:
            raise _refused(path, f"{kind} behind Normalize")
        if kind == "Pooling" and pooling is None and not dense:
            pooling = _pooling(place / "config.json")
        elif kind == "Dense" and pooling is not None:
            dense.append(_dense(place))
        elif kind == "Normalize" and pooling is not None:
            normalize = True
        elif kind != "Dropout":  # which does nothing but in training
            raise _refused(path, f"the module {kind[:40]!r}")
    if pooling is None:
        raise _refused(path, "no Pooling")
    prompt, query_prompt, similarity = _prompts(folder)
    _check_case(folder)
    return OwnSettings(
        pooling=pooling, normalize=normalize, dense=tuple(dense), prompt=prompt, query_prompt=query_prompt,
        max_tokens=_length(folder), similarity=similarity, is_stated=True,
    )  # fmt: skip


def _pooling(path: Path) -> Pooling:
    config = _read(path, dict)
    given = config.get("pooling_mode")
    if given is None:
        given = [mode for key, mode in _LEGACY_MODES.items() if config.get(key)] or "mean"
    modes = [given] if isinstance(given, str) else list(given)
    if len(modes) != 1 or modes[0] not in _MODES:
        raise _refused(path, f"the pooling {' and '.join(str(mode)[:40] for mode in modes)}")
    if config.get("include_prompt") is False:
        raise _refused(path, "pooling without the prompt (include_prompt)")
    return _MODES[modes[0]]


def _dense(folder: Path) -> DenseLayer:
    path = folder / "config.json"
    config = _read(path, dict)
    for key in ("module_input_name", "module_output_name"):
        if config.get(key, "sentence_embedding") != "sentence_embedding":
            raise _refused(path, f"{key} {str(config[key])[:40]!r}")
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    name = activation.rpartition(".")[2]
    if not activation.startswith("torch.nn.modules.") or name not in ("Tanh", "Identity", "ReLU", "Sigmoid", "GELU"):
        raise _refused(path, f"the activation function {activation[:60]!r}")
    if not (folder / "model.safetensors").is_file():
        pickled = (folder / "pytorch_model.bin").is_file()
        raise _refused(path, "pickled weights (pytorch_model.bin), which can run code," if pickled else "no weights")
    widths = [config.get("in_features"), config.get("out_features")]
    if not all(type(width) is int and 0 < width <= 65_536 for width in widths):
        raise _refused(path, f"widths {str(widths)[:60]}")
    return DenseLayer(folder, widths[0], widths[1], config.get("bias", True) is not False, name)


def _prompts(folder: Path) -> tuple[str, str, str]:
    """Return the prompt of documents, that of queries, and the name of the similarity."""
    path = folder / "config_sentence_transformers.json"
    config = _read(path, dict) if path.is_file() else {}
    prompts = config.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise _refused(path, "prompts that are not texts")
    default = prompts.get(config.get("default_prompt_name") or "", "")
    document = str(next((prompts[name] for name in _DOCUMENT_PROMPTS if name in prompts), default))
    query = str(prompts.get("query", default))
    return document, query, str(config.get("similarity_fn_name") or "")


def _length(folder: Path) -> int | None:
    for name, key in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        path = folder / name
        length = _read(path, dict).get(key) if path.is_file() else None
        if type(length) is int and 0 < length < 10**9:  # beyond, transformers means none
            return length
    return None


def _check_case(folder: Path) -> None:
    """Raise ModelError if texts are to be lower-cased before a tokenizer that would not do so itself."""
    path, tokenizer = folder / "sentence_bert_config.json", folder / "tokenizer.json"
    if not path.is_file() or not _read(path, dict).get("do_lower_case"):
        return
    definition = tokenizer.read_text("utf-8", "replace") if tokenizer.is_file() else ""
    if '"lowercase": true' not in definition.replace('":true', '": true') and '"Lowercase"' not in definition:
        raise _refused(path, "do_lower_case for a tokenizer that keeps case")


def _inside(folder: Path, path: Path, name: object) -> Path:
    if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
        raise _refused(path, f"a module at {str(name)[:80]!r}")
    return folder / name


def _read(path: Path, kind: type) -> Any:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read ({error}). Fetch the checkpoint again, or name another.") from error
    if not isinstance(found, kind):
        raise _refused(path, f"{type(found).__name__} instead of {kind.__name__}")
    return found


def _refused(path: Path, what: str) -> ModelError:
    return ModelError(
        f"{path} asks for {what}, which Polyseme does not do, so its vectors would not be those of the checkpoint. "
        "Choose another checkpoint; or remove modules.json from a copy of its folder to take the mean of its tokens."
    )
