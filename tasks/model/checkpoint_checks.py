"""Whether the files of a checkpoint can belong together, before memory is taken for them. Loads nothing itself.

Whoever made a checkpoint may have edited its `config.json`, cut its weights or changed its vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.storage.errors import ModelError
from polyseme.tasks.model.families.family import Family

if TYPE_CHECKING:
    from torch import Tensor

MOST_CONFIG_BYTES = 16 << 20
_MATRICES = {
    "embeddings.word_embeddings.weight": ("vocab_size", "hidden_size"),
    "embeddings.position_embeddings.weight": ("max_position_embeddings", "hidden_size"),
    "embeddings.token_type_embeddings.weight": ("type_vocab_size", "hidden_size"),
    "encoder.layer.0.intermediate.dense.weight": ("intermediate_size", "hidden_size"),
}
"""The large ones; every layer has the last of them."""


def check_config(path: Path, family: Family, config: Mapping[str, Any]) -> None:
    """Raise ModelError for sizes that no model of the family has, naming the field and its value."""
    for field, most in family.own_sizes().items():
        value = config.get(field)
        if type(value) is not int or not 1 <= value <= most:
            raise _wrong(path, field, value, f"an integer from 1 to {most:,}")
    if family.kind == "generic":
        return
    heads, hidden = family.get(config, "num_attention_heads"), family.get(config, "hidden_size")
    if hidden % heads:
        raise _wrong(
            path, family.fields.get("num_attention_heads", "num_attention_heads"), heads, f"a divisor of {hidden}"
        )
    if family.eps is None:
        eps = family.get(config, "layer_norm_eps")
        if type(eps) not in (int, float) or not 0 <= eps < 1:
            raise _wrong(path, family.fields.get("layer_norm_eps", "layer_norm_eps"), eps, "a number from 0 to 1")


def read_shapes(files: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor by name, from the headers of safetensors files.

    Raises ModelError for a file that is not safetensors.
    """
    from safetensors import safe_open

    found: dict[str, tuple[int, ...]] = {}
    for path in files:
        try:
            with safe_open(path, framework="np") as file:
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except Exception as error:
            raise ModelError(f"{path} is not a readable safetensors file ({error}). Fetch it again.") from error
        found |= shapes
    return found


def check_bert(path: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ModelError if a BERT in `path` has other sizes than `config.json` gives, or lacks its large matrices.

    It would be made before they are missed.
    """
    _check_shapes(path, config, shapes)
    _check_body(path if path.is_dir() else path.parent, config, shapes)


def _check_shapes(path: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    wrong = []
    for name, shape in shapes.items():
        fields = next((fields for end, fields in _MATRICES.items() if name.endswith(end)), ())
        if fields and shape != (expected := tuple(config[field] for field in fields)):
            wrong.append(f"{name} is {shape}, {' by '.join(fields)} in config.json are {expected}")
    if wrong:
        raise ModelError(
            f"{path} lacks {len(wrong)} weights of the sizes in its config.json, or has them in another shape (first: "
            f"{wrong[0]}). One of the two is of another model: fetch the checkpoint again, or choose another --model."
        )


def _check_body(folder: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    layer = "encoder.layer.{}.intermediate.dense.weight"
    needed = [name for name in _MATRICES if name != layer.format(0)]
    needed += [layer.format(number) for number in range(config["num_hidden_layers"])]
    # By what follows the prefix of the class that saved them, such as `bert.`.
    there = {name[name.find(start) :] for name in shapes for start in ("embeddings.", "encoder.") if start in name}
    missing = [name for name in needed if name not in there]
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} weights of the BERT body, or has them in another shape than in its "
            f"config.json (first: {missing[0]}), so its vectors would be random. Choose a complete checkpoint."
        )


def check_vocabulary(folder: Path, config: Mapping[str, Any], vocabulary: int) -> None:
    """Raise ModelError if a tokenizer with ids below `vocabulary` has ids that the embedding matrix lacks."""
    rows = config["vocab_size"]
    if vocabulary > rows:
        raise ModelError(
            f"The tokenizer in {folder} has ids up to {vocabulary - 1:,}, but the model has vectors for {rows:,} "
            "(vocab_size in config.json). Resize the model's embeddings to its tokenizer and save both "
            "(resize_token_embeddings), or remove the added tokens from tokenizer.json."
        )


def check_finite(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise ModelError for weights that are not numbers: every vector would be NaN. 12 ms for 30 million weights."""
    for name, tensor in tensors.items():
        if tensor.numel() and not all(math.isfinite(value) for value in map(float, tensor.aminmax())):
            raise ModelError(
                f"The weights in {folder} hold NaN or infinity (first in {name}), as after a training that diverged: "
                "every vector would be NaN. Fetch the checkpoint again, or choose another --model."
            )


def _wrong(path: Path, field: str, value: object, expected: str) -> ModelError:
    return ModelError(
        f"{path} gives {field} as {str(value)[:40]!r}; expected {expected}. Fetch the checkpoint again, or choose "
        "another --model."
    )
