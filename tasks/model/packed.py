"""Encoders over packed rows: sequences lie one after another, without padding. The passes that all of them share.

Everything but attention works on rows `(tokens, hidden)` and ignores where a sequence ends. A family gives embeddings
and layers. Knows weights and numbers, not files, text or batching policy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from polyseme.storage.layers import LayerSpan

Layer = TypeVar("Layer")


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


class Network(Protocol):
    """What the encoder asks of a model: states of the rows of a batch, and the logits of its heads.

    The layers above `span` serve the heads. Heads that a checkpoint lacks are not called.
    """

    dtype: torch.dtype
    hidden: int
    span: LayerSpan

    def vector_states(self, batch: PackedBatch) -> Tensor:
        """Return `(tokens, hidden)`: the mean of the outputs of the layers of `span`."""

    def vector_and_first_states(self, batch: PackedBatch) -> tuple[Tensor, Tensor]:
        """Return `vector_states` and, `(sequences, hidden)`, the top layer's `[CLS]` rows, from one pass."""

    def hidden_states(self, batch: PackedBatch) -> Tensor:
        """Return `(tokens, hidden)`: the output of the top layer, which the MLM head reads."""

    def first_states(self, batch: PackedBatch) -> Tensor:
        """Return `(sequences, hidden)`: the top layer's `[CLS]` rows."""

    def chosen_states(self, batch: PackedBatch, rows: Tensor) -> Tensor:
        """Return `(sequences, hidden)`: one row of the top layer per sequence."""

    def pair_scores(self, first: Tensor) -> Tensor:
        """Map `[CLS]` states `(n, hidden)` to `(n, 3)` float32: NSP logits, first *is next*, and the order margin."""

    def masked_lm_logits(self, states: Tensor) -> Tensor:
        """Map token states `(n, hidden)` to vocabulary logits `(n, vocabulary)`."""

    def vector_states_and_replaced(self, batch: PackedBatch) -> Tensor:
        """Return `vector_states` with one more column: the logit that the token was replaced."""


class PackedEncoder(ABC, Generic[Layer]):
    """The passes of an immutable encoder over its `layers`, in one dtype on one device.

    `rows_step` is the number of rows whose multiples its linear maps prefer.
    """

    layers: Sequence[Layer]
    span: LayerSpan
    hidden: int
    dtype: torch.dtype
    rows_step: int

    @abstractmethod
    def embed(self, batch: PackedBatch) -> Tensor:
        """Return `(rows, hidden)`: the input of the first layer, filled up with `filled`."""

    @abstractmethod
    def layer_output(self, layer: Layer, x: Tensor, batch: PackedBatch) -> Tensor:
        """Map the input of a layer, `(rows, hidden)`, to its output."""

    @abstractmethod
    def masked_lm_logits(self, states: Tensor) -> Tensor:
        """Map token states `(n, hidden)` to vocabulary logits `(n, vocabulary)`."""

    def finished(self, x: Tensor) -> Tensor:
        """Return the states of rows that came from the last layer: normalised, where a family does that."""
        return x

    def top(self, x: Tensor, batch: PackedBatch, rows: Tensor) -> Tensor:
        """Return one row per sequence of the last layer's output, from the input `x` of that layer."""
        return self.finished(self.layer_output(self.layers[-1], x, batch)[rows])

    def pair_scores(self, first: Tensor) -> Tensor:
        """Map `[CLS]` states `(n, hidden)` to `(n, 3)` float32: NSP logits and order margin, all NaN without heads."""
        return torch.full((len(first), 3), torch.nan, dtype=torch.float32, device=first.device)

    def filled(self, x: Tensor) -> Tensor:
        """Append rows of zeros up to a multiple that the linear maps prefer. They do not affect any other row."""
        missing = -len(x) % self.rows_step
        return F.pad(x, (0, 0, 0, missing)) if missing else x

    def vector_states(self, batch: PackedBatch) -> Tensor:
        """Return `(tokens, hidden)`: the mean of the outputs of the layers of `span`."""
        return self._vectors(batch)[0][: len(batch.ids)]

    def vector_and_first_states(self, batch: PackedBatch) -> tuple[Tensor, Tensor]:
        """Return `vector_states` and, `(sequences, hidden)`, the top layer's `[CLS]` rows, from one pass."""
        vectors, x = self._vectors(batch)
        if self.span.last == len(self.layers):
            return vectors[: len(batch.ids)], self.finished(x[batch.starts])
        below = self._through(x, batch, self.layers[self.span.last : -1])
        return vectors[: len(batch.ids)], self.top(below, batch, batch.starts)

    def vector_states_and_replaced(self, batch: PackedBatch) -> Tensor:
        """Return `vector_states` with one more column: the logit that the token was replaced."""
        vectors, x = self._vectors(batch)
        top = self.finished(self._through(x, batch, self.layers[self.span.last :]))
        return torch.cat([vectors, self.replaced_logits(top)[:, None]], dim=1)[: len(batch.ids)]

    def replaced_logits(self, states: Tensor) -> Tensor:
        """Map token states `(n, hidden)` to logits `(n,)`. Raises NotImplementedError: only ELECTRA has that head."""
        raise NotImplementedError

    def hidden_states(self, batch: PackedBatch) -> Tensor:
        """Return `(tokens, hidden)`: the output of the top layer, which the MLM head reads."""
        return self.finished(self._through(self.embed(batch), batch, self.layers)[: len(batch.ids)])

    def first_states(self, batch: PackedBatch) -> Tensor:
        """Return `(sequences, hidden)`: the top layer's `[CLS]` rows; of no other more is computed than needed."""
        return self.chosen_states(batch, batch.starts)

    def chosen_states(self, batch: PackedBatch, rows: Tensor) -> Tensor:
        """Return `(sequences, hidden)`: one row of the top layer per sequence."""
        return self.top(self._through(self.embed(batch), batch, self.layers[:-1]), batch, rows)

    def _vectors(self, batch: PackedBatch) -> tuple[Tensor, Tensor]:
        """Return the mean of the layers of `span`, and the output of its last one, as the next layer takes it."""
        first, last = self.span.first, self.span.last
        x = self._through(self.embed(batch), batch, self.layers[:first])
        total = self._output(x, first)
        for number in range(first + 1, last + 1):
            x = self.layer_output(self.layers[number - 1], x, batch)
            total = total + self._output(x, number)
        return (total if first == last else total / len(self.span)), x

    def _output(self, x: Tensor, number: int) -> Tensor:
        """Return the states that layer `number` is said to have: only those of the top one are finished."""
        return self.finished(x) if number == len(self.layers) else x

    def _through(self, x: Tensor, batch: PackedBatch, layers: Sequence[Layer]) -> Tensor:
        for layer in layers:
            x = self.layer_output(layer, x, batch)
        return x
