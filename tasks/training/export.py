"""Export of a trained network as a checkpoint folder: float16 weights, tokenizer and model card, written atomically."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from polyseme.storage.errors import PolysemeError
from polyseme.storage.files.durable import replace_folder

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def export(model: Any, folder: Path, *, tokenizer: Path, card: str) -> None:
    """Write `model` as a float16 checkpoint that transformers and `--model` load, with its tokenizer and model card.

    `folder` appears complete or not at all. Raises PolysemeError if it cannot be written.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file(half(model), temporary / "model.safetensors", metadata={"format": "pt"})
        (temporary / "model.safetensors").chmod(0o644)  # safetensors writes files that only their owner can read
        config = model.config.to_dict() | {"architectures": ["BertForPreTraining"], "dtype": "float16"}
        config |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
        (temporary / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
        for name in _TOKENIZER_FILES:
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, temporary / name)
        (temporary / "README.md").write_text(card, "utf-8")
        replace_folder(temporary, folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise PolysemeError(
            f"Cannot write the model to {folder}: {error}. The run is kept: free disk space, then run the same command "
            "again."
        ) from error


def half(model: Any) -> dict[str, Tensor]:
    """Return the model's tensors in float16, tied ones once. Raises PolysemeError if a value overflows or is NaN."""
    tied = ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
    skipped = tied if model.config.tie_word_embeddings else ()
    small = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
        if name not in skipped
    }
    if broken := [name for name, tensor in small.items() if not bool(torch.isfinite(tensor).all())]:
        raise PolysemeError(
            f"{broken[0]} has values that are NaN or over 65,504, where float16 ends ({len(broken)} tensors do). "
            "The training diverged: run again in another --out with a lower --learning-rate."
        )
    return small
