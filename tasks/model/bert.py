"""BERT's arithmetic over packed rows, and that of the families made of the same parts.

`PackedBert` is Devlin et al. (2018): post-norm, absolute positions. RoBERTa, DistilBERT and ELECTRA differ in what
their embeddings add up, ALBERT shares the weights of layers, and MPNet adds a bias by relative position to attention.
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
from polyseme.tasks.model.packed import PackedBatch, PackedEncoder
from polyseme.tasks.model.relative_bias import RelativeBias

_E = "bert.embeddings."
_LAYER = "bert.encoder.layer."
_BIAS = "bert.encoder.relative_attention_bias.weight"


@dataclass(frozen=True, slots=True)
class _Layer:
    """The weights of one layer. Query, key and value are computed by one product."""

    qkv: Linear
    out: Linear
    norm1: tuple[Tensor, Tensor]
    up: Linear
    down: Linear
    norm2: tuple[Tensor, Tensor]


class PackedBert(PackedEncoder[_Layer]):
    """An immutable body with optional NSP, MLM, order and discriminator heads, in one dtype on one device."""

    def __init__(
        self,
        weights: dict[str, Tensor],
        *,
        heads: int,
        eps: float,
        activation: Callable[[Tensor], Tensor],
        dtype: torch.dtype,
        device: torch.device,
        span: LayerSpan | None = None,
        linear: Callable[[Tensor, Tensor], Linear] = Dense.of,
        mlm_activation: Callable[[Tensor], Tensor] | None = None,
        layer_order: Sequence[int] | None = None,
    ) -> None:
        """Take weights named as in transformers' `BertForPreTraining` (`bert.…`, `cls.…`).

        Vectors are the mean of the layers of `span` (default: the last one); the layers above it serve the heads.
        `linear` makes the layers' linear maps from a weight `(out, in)` and a bias; the heads are always `Dense`.
        The MLM head has `mlm_activation` (default: that of the layers). `layer_order` are the numbers of the weights of
        each layer, if layers share them.
        """
        w = {name: tensor.to(device=device, dtype=dtype).contiguous() for name, tensor in weights.items()}
        self._w = w
        self.heads, self.eps = heads, eps
        self.activation = of_rows(activation)
        self._mlm_activation = of_rows(mlm_activation or activation)
        self.dtype = dtype
        self.hidden = w[f"{_LAYER}0.output.dense.weight"].shape[0]
        self._attention = attention_for(device, dtype, self.hidden // heads)
        self._bias = RelativeBias(w[_BIAS], len(w[_E + "position_embeddings.weight"])) if _BIAS in w else None
        count = 1 + max(int(n.split(".")[3]) for n in w if n.startswith(_LAYER))
        stored = [self._layer(f"{_LAYER}{i}.", linear) for i in range(count)]
        self.layers = stored if layer_order is None else [stored[i] for i in layer_order]
        self.span = span or LayerSpan(len(self.layers), len(self.layers))
        # NSP needs the last layer's query of `[CLS]` only.
        self._query = self.layers[-1].qkv.columns(0, self.hidden)
        self.rows_step = self._query.rows_step
        self._keys_values = self.layers[-1].qkv.columns(self.hidden, None)
        # The layers hold their own weights, some of them fused; a second copy would be a quarter of the model.
        self._w = {name: tensor for name, tensor in w.items() if not name.startswith(_LAYER)}

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

    def embed(self, batch: PackedBatch) -> Tensor:
        w = self._w
        x = F.embedding(batch.ids, w[_E + "word_embeddings.weight"])
        if _E + "token_type_embeddings.weight" in w:
            x = x + F.embedding(batch.types, w[_E + "token_type_embeddings.weight"])
        x = x + F.embedding(batch.positions, w[_E + "position_embeddings.weight"])
        x = self.filled(self._norm(x, (w[_E + "LayerNorm.weight"], w[_E + "LayerNorm.bias"])))
        return self._head("bert.embeddings_project", x) if "bert.embeddings_project.weight" in w else x

    def _attend(self, query: Tensor, keys_values: Tensor, batch: PackedBatch) -> Tensor:
        """Map `(queries, hidden)` and `(tokens, 2 * hidden)` to `(queries, hidden)`."""
        size = self.hidden // self.heads
        k, v = keys_values.view(-1, 2, self.heads, size).unbind(1)
        q = query.view(-1, self.heads, size)
        if self._bias is not None:
            return self._bias.attend(q, k, v, batch.groups)
        return self._attention(q, k, v, batch.groups, batch.bounds)

    def layer_output(self, layer: _Layer, x: Tensor, batch: PackedBatch) -> Tensor:
        qkv = layer.qkv(x)
        return self._finish(layer, x, self._attend(qkv[:, : self.hidden], qkv[:, self.hidden :], batch))

    def _finish(self, layer: _Layer, x: Tensor, attended: Tensor) -> Tensor:
        """Compute everything of a layer after its attention; rows are independent of each other."""
        x = self._norm(layer.out(attended).add_(x), layer.norm1)
        return self._norm(layer.down(self.activation(layer.up(x))).add_(x), layer.norm2)

    def top(self, x: Tensor, batch: PackedBatch, rows: Tensor) -> Tensor:
        """Return one row per sequence of the top layer's output; the others are not computed, unless biased."""
        if self._bias is not None:
            return super().top(x, batch, rows)
        layer, chosen = self.layers[-1], self.filled(x[rows])
        attended = self._attend(self._query(chosen)[: len(rows)], self._keys_values(x), batch)
        return self._finish(layer, chosen, self.filled(attended))[: len(rows)]

    def pair_scores(self, first: Tensor) -> Tensor:
        """Map `[CLS]` states `(n, hidden)` to `(n, 3)` float32: NSP logits, column 0 *is next*, and the order margin.

        The margin is logit(in order) - logit(swapped). What a checkpoint has no head for is NaN.
        """
        pooled = torch.tanh(self._head("bert.pooler.dense", first))
        scores = super().pair_scores(first)
        if "cls.seq_relationship.weight" in self._w:
            scores[:, :2] = self._head("cls.seq_relationship", pooled)
        if "cls.order_relationship.weight" in self._w:
            order = self._head("cls.order_relationship", pooled).float()
            scores[:, 2] = order[:, 0] - order[:, 1]
        return scores

    def replaced_logits(self, states: Tensor) -> Tensor:
        """Map token states `(n, hidden)` to `(n,)`: above 0 if a token more likely was replaced than not."""
        x = self.activation(self._head("cls.replaced.dense", states))
        return self._head("cls.replaced.prediction", x)[:, 0]

    def _head(self, name: str, x: Tensor) -> Tensor:
        return Dense(self._w[name + ".weight"].t(), self._w[name + ".bias"])(x)

    def masked_lm_logits(self, states: Tensor) -> Tensor:
        w, p = self._w, "cls.predictions."
        x = self._mlm_activation(self._head(p + "transform.dense", states))
        x = self._norm(x, (w[p + "transform.LayerNorm.weight"], w[p + "transform.LayerNorm.bias"]))
        decoder = w.get(p + "decoder.weight", w[_E + "word_embeddings.weight"])
        bias = w[p + "decoder.bias"] if p + "decoder.bias" in w else w[p + "bias"]
        return Dense(decoder.t(), bias)(x)
