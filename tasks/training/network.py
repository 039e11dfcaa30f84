"""The network to train: BERT with both pretraining heads, its initial weights, its forward pass and its losses.

The network is transformers' own `BertForPreTraining`; the MLM head runs at the masked positions only, a seventh of all
rows: at all of them it would be half of a step's cost. Knows no optimizer, no schedule and no files but checkpoints.
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
"""In bf16 oneDNN builds and keeps a kernel with buffers for every number of rows: 60 of them grew the process of one
384 x 1536 layer by 327 MB, and a run of 600 steps to 5 GB. In fp32 memory does not grow."""


@dataclass(frozen=True, slots=True)
class Start:
    """A model to train, and the heads (`NSP`, `MLM`) that were initialised because its checkpoint lacked them."""

    model: Any
    created: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PretrainingOutput:
    """The output for one batch, float32.

    `tokens` are MLM logits `(masked, vocabulary)`, `pairs` NSP logits `(n, 2)`, `states` the last hidden states
    `(n, length, hidden)`.
    """

    tokens: Tensor
    pairs: Tensor
    states: Tensor


def start_from(checkpoint: Checkpoint, *, seed: int, dropout: float = 0.0) -> Start:
    """Load `checkpoint` in float32; heads that it lacks are initialised from `seed`.

    Raises ModelError if the body is incomplete or unreadable.
    """
    weights = load_weights(checkpoint)
    torch.manual_seed(seed)
    model = _blank({**checkpoint.config, "dtype": "float32"}, dropout)
    model.load_state_dict(weights.tensors, strict=False)
    model.tie_weights()
    heads = (("NSP", weights.has_nsp), ("MLM", weights.has_mlm))
    return Start(model, tuple(name for name, present in heads if not present))


def start_from_scratch(shape: dict[str, int], *, seed: int, dropout: float = 0.0) -> Start:
    """Return a BERT with random weights. `shape` has fields of transformers' `BertConfig`.

    Raises ModelError for sizes that do not fit together.
    """
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
        raise ModelError(f"BERT cannot have this shape: {error}. Change the sizes of the new model.") from error
    return model


def forward(model: Any, batch: Examples, device: torch.device, precision: Precision) -> PretrainingOutput:
    """Run `model` on a batch. With bf16 matrix products are in bf16; sums, norms and losses are in float32."""
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
    """Return the MLM loss summed over the masked tokens and the NSP loss summed over the pairs, in nats."""
    device = output.tokens.device
    mlm = F.cross_entropy(output.tokens, to(device, batch.mlm_labels), reduction="sum")
    nsp = F.cross_entropy(output.pairs, to(device, batch.label), reduction="sum")
    return mlm, nsp


def drift_sum(
    output: PretrainingOutput, teacher: Any, batch: Examples, device: torch.device, precision: Precision
) -> Tensor:
    """Return 1 - cosine between the states and `teacher`'s, summed over the tokens that are not to be predicted.

    The teacher reads the unmasked text: its vectors of complete text are to be kept, not those of masked text.
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
    distance = 1 - F.cosine_similarity(output.states.reshape(-1, width)[kept], wanted.reshape(-1, width)[kept], dim=-1)
    return distance.sum()


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Return a context in which matrix products run in `precision`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def to(device: torch.device, array: Any) -> Tensor:
    """Copy a NumPy array to the device, on CUDA asynchronously."""
    # Metal may read the host memory after the call has returned, when the array may be freed.
    return torch.from_numpy(array).to(device, non_blocking=device.type == "cuda")
