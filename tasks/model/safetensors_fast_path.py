"""The fast path to weights: a complete checkpoint with current names, read from safetensors without transformers.

Importing the modelling code of transformers takes seconds, which a query at the shell would wait for. Only a file with
exactly the tensors of `BertForPreTraining`, with or without an order head, is read here; anything else is left to
transformers, which handles old names, missing heads and untied decoders.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_IGNORED = frozenset({"bert.embeddings.position_ids"})
"""A buffer that old checkpoints store: 0, 1, 2, ..."""


def read_complete(files: list[Path], config: dict[str, Any]) -> dict[str, Tensor] | None:
    """Return all tensors as float32; None if names or shapes are others than those of `BertForPreTraining`."""
    import torch
    from safetensors import SafetensorError, safe_open

    if len(files) != 1 or not config.get("tie_word_embeddings", True):
        return None
    try:
        with safe_open(files[0], framework="pt") as file:
            names = [name for name in file.keys() if name not in _IGNORED]  # noqa: SIM118
            found = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            wanted = shapes(config)
            order = order_head(config["hidden_size"])
            if found != wanted and found != wanted | order:
                return None
            return {name: file.get_tensor(name).to(torch.float32) for name in names}
    except (SafetensorError, KeyError):
        # transformers explains better what is wrong with such a checkpoint.
        return None


def shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor, by name, of a `BertForPreTraining` with tied word embeddings."""
    h, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    found: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (vocabulary, h),
        "bert.embeddings.position_embeddings.weight": (config["max_position_embeddings"], h),
        "bert.embeddings.token_type_embeddings.weight": (config["type_vocab_size"], h),
        "cls.predictions.bias": (vocabulary,),
        **_norm("bert.embeddings.LayerNorm", h),
        **_norm("cls.predictions.transform.LayerNorm", h),
        **_linear("cls.predictions.transform.dense", h, h),
        **_linear("bert.pooler.dense", h, h),
        **_linear("cls.seq_relationship", 2, h),
    }
    for i in range(config["num_hidden_layers"]):
        layer = f"bert.encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            found |= _linear(f"{layer}.attention.{part}", h, h)
        found |= _norm(f"{layer}.attention.output.LayerNorm", h)
        found |= _linear(f"{layer}.intermediate.dense", inner, h) | _linear(f"{layer}.output.dense", h, inner)
        found |= _norm(f"{layer}.output.LayerNorm", h)
    return found


def order_head(hidden: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of Polyseme's own head beside NSP's: is a pair in order (column 0) or swapped?"""
    return _linear("cls.order_relationship", 2, hidden)


def _linear(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
