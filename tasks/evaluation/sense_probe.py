"""A probe of word senses: whether a word's nearest neighbour, among uses in known senses, has the same sense.

The set that ships was written for Polyseme: twelve words in two or three senses, eight sentences each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polyseme.tasks.arrays import unit
from polyseme.tasks.engine import Engine
from polyseme.tasks.evaluation.json_lines import read_records
from polyseme.tasks.inference.vectors import word_in_text_vectors


@dataclass(frozen=True, slots=True)
class Use:
    """One sentence, `text`, that uses `word` in a known sense."""

    word: str
    sense: str
    text: str


def read_uses(path: Path) -> list[Use]:
    """Read JSON lines with `word`, `sense` and `text`. Raises UsageError, naming the line, for anything else."""
    expected = '{"word": …, "sense": …, "text": …}'
    return read_records(path, _use, what="sense set", expected=expected)


def _use(record: dict[str, Any]) -> Use:
    return Use(*(str(record[name]) for name in ("word", "sense", "text")))


def sense_accuracy(
    engine: Engine, uses: Sequence[Use], *, on_batch: Callable[[int], None] = lambda tokens: None
) -> dict[str, float]:
    """Return for each word, sorted, the share of its uses whose nearest other use by cosine has the same sense.

    A use counts as wrong if the model's tokenizer does not find the word in the text.
    """
    vectors = word_in_text_vectors(engine, [(use.text, use.word) for use in uses], on_batch=on_batch)
    correct: Counter[str] = Counter()
    for word in {use.word for use in uses}:
        chosen = [i for i, use in enumerate(uses) if use.word == word and vectors[i] is not None]
        if len(chosen) < 2:
            continue
        rows = unit(np.stack([vectors[i] for i in chosen]))  # type: ignore[misc]
        similarity = rows @ rows.T
        np.fill_diagonal(similarity, -2)
        nearest = similarity.argmax(axis=1)
        correct[word] = sum(uses[chosen[i]].sense == uses[chosen[j]].sense for i, j in enumerate(nearest.tolist()))
    total = Counter(use.word for use in uses)
    return {word: correct[word] / count for word, count in sorted(total.items())}
