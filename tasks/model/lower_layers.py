"""A model of transformers without its upper layers, for vectors that need none of them.

Transformers has no argument for it, and a model may do more after its layers than normalise. So a copy is made that
shares the weights and lacks modules, and is run once: it is used only if it gives the very states of the whole model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

States = Sequence[Tensor]
"""The hidden states of a forward: of the embeddings, then of each layer."""


def without_upper_layers(model: Any, count: int, top: int, run: Callable[[Any], States]) -> Any:
    """Return a copy of a model of `count` layers that runs `top` of them; the model itself if the copy is not right.

    It runs one more where the last layer's states are normalised and others are not. `run` returns the hidden states
    of a few tokens.
    """
    whole = run(model)[: top + 1]
    for kept in range(top, min(top + 2, count)):
        try:
            shorter = _cut(model, count, kept)
            states = run(shorter)[: top + 1]
        except Exception:  # of a model that cannot be copied, or counts its layers otherwise: it runs whole
            continue
        if len(states) == len(whole) and all(map(torch.equal, states, whole)):
            return shorter
    return model


def _cut(model: Any, count: int, kept: int) -> Any:
    """Return a copy with the same weights in which every list of `count` modules has its first `kept` only."""
    shared: dict[int, object] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    shorter = copy.deepcopy(model, shared)
    for module in list(shorter.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == count:
                setattr(module, name, child[:kept])
    return shorter
