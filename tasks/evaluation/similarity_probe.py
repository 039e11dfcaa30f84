"""A probe of sentence similarity: whether the cosine of two sentences rises with how much they mean the same.

As in semantic textual similarity (Agirre et al. 2012), 5 is the same meaning in other words and 0 is nothing in common.
The set that ships was written for Polyseme: few pairs can be graded by counting common words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import unit
from polyseme.tasks.engine import Engine
from polyseme.tasks.evaluation.json_lines import read_records
from polyseme.tasks.inference.vectors import text_vectors

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GradedPair:
    """Two sentences and how similar they are in meaning: the higher `grade`, the more."""

    one: str
    two: str
    grade: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.grade):
            raise ValueError(f"The grade of a pair must be a finite number, got {self.grade}.")


def read_graded_pairs(path: Path) -> list[GradedPair]:
    """Read JSON lines with `one`, `two` and `grade`. Raises UsageError, naming the line, for anything else."""
    expected = '{"grade": 0 to 5, "one": …, "two": …}'
    return read_records(path, _pair, what="graded pairs", expected=expected)


def _pair(record: dict[str, Any]) -> GradedPair:
    return GradedPair(str(record["one"]), str(record["two"]), float(record["grade"]))


def similarity(
    engine: Engine, pairs: Sequence[GradedPair], *, on_batch: Callable[[int], None] = lambda tokens: None
) -> float | None:
    """Return Spearman's rank correlation of the cosine of each pair with its grade; None if all grades are equal."""
    texts = [text for pair in pairs for text in (pair.one, pair.two)]
    if not texts:
        return None
    vectors = unit(text_vectors(engine, texts, on_batch=on_batch)).astype(np.float64)
    return rank_correlation((vectors[::2] * vectors[1::2]).sum(1), np.array([pair.grade for pair in pairs]))


def rank_correlation(one: Doubles, two: Doubles) -> float | None:
    """Return Spearman's rank correlation, ties at their mean rank; None if either is constant."""
    first, second = _ranks(one), _ranks(two)
    if min(first.std(), second.std()) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Doubles) -> Doubles:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]
