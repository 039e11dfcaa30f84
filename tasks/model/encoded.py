"""The result of one encoding pass, as plain arrays. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Floats


@dataclass(frozen=True, slots=True)
class Encoded:
    """The result of one encoding pass, float32.

    `tokens` is `(tokens, hidden)` in token order. `first` and `final` are `(sentences, hidden)`: the `[CLS]` and
    closing `[SEP]` vectors of sentences that have windows of their own (`alone`), averaged over these, else zeros.
    `pooled` is `(sentences, hidden)` if their vectors need other rows than these, else None.
    `logits` is `(pairs, 3)` as `score_pairs` returns, NaN if no window scored the pair.
    `replaced` is `(tokens,)` if it was asked for: the logit that the token was replaced, NaN where no window takes it.
    """

    tokens: Floats
    first: Floats
    final: Floats
    alone: npt.NDArray[np.bool_]
    logits: Floats
    pooled: Floats | None = None
    replaced: Floats | None = None
