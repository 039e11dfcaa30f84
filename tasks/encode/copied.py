"""Copied rows: what of a chunk's results is in the lake already, by place in the chunk. Plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.storage.schemas import RANDOM
from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.encode.pooling import Halves
from polyseme.tasks.encode.transitions import Flags


@dataclass(frozen=True, slots=True)
class CopiedRows:
    """Rows as of some places: `vectors[at[i]]` belongs to place `i`, nothing does if `at[i]` is -1."""

    at: Ints
    vectors: Halves

    @property
    def there(self) -> Flags:
        """`(places,)`: True where there is a row."""
        return self.at >= 0

    def put(self, into: npt.NDArray[Any]) -> None:
        """Write the rows to their places in `into`, `(places, width)`."""
        places = np.flatnonzero(self.there)
        into[places] = self.vectors[self.at[places]]


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """A row of the random baseline that a document keeps: places are sentences of it, `values` as stored."""

    doc_id: str
    sentence_index: int
    next_doc_id: str
    next_sentence_index: int
    values: dict[str, float | int | None]

    def to_dict(self, version: int) -> dict[str, object]:
        """Return the row as the table `transitions` has it, of a document's `version`."""
        return {
            "doc_id": self.doc_id,
            "version": version,
            "sentence_index": self.sentence_index,
            "kind": RANDOM,
            "next_doc_id": self.next_doc_id,
            "next_sentence_index": self.next_sentence_index,
            **self.values,
        }


@dataclass(frozen=True, slots=True)
class Copied:
    """Everything known of one chunk. A sentence is in `sentences` if all vectors that it needs are known.

    `words` are by word, `tokens` by token. `steps` is `(pairs,)`, True where `logits`, `(pairs, 3)`, are known.
    `surprisals` is `(tokens,)` and `likelihoods` `(sentences,)`, NaN for an unknown sentence; `replaced` `(tokens,)`,
    NaN where `tokens` has nothing. `kept` is `(sentences,)`: the sentences of which the pairs of the random
    baseline are kept, in `baseline`.
    """

    sentences: CopiedRows
    words: CopiedRows | None = None
    tokens: CopiedRows | None = None
    steps: Flags | None = None
    logits: Floats | None = None
    likelihoods: npt.NDArray[np.float64] | None = None
    surprisals: Floats | None = None
    replaced: Floats | None = None
    kept: Flags | None = None
    baseline: list[BaselineRow] = field(default_factory=list)
