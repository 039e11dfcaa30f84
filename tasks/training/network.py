"""The network to train: BERT with both pretraining heads, its initial weights, its forward pass and its losses.

The network is transformers' own `BertForPreTraining`; the MLM head runs at the masked positions only, a seventh of all
rows: at all of them it would be half of a step's cost. Knows no optimizer, no schedule and no files but checkpoints.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Precision
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.model.families.bert import BERT
from polyseme.tasks.model.weights import load_weights
from polyseme.tasks.training.objective import Examples
from polyseme.tasks.training.segment_pairs import NEXT, SWAPPED

_ROWS_STEP = 64
"""In bf16 oneDNN builds and keeps a kernel with buffers for every number of rows: 60 of them grew the process of one
384 x 1536 layer by 327 MB, and a run of 600 steps to 5 GB. In fp32 memory does not grow."""
_NO_LABEL = -100


@dataclass(frozen=True, slots=True)
class Start:
    """A model to train, and the heads (`NSP`, `MLM`, `order`) that its checkpoint lacked and that were initialised."""

    model: Any
    created: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PretrainingOutput:
    """The output for one batch, float32.

    `tokens` are MLM logits `(masked, vocabulary)`, `pairs` NSP logits `(n, 2)`, `order` the order head's `(n, 2)` or
    None without one, `states` the vector layer's hidden states `(n, length, hidden)`.
    """

    tokens: Tensor
    pairs: Tensor
    order: Tensor | None
    states: Tensor


def start_from(
    checkpoint: Checkpoint, *, seed: int, dropout: float = 0.0, add_layers: int = 0, order_head: bool = False
) -> Start:
    """Load `checkpoint` in float32; heads that it lacks are initialised from `seed`.

    `add_layers` are put above its layers, which still give the vectors: they begin as layers that change nothing (Wu et
    al. 2024, *LLaMA Pro*), so that heads trained on the layer below stay of use. With `order_head` it gets one if it
    lacks it. Raises ModelError if the body is incomplete or unreadable, or not a BERT's.
    """
    if checkpoint.family is not BERT:
        raise ModelError(
            f"{checkpoint.label} is a {checkpoint.family.title}; Polyseme trains BERTs only (model_type 'bert'), which "
            "have heads for masked tokens and next sentences, for example google-bert/bert-base-uncased."
        )
    weights = load_weights(checkpoint)
    torch.manual_seed(seed)
    layers = int(checkpoint.config["num_hidden_layers"])
    config = {**checkpoint.config, "dtype": "float32", "num_hidden_layers": layers + add_layers}
    if add_layers:
        config["vector_layer"] = checkpoint.vector_layer
    model = _blank(config, dropout)
    if weights.has_order or order_head:
        add_order_head(model)
    model.load_state_dict(weights.tensors, strict=False)
    for number in range(layers, layers + add_layers):
        _pass_through(model.bert.encoder.layer[number], like=model.bert.encoder.layer[layers - 1])
    model.tie_weights()
    heads = (("NSP", weights.has_nsp), ("MLM", weights.has_mlm), ("order", weights.has_order or not order_head))
    return Start(model, tuple(name for name, present in heads if not present))


def start_from_scratch(shape: dict[str, int], *, seed: int, dropout: float = 0.0, order_head: bool = False) -> Start:
    """Return a BERT with random weights. `shape` has fields of transformers' `BertConfig`.

    Raises ModelError for sizes that do not fit together.
    """
    torch.manual_seed(seed)
    model = _blank(dict(shape), dropout)
    if order_head:
        add_order_head(model)
    return Start(model, ("NSP", "MLM", *(["order"] if order_head else [])))


def blend(model: Any, tensors: dict[str, Tensor], share: float) -> None:
    """Replace `model`'s body weights by an average with `tensors` of the same name and shape, `share` of the latter.

    Two models trained from one start can be averaged, and keep much of both (Wortsman et al. 2022, *Robust
    fine-tuning*). Raises ModelError if they have no layer in common, or layers of different sizes.
    """
    body = {name: p for name, p in model.named_parameters() if name.startswith("bert.") and ".pooler." not in name}
    common = [name for name in body if name in tensors]
    if not any(".layer." in name for name in common) or any(body[n].shape != tensors[n].shape for n in common):
        raise ModelError("The two models to blend have different shapes. Blend models trained from the same start.")
    with torch.no_grad():
        for name in common:
            body[name].lerp_(tensors[name].to(body[name]), share)


def add_order_head(model: Any) -> None:
    """Give `model` an order head beside NSP's, initialised as BERT initialises its heads."""
    head = nn.Linear(model.config.hidden_size, 2)
    nn.init.normal_(head.weight, std=model.config.initializer_range)
    nn.init.zeros_(head.bias)
    model.cls.order_relationship = head


def vector_layer(model: Any) -> int:
    """Return the layer that vectors are taken from, counted from 1."""
    return int(getattr(model.config, "vector_layer", model.config.num_hidden_layers))


def _pass_through(layer: Any, *, like: Any) -> None:
    """Make `layer` a copy of `like` whose attention and feed-forward network add nothing yet."""
    layer.load_state_dict(like.state_dict())
    for part in (layer.attention.output, layer.output):
        nn.init.zeros_(part.dense.weight)
        nn.init.zeros_(part.dense.bias)
        part.LayerNorm.load_state_dict(like.output.LayerNorm.state_dict())


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
            output_hidden_states=True,
        )
        states = body.last_hidden_state
        at, rows = to(device, batch.at), len(batch.at)
        if precision == "bf16":
            at = F.pad(at, (0, -rows % _ROWS_STEP))
        tokens = model.cls.predictions(states.reshape(-1, states.shape[-1])[at])[:rows]
        pairs = model.cls.seq_relationship(body.pooler_output)
        head = getattr(model.cls, "order_relationship", None)
        order = None if head is None else head(body.pooler_output).float()
    return PretrainingOutput(tokens.float(), pairs.float(), order, body.hidden_states[vector_layer(model)].float())


def loss_sums(
    output: PretrainingOutput, batch: Examples, *, swapped_weight: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the MLM loss summed over the masked tokens, and NSP's and the order head's summed over pairs, in nats.

    The order head learns from pairs of neighbours, in order and swapped; its loss is 0 without one. Each swapped pair
    counts `swapped_weight` times: there are fewer, and a margin of 0 is to mean that both orders are as likely.
    """
    device = output.tokens.device
    mlm = F.cross_entropy(output.tokens, to(device, batch.mlm_labels), reduction="sum")
    nsp = F.cross_entropy(output.pairs, to(device, batch.label), reduction="sum")
    if output.order is None:
        return mlm, nsp, torch.zeros_like(nsp)
    kind = to(device, batch.kind)
    label = torch.where(kind == NEXT, 0, torch.where(kind == SWAPPED, 1, _NO_LABEL))
    weights = torch.tensor([1.0, swapped_weight], device=device)
    order = F.cross_entropy(output.order, label, weights, reduction="sum", ignore_index=_NO_LABEL)
    return mlm, nsp, order


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Return a context in which matrix products run in `precision`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def to(device: torch.device, array: Any) -> Tensor:
    """Copy a NumPy array to the device, on CUDA asynchronously."""
    # Metal may read the host memory after the call has returned, when the array may be freed.
    return torch.from_numpy(array).to(device, non_blocking=device.type == "cuda")
