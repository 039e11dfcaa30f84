"""A BERT with both pretraining heads as a thing to train: where it starts, what it says of a batch, how it is saved.

The network is transformers' own `BertForPreTraining`; the MLM head runs at the chosen places alone, which a seventh of
all rows are, and is half of what a step costs otherwise. Knows no optimizer, no schedule and no files but checkpoints.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Precision
from polyseme.tasks.model.checkpoint import Checkpoint, load_weights
from polyseme.tasks.training.objective import Examples

_ROWS_STEP = 64
"""In bf16 oneDNN makes and keeps a kernel with its buffers for every number of rows: 60 of them grew one 384 x 1536
layer's process by 327 MB, and a run of 600 steps to 5 GB. fp32 does not grow."""


@dataclass(frozen=True, slots=True)
class Start:
    """A model to train and which heads were created for it, because its checkpoint had none."""

    model: Any
    created: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PretrainingOutput:
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


def forward(model: Any, batch: Examples, device: torch.device, precision: Precision) -> PretrainingOutput:
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
    return PretrainingOutput(tokens.float(), pairs.float(), states.float())


def loss_sums(output: PretrainingOutput, batch: Examples) -> tuple[Tensor, Tensor]:
    """Return the MLM loss summed over the chosen tokens and the NSP loss summed over the pairs, in nats."""
    device = output.tokens.device
    mlm = F.cross_entropy(output.tokens, to(device, batch.mlm_labels), reduction="sum")
    nsp = F.cross_entropy(output.pairs, to(device, batch.label), reduction="sum")
    return mlm, nsp


def drift_sum(
    output: PretrainingOutput, teacher: Any, batch: Examples, device: torch.device, precision: Precision
) -> Tensor:
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
    apart = 1 - F.cosine_similarity(output.states.reshape(-1, width)[kept], wanted.reshape(-1, width)[kept], dim=-1)
    return apart.sum()


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def to(device: torch.device, array: Any) -> Tensor:
    # Metal reads memory that is not its own after the call has returned, when the array may be gone.
    return torch.from_numpy(array).to(device, non_blocking=device.type == "cuda")
