"""Vectors of marked places in texts: a use of a word that somebody marked, not the first such word of the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from polyseme.storage.errors import UsageError
from polyseme.tasks.arrays import Floats
from polyseme.tasks.encode.pooling import word_vectors
from polyseme.tasks.engine import Engine
from polyseme.tasks.inference.texts import tokenize_texts
from polyseme.tasks.inference.vectors import encode_texts
from polyseme.tasks.reading.normalization import normalise


def span_vectors(
    engine: Engine, uses: Sequence[tuple[str, int, int]], *, on_batch: Callable[[int], None] = lambda tokens: None
) -> Floats:
    """Return `(uses, width)` for each `(text, start, end)`: the mean of the tokens that the span has a part of.

    The text is encoded whole, as one sentence: beyond the model's limit in overlapping windows. Raises UsageError for a
    span without a token.
    """
    tokenized = tokenize_texts(engine.document_tokenizer, [text for text, _, _ in uses])
    starts, stops = np.empty(len(uses), np.int64), np.empty(len(uses), np.int64)
    for i, (text, start, end) in enumerate(uses):
        document = tokenized.documents[i]
        first, last = len(normalise(text[:start])), len(normalise(text[:end]))
        inside = np.flatnonzero((document.char_end > first) & (document.char_start < last))
        if not 0 <= start < end <= len(text) or not len(inside):
            raise UsageError(
                f"Use {i} has no token at characters {start}:{end} of its {len(text)}. Correct its indexes."
            )
        starts[i], stops[i] = tokenized.ptr[i] + inside[0], tokenized.ptr[i] + inside[-1] + 1
    vectors: Floats = word_vectors(encode_texts(engine, tokenized, on_batch).tokens, starts, stops).astype(np.float32)
    return vectors
