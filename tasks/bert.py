"""BERT's arithmetic over packed rows: sequences lie one after another, without padding.

`PackedBert` is Devlin et al. (2018), post-norm, absolute positions. Everything but attention works on
rows `(tokens, hidden)` and does not care where a sequence ends; attention runs once for each group of
sequences of equal length (a dense block mask measured 8x slower on CPU). It knows weights and numbers,
not files, text or batching policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_FEWEST_ROWS = 4
"""With fewer, MKL multiplies in another order and the last bits would depend on the batch (measured for 1 to 2,000)."""

_HEAD_STEP = 16
"""A head is widened to a multiple of this: MKL rounds by alignment, and 16 floats are 64 bytes. Usual heads are 64."""


_IN_PLACE: dict[Any, Callable[[Tensor], Tensor]] = {F.gelu: torch.ops.aten.gelu_}
"""Activations that can overwrite what they read, the widest rows there are: 1.04x for the whole encoder."""


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Sequences packed into one row, longest first.

    `ids`, `types`, `positions` are int64 `(tokens,)`; `groups` lists (sequences, length) runs in order and
    sums to the number of tokens; `starts` is int64 `(sequences,)`, the row of every `[CLS]`.
    """

    ids: Tensor
    types: Tensor
    positions: Tensor
    groups: tuple[tuple[int, int], ...]
    starts: Tensor

    def __post_init__(self) -> None:
        rows = sum(count * length for count, length in self.groups)
        if rows != len(self.ids) or len(self.starts) != sum(count for count, _ in self.groups):
            raise ValueError(
                f"groups describe {rows} tokens, ids hold {len(self.ids)}; {len(self.starts)} sequence starts given"
            )


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer. Weights are `(in, out)`, the checkpoint's turned around: 1.04x for the whole encoder on CPU."""

    qkv: Tensor
    qkv_bias: Tensor
    out: Tensor
    out_bias: Tensor
    norm1: tuple[Tensor, Tensor]
    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor
    norm2: tuple[Tensor, Tensor]


class PackedBert:
    """An immutable BERT body with optional NSP and MLM heads, in one dtype on one device."""

    def __init__(
        self,
        weights: dict[str, Tensor],
        *,
        heads: int,
        eps: float,
        activation: Callable[[Tensor], Tensor],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """Take weights named as in transformers' `BertForPreTraining` (`bert.…`, `cls.…`)."""
        w = {name: tensor.to(device=device, dtype=dtype).contiguous() for name, tensor in weights.items()}
        self._w = w
        self.heads, self.eps = heads, eps
        self.activation = _IN_PLACE.get(activation, activation)
        self.dtype, self.device = dtype, device
        self.hidden = w["bert.embeddings.word_embeddings.weight"].shape[1]
        count = 1 + max(int(n.split(".")[3]) for n in w if n.startswith("bert.encoder.layer."))
        self.layers = [self._layer(f"bert.encoder.layer.{i}.") for i in range(count)]
        # The layers hold their weights, some of them fused; a second copy would be a quarter of the model.
        self._w = {name: tensor for name, tensor in w.items() if not name.startswith("bert.encoder.layer.")}

    def _layer(self, prefix: str) -> _Layer:
        def get(name: str) -> Tensor:
            return self._w[prefix + name]

        def fused(kind: str) -> Tensor:
            return torch.cat([get(f"attention.self.{part}.{kind}") for part in ("query", "key", "value")])

        def turned(weight: Tensor) -> Tensor:
            return weight.t().contiguous()

        return _Layer(
            turned(fused("weight")),
            fused("bias"),
            turned(get("attention.output.dense.weight")),
            get("attention.output.dense.bias"),
            (get("attention.output.LayerNorm.weight"), get("attention.output.LayerNorm.bias")),
            turned(get("intermediate.dense.weight")),
            get("intermediate.dense.bias"),
            turned(get("output.dense.weight")),
            get("output.dense.bias"),
            (get("output.LayerNorm.weight"), get("output.LayerNorm.bias")),
        )

    def _norm(self, x: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
        return F.layer_norm(x, (x.shape[-1],), *weights, self.eps)

    def _embed(self, batch: PackedBatch) -> Tensor:
        e = "bert.embeddings."
        x = F.embedding(batch.ids, self._w[e + "word_embeddings.weight"])
        x = x + F.embedding(batch.types, self._w[e + "token_type_embeddings.weight"])
        x = x + F.embedding(batch.positions, self._w[e + "position_embeddings.weight"])
        return self._norm(x, (self._w[e + "LayerNorm.weight"], self._w[e + "LayerNorm.bias"]))

    def _split_heads(self, rows: Tensor, count: int) -> Tensor:
        """(count * length, hidden) -> (count, heads, length, size)."""
        return rows.view(count, -1, self.heads, self.hidden // self.heads).transpose(1, 2)

    def _attend(self, qkv: Tensor, groups: Sequence[tuple[int, int]]) -> Tensor:
        """(tokens, 3 * hidden) -> (tokens, hidden)."""
        out = torch.empty(qkv.shape[0], self.hidden, dtype=qkv.dtype, device=qkv.device)
        row = 0
        for count, length in groups:
            part = qkv[row : row + count * length].view(count, length, 3, self.heads, -1)
            q, k, v = (part[:, :, i].transpose(1, 2) for i in range(3))
            heads = _attention(q, k, v).transpose(1, 2)
            out[row : row + count * length].view(count, length, self.heads, -1).copy_(heads)
            row += count * length
        return out

    def _finish(self, layer: _Layer, x: Tensor, attended: Tensor) -> Tensor:
        """Everything of a layer behind its attention; rows are independent of each other."""
        x = self._norm(_linear(attended, layer.out, layer.out_bias).add_(x), layer.norm1)
        inner = self.activation(_linear(x, layer.up, layer.up_bias))
        return self._norm(_linear(inner, layer.down, layer.down_bias).add_(x), layer.norm2)

    def hidden_states(self, batch: PackedBatch, *, last: int = 1) -> Tensor:
        """Return `(tokens, hidden)`: the mean of the `last` layers' outputs (1: the last layer's)."""
        x = self._embed(batch)
        total: Tensor | None = None
        for i, layer in enumerate(self.layers):
            x = self._finish(layer, x, self._attend(_linear(x, layer.qkv, layer.qkv_bias), batch.groups))
            if i >= len(self.layers) - last:
                total = x if total is None else total + x
        assert total is not None
        return total if last == 1 else total / last

    def first_states(self, batch: PackedBatch) -> Tensor:
        """Return `(sequences, hidden)`: the last layer's `[CLS]` rows, computing no other row of that layer."""
        return self.chosen_states(batch, batch.starts)

    def chosen_states(self, batch: PackedBatch, rows: Tensor) -> Tensor:
        """Return `(sequences, hidden)`: one row of the last layer a sequence, in order; no other row is computed."""
        x = self._embed(batch)
        for layer in self.layers[:-1]:
            x = self._finish(layer, x, self._attend(_linear(x, layer.qkv, layer.qkv_bias), batch.groups))
        layer, h = self.layers[-1], self.hidden
        chosen = x[rows]
        query = _linear(chosen, layer.qkv[:, :h], layer.qkv_bias[:h])
        keys = _linear(x, layer.qkv[:, h:], layer.qkv_bias[h:])
        out = torch.empty_like(query)
        row = done = 0
        for count, length in batch.groups:
            kv = keys[row : row + count * length].view(count, length, 2, self.heads, -1)
            q = self._split_heads(query[done : done + count], count)
            k, v = kv[:, :, 0].transpose(1, 2), kv[:, :, 1].transpose(1, 2)
            heads = _attention(q, k, v)
            out[done : done + count] = heads.transpose(1, 2).reshape(count, h)
            row, done = row + count * length, done + count
        return self._finish(layer, chosen, out)

    def next_sentence_logits(self, first: Tensor) -> Tensor:
        """Map `[CLS]` states `(n, hidden)` to logits `(n, 2)`; column 0 means *is next*."""
        w = self._w
        pooled = torch.tanh(_linear(first, w["bert.pooler.dense.weight"].t(), w["bert.pooler.dense.bias"]))
        return _linear(pooled, w["cls.seq_relationship.weight"].t(), w["cls.seq_relationship.bias"])

    def masked_lm_logits(self, states: Tensor) -> Tensor:
        """Map token states `(n, hidden)` to vocabulary logits `(n, vocabulary)`."""
        w, p = self._w, "cls.predictions."
        x = self.activation(_linear(states, w[p + "transform.dense.weight"].t(), w[p + "transform.dense.bias"]))
        x = self._norm(x, (w[p + "transform.LayerNorm.weight"], w[p + "transform.LayerNorm.bias"]))
        decoder = w.get(p + "decoder.weight", w["bert.embeddings.word_embeddings.weight"])
        return _linear(x, decoder.t(), w.get(p + "decoder.bias", w[p + "bias"]))


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`x @ weight + bias` for a weight `(in, out)`, rounded alike however many rows there are."""
    rows = len(x)
    if rows < _FEWEST_ROWS:
        x = torch.cat([x, x.new_zeros(_FEWEST_ROWS - rows, x.shape[1])])
    return torch.addmm(bias, x, weight)[:rows]


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of `(sequences, heads, length, size)`, rounded alike wherever in memory a sequence lies."""
    size = q.shape[-1]
    missing = -size % _HEAD_STEP
    if missing:
        q, k, v = (F.pad(x, (0, missing)) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, scale=size**-0.5)[..., :size]


def activation_named(name: str) -> Callable[[Tensor], Any]:
    """Return transformers' activation of that name (`gelu`, `gelu_new`, `relu`, …)."""
    if name == "gelu":
        return F.gelu  # what transformers has under this name, without a second of import
    from transformers.activations import ACT2FN

    function: Callable[[Tensor], Any] = ACT2FN[name]
    return function
