"""ModernBERT's arithmetic over packed rows (Warner et al. 2024, *Smarter, Better, Faster, Longer*).

Pre-norm, rotary positions (Su et al. 2021), gated feed-forward layers; most layers see a window of neighbours only. The
states of a layer are not normalised, those of the last one are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from polyseme.storage.layers import LayerSpan
from polyseme.tasks.model.activations import of_rows
from polyseme.tasks.model.attention import attention_for
from polyseme.tasks.model.linear import Dense, Linear
from polyseme.tasks.model.local_attention import local_attention_for
from polyseme.tasks.model.packed import PackedBatch, PackedEncoder
from polyseme.tasks.model.rotary import Rotary, turned

Norm = tuple[Tensor, Tensor | None]


@dataclass(frozen=True, slots=True)
class _Layer:
    """The weights of one layer; the first has no norm before its attention. `is_local` layers see a window."""

    norm1: Norm | None
    qkv: Linear
    out: Linear
    norm2: Norm
    up: Linear
    down: Linear
    is_local: bool


class PackedModernBert(PackedEncoder[_Layer]):
    """An immutable body with an optional MLM head, in one dtype on one device."""

    def __init__(
        self,
        weights: dict[str, Tensor],
        *,
        heads: int,
        eps: float,
        activation: Callable[[Tensor], Tensor],
        head_activation: Callable[[Tensor], Tensor],
        local: Sequence[bool],
        window: int,
        thetas: tuple[float, float],
        limit: int,
        dtype: torch.dtype,
        device: torch.device,
        span: LayerSpan | None = None,
        linear: Callable[[Tensor, Tensor], Linear] = Dense.of,
    ) -> None:
        """Take weights named as in transformers' `ModernBertForMaskedLM`.

        `local` says of each layer whether it sees only the `window` tokens to each side. `thetas` are the bases of the
        rotary positions of full and of local layers, `limit` is the most tokens of a sequence. `span` and `linear` are
        as in `PackedBert`.
        """
        w = {name: tensor.to(device=device, dtype=dtype).contiguous() for name, tensor in weights.items()}
        self._w = w
        self.heads, self.eps, self.dtype = heads, eps, dtype
        self.activation, self._head_activation = of_rows(activation), of_rows(head_activation)
        self.hidden = w["model.embeddings.tok_embeddings.weight"].shape[1]
        size = self.hidden // heads
        self._attentions = attention_for(device, dtype, size), local_attention_for(device, dtype, size, window)
        self._rotaries = tuple(Rotary(size, theta, limit=limit, device=device) for theta in thetas)
        self.layers = [self._layer(f"model.layers.{i}.", linear, bool(is_local)) for i, is_local in enumerate(local)]
        self.span = span or LayerSpan(len(self.layers), len(self.layers))
        self.rows_step = self.layers[0].qkv.rows_step
        self._w = {name: tensor for name, tensor in w.items() if not name.startswith("model.layers.")}

    def _layer(self, prefix: str, linear: Callable[[Tensor, Tensor], Linear], is_local: bool) -> _Layer:
        w = self._w

        def dense(name: str) -> Linear:
            weight = w[f"{prefix}{name}.weight"]
            return linear(weight, w.get(f"{prefix}{name}.bias", weight.new_zeros(len(weight))))

        def norm(name: str) -> Norm:
            return w[f"{prefix}{name}.weight"], w.get(f"{prefix}{name}.bias")

        first = norm("attn_norm") if f"{prefix}attn_norm.weight" in w else None
        return _Layer(
            first, dense("attn.Wqkv"), dense("attn.Wo"), norm("mlp_norm"), dense("mlp.Wi"), dense("mlp.Wo"), is_local
        )

    def _norm(self, x: Tensor, weights: Norm) -> Tensor:
        return F.layer_norm(x, (x.shape[-1],), *weights, self.eps)

    def _norm_named(self, x: Tensor, name: str) -> Tensor:
        return self._norm(x, (self._w[name + ".weight"], self._w.get(name + ".bias")))

    def embed(self, batch: PackedBatch) -> Tensor:
        x = F.embedding(batch.ids, self._w["model.embeddings.tok_embeddings.weight"])
        return self.filled(self._norm_named(x, "model.embeddings.norm"))

    def layer_output(self, layer: _Layer, x: Tensor, batch: PackedBatch) -> Tensor:
        normed = x if layer.norm1 is None else self._norm(x, layer.norm1)
        x = layer.out(self._attended(layer, normed, batch)).add_(x)
        up, gate = layer.up(self._norm(x, layer.norm2)).chunk(2, dim=-1)
        return layer.down(self.activation(up) * gate).add_(x)

    def _attended(self, layer: _Layer, x: Tensor, batch: PackedBatch) -> Tensor:
        qkv = layer.qkv(x).view(len(x), 3 * self.heads, -1)
        angles = self._rotaries[layer.is_local].angles(batch.positions, rows=len(x))
        attention = self._attentions[layer.is_local]
        q, k = turned(qkv[:, : 2 * self.heads], angles).chunk(2, dim=1)
        return attention(q, k, qkv[:, 2 * self.heads :], batch.groups, batch.bounds)

    def finished(self, x: Tensor) -> Tensor:
        return self._norm_named(x, "model.final_norm")

    def masked_lm_logits(self, states: Tensor) -> Tensor:
        w = self._w
        x = self._dense("head.dense", states, w["head.dense.weight"])
        x = self._norm_named(self._head_activation(x), "head.norm")
        return self._dense("decoder", x, w.get("decoder.weight", w["model.embeddings.tok_embeddings.weight"]))

    def _dense(self, name: str, x: Tensor, weight: Tensor) -> Tensor:
        return Dense(weight.t(), self._w.get(name + ".bias", weight.new_zeros(len(weight))))(x)
