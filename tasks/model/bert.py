"""BERT's arithmetic over packed rows: sequences lie one after another, without padding.

`PackedBert` is Devlin et al. (2018), post-norm, absolute positions. Everything but attention works on rows
`(tokens, hidden)` and ignores where a sequence ends. Knows weights and numbers, not files, text or batching policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from polyseme.tasks.model.attention import attention_for
from polyseme.tasks.model.linear import Dense, Linear

_IN_PLACE: dict[Any, Callable[[Tensor], Tensor]] = {F.gelu: torch.ops.aten.gelu_}
"""Activations that can overwrite their input, the widest rows of a layer: 1.04x for the whole encoder."""


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Sequences packed into one row, longest first.

    `ids`, `types`, `positions` are int64 `(tokens,)`; `groups` lists (sequences, length) in the order of the rows;
    `starts` is int64 `(sequences,)`, the row of every `[CLS]`; `bounds` is int32 `(sequences + 1,)`, the same with the
    end of the last sequence, as the attention kernel takes it. Raises ValueError if they do not fit together.
    """

    ids: Tensor
    types: Tensor
    positions: Tensor
    groups: tuple[tuple[int, int], ...]
    starts: Tensor
    bounds: Tensor

    def __post_init__(self) -> None:
        rows = sum(count * length for count, length in self.groups)
        sequences = sum(count for count, _ in self.groups)
        if rows != len(self.ids) or len(self.starts) != sequences or len(self.bounds) != sequences + 1:
            raise ValueError(
                f"groups describe {rows} tokens, ids hold {len(self.ids)}; {len(self.starts)} sequence starts given"
            )


@dataclass(frozen=True, slots=True)
class _Layer:
    """The weights of one layer. Query, key and value are computed by one product."""

    qkv: Linear
    out: Linear
    norm1: tuple[Tensor, Tensor]
    up: Linear
    down: Linear
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
        vector_layer: int | None = None,
        linear: Callable[[Tensor, Tensor], Linear] = Dense.of,
    ) -> None:
        """Take weights named as in transformers' `BertForPreTraining` (`bert.…`, `cls.…`).

        Vectors are taken from `vector_layer`, counted from 1 (default: the last); the layers above serve the heads.
        `linear` makes the layers' linear maps from a weight `(out, in)` and a bias; the heads are always `Dense`.
        """
        w = {name: tensor.to(device=device, dtype=dtype).contiguous() for name, tensor in weights.items()}
        self._w = w
        self.heads, self.eps = heads, eps
        self.activation = _IN_PLACE.get(activation, activation)
        self.dtype = dtype
        self.hidden = w["bert.embeddings.word_embeddings.weight"].shape[1]
        self._attention = attention_for(device, dtype, self.hidden // heads)
        count = 1 + max(int(n.split(".")[3]) for n in w if n.startswith("bert.encoder.layer."))
        self.layers = [self._layer(f"bert.encoder.layer.{i}.", linear) for i in range(count)]
        self.vector_layer = count if vector_layer is None else vector_layer
        # NSP needs the last layer's query of `[CLS]` only.
        self._query = self.layers[-1].qkv.columns(0, self.hidden)
        self._rows_step = self._query.rows_step
        self._keys_values = self.layers[-1].qkv.columns(self.hidden, None)
        # The layers hold their own weights, some of them fused; a second copy would be a quarter of the model.
        self._w = {name: tensor for name, tensor in w.items() if not name.startswith("bert.encoder.layer.")}

    def _layer(self, prefix: str, linear: Callable[[Tensor, Tensor], Linear]) -> _Layer:
        def get(name: str) -> Tensor:
            return self._w[prefix + name]

        def fused(kind: str) -> Tensor:
            return torch.cat([get(f"attention.self.{part}.{kind}") for part in ("query", "key", "value")])

        def dense(name: str) -> Linear:
            return linear(get(name + ".weight"), get(name + ".bias"))

        def norm(name: str) -> tuple[Tensor, Tensor]:
            return get(name + ".weight"), get(name + ".bias")

        return _Layer(
            linear(fused("weight"), fused("bias")),
            dense("attention.output.dense"),
            norm("attention.output.LayerNorm"),
            dense("intermediate.dense"),
            dense("output.dense"),
            norm("output.LayerNorm"),
        )

    def _norm(self, x: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
        return F.layer_norm(x, (x.shape[-1],), *weights, self.eps)

    def _embed(self, batch: PackedBatch) -> Tensor:
        e = "bert.embeddings."
        x = F.embedding(batch.ids, self._w[e + "word_embeddings.weight"])
        x = x + F.embedding(batch.types, self._w[e + "token_type_embeddings.weight"])
        x = x + F.embedding(batch.positions, self._w[e + "position_embeddings.weight"])
        return self._filled(self._norm(x, (self._w[e + "LayerNorm.weight"], self._w[e + "LayerNorm.bias"])))

    def _filled(self, x: Tensor) -> Tensor:
        """Append rows of zeros up to a multiple that the linear maps prefer. They do not affect any other row."""
        missing = -len(x) % self._rows_step
        return F.pad(x, (0, 0, 0, missing)) if missing else x

    def _attend(self, query: Tensor, keys_values: Tensor, batch: PackedBatch) -> Tensor:
        """Map `(queries, hidden)` and `(tokens, 2 * hidden)` to `(queries, hidden)`."""
        size = self.hidden // self.heads
        k, v = keys_values.view(-1, 2, self.heads, size).unbind(1)
        return self._attention(query.view(-1, self.heads, size), k, v, batch.groups, batch.bounds)

    def _layer_output(self, layer: _Layer, x: Tensor, batch: PackedBatch) -> Tensor:
        qkv = layer.qkv(x)
        return self._finish(layer, x, self._attend(qkv[:, : self.hidden], qkv[:, self.hidden :], batch))

    def _finish(self, layer: _Layer, x: Tensor, attended: Tensor) -> Tensor:
        """Compute everything of a layer after its attention; rows are independent of each other."""
        x = self._norm(layer.out(attended).add_(x), layer.norm1)
        return self._norm(layer.down(self.activation(layer.up(x))).add_(x), layer.norm2)

    def vector_states(self, batch: PackedBatch, *, last: int = 1) -> Tensor:
        """Return `(tokens, hidden)`: the mean of the outputs of the `last` layers up to `vector_layer`."""
        return self._vectors(batch, last)[0][: len(batch.ids)]

    def vector_and_first_states(self, batch: PackedBatch, *, last: int = 1) -> tuple[Tensor, Tensor]:
        """Return `vector_states` and, `(sequences, hidden)`, the top layer's `[CLS]` rows, from one pass."""
        vectors, x = self._vectors(batch, last)
        if self.vector_layer == len(self.layers):
            return vectors[: len(batch.ids)], x[batch.starts]
        below = self._through(x, batch, self.layers[self.vector_layer : -1])
        return vectors[: len(batch.ids)], self._top(below, batch, batch.starts)

    def hidden_states(self, batch: PackedBatch) -> Tensor:
        """Return `(tokens, hidden)`: the output of the top layer, which the MLM head reads."""
        return self._through(self._embed(batch), batch, self.layers)[: len(batch.ids)]

    def first_states(self, batch: PackedBatch) -> Tensor:
        """Return `(sequences, hidden)`: the top layer's `[CLS]` rows; no other row of that layer is computed."""
        return self.chosen_states(batch, batch.starts)

    def chosen_states(self, batch: PackedBatch, rows: Tensor) -> Tensor:
        """Return `(sequences, hidden)`: one row of the top layer per sequence; the others are not computed."""
        return self._top(self._through(self._embed(batch), batch, self.layers[:-1]), batch, rows)

    def _vectors(self, batch: PackedBatch, last: int) -> tuple[Tensor, Tensor]:
        """Return the mean of the `last` layers up to `vector_layer`, and the output of that layer."""
        first = self.vector_layer - last
        x = total = self._through(self._embed(batch), batch, self.layers[: first + 1])
        for layer in self.layers[first + 1 : self.vector_layer]:
            x = self._layer_output(layer, x, batch)
            total = total + x
        return (total if last == 1 else total / last), x

    def _through(self, x: Tensor, batch: PackedBatch, layers: list[_Layer]) -> Tensor:
        for layer in layers:
            x = self._layer_output(layer, x, batch)
        return x

    def _top(self, x: Tensor, batch: PackedBatch, rows: Tensor) -> Tensor:
        """Return one row per sequence of the top layer's output, from the input `x` of that layer."""
        layer, chosen = self.layers[-1], self._filled(x[rows])
        attended = self._attend(self._query(chosen)[: len(rows)], self._keys_values(x), batch)
        return self._finish(layer, chosen, self._filled(attended))[: len(rows)]

    def pair_scores(self, first: Tensor) -> Tensor:
        """Map `[CLS]` states `(n, hidden)` to `(n, 3)` float32: NSP logits, column 0 *is next*, and the order margin.

        The margin is logit(in order) - logit(swapped), NaN without an order head.
        """
        pooled = torch.tanh(self._head("bert.pooler.dense", first))
        scores = torch.full((len(first), 3), torch.nan, dtype=torch.float32, device=first.device)
        scores[:, :2] = self._head("cls.seq_relationship", pooled)
        if "cls.order_relationship.weight" in self._w:
            order = self._head("cls.order_relationship", pooled).float()
            scores[:, 2] = order[:, 0] - order[:, 1]
        return scores

    def _head(self, name: str, x: Tensor) -> Tensor:
        return Dense(self._w[name + ".weight"].t(), self._w[name + ".bias"])(x)

    def masked_lm_logits(self, states: Tensor) -> Tensor:
        """Map token states `(n, hidden)` to vocabulary logits `(n, vocabulary)`."""
        w, p = self._w, "cls.predictions."
        x = self.activation(self._head(p + "transform.dense", states))
        x = self._norm(x, (w[p + "transform.LayerNorm.weight"], w[p + "transform.LayerNorm.bias"]))
        decoder = w.get(p + "decoder.weight", w["bert.embeddings.word_embeddings.weight"])
        return Dense(decoder.t(), w.get(p + "decoder.bias", w[p + "bias"]))(x)


def activation_named(name: str) -> Callable[[Tensor], Any]:
    """Return transformers' activation of that name (`gelu`, `gelu_new`, `relu`, …). Raises KeyError if unknown."""
    if name == "gelu":
        return F.gelu  # the same function, without a second of import
    from transformers.activations import ACT2FN

    function: Callable[[Tensor], Any] = ACT2FN[name]
    return function
