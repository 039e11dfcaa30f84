"""Distillation: losses that keep a network's vectors close to those of a teacher, mostly the encoder it started from.

MLM and NSP move the vectors of the layers they train; nothing in them says that sentences of one meaning must stay
neighbours. Both losses compare the vector layer, by 1 - cosine; the teacher reads complete text. Knows no optimizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from polyseme.storage.records import Precision
from polyseme.tasks.training.network import PretrainingOutput, autocast, to, vector_layer
from polyseme.tasks.training.objective import Examples

_SENTENCES_OF = 2
"""One segment in so many is encoded again, alone and unmasked: all of them would be half of a step's cost."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """A frozen BERT body, and the layer that its vectors are taken from, counted from 1."""

    body: Any
    layer: int

    @classmethod
    def of(cls, model: Any, device: torch.device) -> Teacher:
        """Freeze the body of `model`, cut above its vector layer, on `device`."""
        layer = vector_layer(model)
        body = model.bert
        body.encoder.layer = body.encoder.layer[:layer]
        return cls(body.to(device).eval().requires_grad_(False), layer)

    def states(self, device: torch.device, precision: Precision, **inputs: Tensor) -> Tensor:
        """Return `(n, length, hidden)` float32."""
        with torch.no_grad(), autocast(device, precision):
            return self.body(**inputs).last_hidden_state.float()  # type: ignore[no-any-return]


def token_drift(
    output: PretrainingOutput, teacher: Teacher, batch: Examples, device: torch.device, precision: Precision
) -> Tensor:
    """Return 1 - cosine between the states and `teacher`'s, summed over the tokens that are not to be predicted.

    The teacher reads the unmasked text: its vectors of complete text are to be kept, not those of masked text.
    """
    wanted = teacher.states(
        device, precision, input_ids=to(device, batch.original), token_type_ids=to(device, batch.types),
        attention_mask=to(device, batch.attention),
    )  # fmt: skip
    kept = to(device, batch.attention).bool().reshape(-1).clone()
    kept[to(device, batch.at)] = False
    width = wanted.shape[-1]
    return _apart(output.states.reshape(-1, width)[kept], wanted.reshape(-1, width)[kept])


def sentence_drift(
    model: Any, teacher: Teacher, batch: Examples, device: torch.device, precision: Precision
) -> tuple[Tensor, int]:
    """Return 1 - cosine between `model`'s sentence vectors and `teacher`'s, summed over segments, and their number.

    Every second first segment of the batch is encoded as `polyseme embed` encodes a sentence: alone, unmasked, as the
    mean of its vector layer, [CLS] and [SEP] included.
    """
    chosen = slice(None, None, _SENTENCES_OF)
    inside = (batch.attention[chosen] == 1) & (batch.types[chosen] == 0)
    longest = int(inside.sum(axis=1).max())
    ids, mask = to(device, batch.original[chosen, :longest].copy()), to(device, inside[:, :longest].astype("int64"))
    layer = vector_layer(model)
    with autocast(device, precision):
        x = model.bert(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[layer].float()
    wanted = teacher.states(device, precision, input_ids=ids, attention_mask=mask)
    weights = mask[:, :, None].float()
    return _apart((x * weights).sum(1), (wanted * weights).sum(1)), len(ids)


def _apart(a: Tensor, b: Tensor) -> Tensor:
    return (1 - F.cosine_similarity(a, b, dim=-1)).sum()
