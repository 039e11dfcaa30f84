"""A BERT with both pretraining heads as a thing to train: where it starts, what it says of a batch, how it is saved.

The network is transformers' own `BertForPreTraining`; the MLM head runs at the chosen places alone, which a seventh of
all rows are, and is half of what a step costs otherwise. Knows no optimizer, no schedule and no files but checkpoints.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from storage.errors import ModelError, PolysemeError
from storage.records import Precision
from tasks.checkpoint import Checkpoint, load_weights
from tasks.objective import Examples

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")

_ROWS_STEP = 64
"""In bf16 oneDNN makes and keeps a kernel with its buffers for every number of rows: 60 of them grew one 384 x 1536
layer's process by 327 MB, and a run of 600 steps to 5 GB. fp32 does not grow."""


@dataclass(frozen=True, slots=True)
class Start:
    """A model to train and which heads were created for it, because its checkpoint had none."""

    model: Any
    created: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says of one batch: MLM logits `(masked, vocabulary)`, NSP logits `(n, 2)`, `(n, length, hidden)`."""

    tokens: Tensor
    pairs: Tensor
    states: Tensor


def start_from(checkpoint: Checkpoint, *, seed: int, dropout: float = 0.0) -> Start:
    """Load `checkpoint` in float32, with heads from `seed` where it has none. Raises ModelError without a body."""
    weights = load_weights(checkpoint)
    torch.manual_seed(seed)
    model = _blank({**checkpoint.config, "dtype": "float32"}, dropout)
    model.load_state_dict(weights.tensors, strict=False)
    model.tie_weights()
    heads = (("NSP", weights.has_nsp), ("MLM", weights.has_mlm))
    return Start(model, tuple(name for name, there in heads if not there))


def start_from_scratch(shape: dict[str, int], *, seed: int, dropout: float = 0.0) -> Start:
    """Return a BERT of random weights. `shape` names fields of transformers' `BertConfig`."""
    torch.manual_seed(seed)
    return Start(_blank(dict(shape), dropout), ("NSP", "MLM"))


def _blank(config: dict[str, Any], dropout: float) -> Any:
    from transformers import BertConfig, BertForPreTraining

    for name in ("architectures", "transformers_version", "_name_or_path"):
        config.pop(name, None)
    config |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    try:
        shape: Any = BertConfig(**config)
        shape._attn_implementation = "sdpa"
        model: Any = BertForPreTraining(shape)
    except ValueError as error:
        raise ModelError(f"No BERT has this shape: {error}.") from error
    return model


def say(model: Any, batch: Examples, device: torch.device, precision: Precision) -> Said:
    """Run `model` on a batch. In bf16 the products are rounded, sums, norms and losses are not."""
    with autocast(device, precision):
        body = model.bert(
            input_ids=to(device, batch.ids),
            token_type_ids=to(device, batch.types),
            attention_mask=to(device, batch.attention),
        )
        states = body.last_hidden_state
        at, rows = to(device, batch.at), len(batch.at)
        if precision == "bf16":
            at = F.pad(at, (0, -rows % _ROWS_STEP))
        tokens = model.cls.predictions(states.reshape(-1, states.shape[-1])[at])[:rows]
        pairs = model.cls.seq_relationship(body.pooler_output)
    return Said(tokens.float(), pairs.float(), states.float())


def loss_sums(said: Said, batch: Examples) -> tuple[Tensor, Tensor]:
    """Return the MLM loss summed over the chosen tokens and the NSP loss summed over the pairs, in nats."""
    device = said.tokens.device
    mlm = F.cross_entropy(said.tokens, to(device, batch.answers), reduction="sum")
    nsp = F.cross_entropy(said.pairs, to(device, batch.label), reduction="sum")
    return mlm, nsp


def drift_sum(said: Said, teacher: Any, batch: Examples, device: torch.device, precision: Precision) -> Tensor:
    """Return 1 - cosine between the states and `teacher`'s, summed over the tokens that were not chosen.

    The teacher reads the text unmasked: what is kept is what the start encoder makes of a text, not of its gaps.
    """
    with torch.no_grad(), autocast(device, precision):
        wanted = teacher(
            input_ids=to(device, batch.original),
            token_type_ids=to(device, batch.types),
            attention_mask=to(device, batch.attention),
        ).last_hidden_state.float()
    kept = to(device, batch.attention).bool().reshape(-1).clone()
    kept[to(device, batch.at)] = False
    width = wanted.shape[-1]
    apart = 1 - F.cosine_similarity(said.states.reshape(-1, width)[kept], wanted.reshape(-1, width)[kept], dim=-1)
    return apart.sum()


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def to(device: torch.device, array: Any) -> Tensor:
    # Metal reads memory that is not its own after the call has returned, when the array may be gone.
    return torch.from_numpy(array).to(device, non_blocking=device.type == "cuda")


def export(model: Any, folder: Path, *, tokenizer: Path, card: str) -> None:
    """Write `model` as a float16 checkpoint that transformers and `--model` load, with its tokenizer and its card.

    It stands in `folder` whole or not at all. Raises PolysemeError where it cannot be written.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file(half(model), temporary / "model.safetensors", metadata={"format": "pt"})
        (temporary / "model.safetensors").chmod(0o644)  # safetensors makes files that only their owner can read
        config = model.config.to_dict() | {"architectures": ["BertForPreTraining"], "dtype": "float16"}
        config |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
        (temporary / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
        for name in _TOKENIZER_FILES:
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, temporary / name)
        (temporary / "README.md").write_text(card, "utf-8")
        settle(temporary, folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise PolysemeError(
            f"Cannot write the model to {folder}: {error}. The run is kept: make room, then run the same command again."
        ) from error


def half(model: Any) -> dict[str, Tensor]:
    """Return the model's tensors in float16, tied ones once. Raises PolysemeError for a number that it cannot hold."""
    tied = ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
    skipped = tied if model.config.tie_word_embeddings else ()
    small = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
        if name not in skipped
    }
    if broken := [name for name, tensor in small.items() if not bool(torch.isfinite(tensor).all())]:
        raise PolysemeError(
            f"{broken[0]} holds a number that is none, or over 65,504, where float16 ends ({len(broken)} tensors do). "
            "The training ran away: run again in another --out with a lower --learning-rate."
        )
    return small


def write_whole(path: Path, text: str) -> None:
    """Write a small file that is never seen half. Raises PolysemeError where it cannot be written."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
    except OSError as error:
        raise PolysemeError(f"Cannot write {path}: {error}. Make room, then run the same command again.") from error


def settle(temporary: Path, folder: Path) -> None:
    """Move a folder that is written to its final name, so that a crash leaves the old one, the new one, or none."""
    for path in [*temporary.iterdir(), temporary]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
