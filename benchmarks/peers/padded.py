"""Padded batches of similar length, as a careful user of a padded runtime would call it.

Knows no runtime: the function from a batch to token vectors is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from benchmarks.peers.peer import Vectors

Inputs = dict[str, npt.NDArray[np.int64]]
"""`input_ids`, `attention_mask` and `token_type_ids`, each `(rows, length)`."""
Forward = Callable[[Inputs], npt.NDArray[np.float32]]
"""Inputs to token vectors `(rows, length, width)`."""

EXAMPLE = ((1, 2, 3), (1, 2))
"""Token ids of two sequences, for runtimes that trace a model."""


@dataclass(frozen=True, slots=True)
class Padded:
    """Encodes sentences longest first, in padded batches, mean-pools them and restores their order."""

    tokenizer: Tokenizer
    forward: Forward

    @classmethod
    def of(cls, folder: Path, max_tokens: int, forward: Forward) -> Padded:
        """Load the tokenizer of a checkpoint folder, truncating at `max_tokens`."""
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
        return cls(tokenizer, forward)

    def __call__(self, sentences: Sequence[str], batch: int) -> Vectors:
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(list(sentences))]
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        done = [self._pooled([ids[i] for i in order[at : at + batch]]) for at in range(0, len(order), batch)]
        vectors = np.concatenate(done)
        vectors[order] = vectors.copy()
        return vectors

    def _pooled(self, ids: Sequence[Sequence[int]]) -> Vectors:
        inputs = pad(ids)
        mask = inputs["attention_mask"].astype(np.float32)
        sums = np.einsum("rtw,rt->rw", self.forward(inputs), mask)
        pooled: Vectors = sums / mask.sum(1, keepdims=True)
        return pooled


def pad(ids: Sequence[Sequence[int]]) -> Inputs:
    """Return one padded batch of sequences of token ids, of which the first is the longest."""
    shape = len(ids), len(ids[0])
    found = {name: np.zeros(shape, np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    for row, tokens in enumerate(ids):
        found["input_ids"][row, : len(tokens)] = tokens
        found["attention_mask"][row, : len(tokens)] = 1
    return found
