"""The network that runs a checkpoint: which class, with what of its configuration."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from polyseme.storage.errors import ModelError
from polyseme.storage.layers import LayerSpan
from polyseme.tasks.model.activations import activation_named
from polyseme.tasks.model.bert import PackedBert
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.model.families.modernbert import LAYER_TYPES, layer_types, theta
from polyseme.tasks.model.generic import GenericNetwork
from polyseme.tasks.model.linear import Linear
from polyseme.tasks.model.modernbert import PackedModernBert
from polyseme.tasks.model.packed import Network
from polyseme.tasks.model.weights import Weights


def network_of(
    checkpoint: Checkpoint,
    weights: Weights,
    *,
    span: LayerSpan,
    dtype: torch.dtype,
    device: torch.device,
    linear: Callable[[Tensor, Tensor], Linear],
) -> Network:
    """Return the network of `checkpoint` with its `weights`, in one dtype on one device.

    Vectors are the mean of the layers of `span`. `linear` makes the linear maps of its layers. Raises ModelError for an
    activation that transformers does not have.
    """
    family, config = checkpoint.family, checkpoint.config
    if family.kind == "generic":
        return GenericNetwork(checkpoint, span=span, dtype=dtype, device=device)
    heads = int(family.get(config, "num_attention_heads"))
    eps = float(family.get(config, "layer_norm_eps")) if family.eps is None else family.eps
    activation = _activation(checkpoint, family.get(config, "hidden_act"))
    if family.kind == "modernbert":
        return PackedModernBert(
            weights.tensors, heads=heads, eps=eps, activation=activation,
            head_activation=_activation(checkpoint, config["classifier_activation"]),
            local=[kind == LAYER_TYPES[1] for kind in layer_types(config)], window=config["local_attention"] // 2,
            thetas=(theta(config, LAYER_TYPES[0]), theta(config, LAYER_TYPES[1])), limit=checkpoint.max_tokens,
            dtype=dtype, device=device, span=span, linear=linear,
        )  # fmt: skip
    mlm = None if family.mlm_activation is None else activation_named(family.mlm_activation)
    return PackedBert(
        weights.tensors, heads=heads, eps=eps, activation=activation, mlm_activation=mlm, dtype=dtype, device=device,
        span=span, linear=linear, layer_order=family.layer_order(config),
    )  # fmt: skip


def _activation(checkpoint: Checkpoint, name: object) -> Callable[[Tensor], Tensor]:
    try:
        return activation_named(str(name))
    except KeyError as error:
        raise ModelError(
            f"{checkpoint.folder}/config.json names the activation {str(name)[:40]!r}, which transformers does not "
            "have. Fetch the checkpoint again, or choose another --model."
        ) from error
