"""Vectors of texts: a query gets the vector that the lake would have stored for it as a sentence.

Each text is treated as one sentence and normalised like documents. Over the model's limit it is covered by overlapping
windows, as in a corpus: nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.encode.pooling import sentence_vectors, word_vectors
from polyseme.tasks.engine import Engine
from polyseme.tasks.inference.texts import Texts, tokenize_texts
from polyseme.tasks.reading.normalization import normalise
from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.tokens import TokenizedDocument
from polyseme.tasks.text.windows import Windows, context_windows, sentence_windows

if TYPE_CHECKING:
    from polyseme.tasks.model.encoder import Encoded

OnBatch = Callable[[int], None]


def text_vectors(engine: Engine, texts: Sequence[str], *, on_batch: OnBatch = lambda tokens: None) -> Floats:
    """Return `(texts, width)` in the order of `texts`, each behind the query prompt of the encoding if it has one."""
    tokenized = tokenize_texts(engine.query_tokenizer, texts)
    encoded = _encode(engine, tokenized, on_batch, frame=engine.query_tokenizer.prompted_frame)
    return engine.sentence_head(sentence_vectors(encoded, tokenized.ptr, engine.spec.pooling))


def token_and_text_vectors(engine: Engine, texts: Sequence[str]) -> tuple[Floats, Floats]:
    """Return `(tokens, hidden)` over all texts and `(texts, width)`, both in the order of `texts`, as of documents."""
    tokenized = tokenize_texts(engine.document_tokenizer, texts)
    encoded = _encode(engine, tokenized, lambda tokens: None)
    return encoded.tokens, engine.sentence_head(sentence_vectors(encoded, tokenized.ptr, engine.spec.pooling))


def word_in_text_vectors(
    engine: Engine, questions: Sequence[tuple[str, str]], *, on_batch: OnBatch = lambda tokens: None
) -> list[Floats | None]:
    """Return for each `(text, word)` the vector `(width,)` of the word's first occurrence in the text, in any case.

    None if the word is not in the text. Words are those of the tokenizer: `don't` is three.
    """
    tokenized = tokenize_texts(engine.document_tokenizer, [text for text, _ in questions])
    tokens = _encode(engine, tokenized, on_batch).tokens
    found: list[Floats | None] = []
    for i, (_, word) in enumerate(questions):
        span = _first(tokenized.documents[i], tokenized.texts[i], normalise(word).lower())
        if span is None:
            found.append(None)
            continue
        start, stop = (np.array([tokenized.ptr[i] + at], np.int64) for at in span)
        found.append(word_vectors(tokens, start, stop)[0].astype(np.float32))
    return found


def _encode(engine: Engine, tokenized: Texts, on_batch: OnBatch, *, frame: Frame | None = None) -> Encoded:
    """Encode texts, in the frame of documents unless another is given."""
    windows = _windows(engine, tokenized.ptr, frame or engine.document_tokenizer.prompted_frame)
    return engine.in_lane(
        lambda encoder: encoder.encode(
            tokenized.ids,
            windows,
            sentences=len(tokenized.texts),
            on_batch=on_batch,
            sentence_ptr=tokenized.ptr,
            pooling=engine.spec.pooling,
        )
    )


def _windows(engine: Engine, ptr: Ints, frame: Frame) -> Windows:
    """Return the windows of texts without neighbours; with context `window` special tokens are left out of the mean."""
    alone, limit = range(len(ptr) - 1), engine.spec.max_tokens
    if engine.config.context == "window":
        return context_windows(ptr, [(i, i + 1) for i in alone], limit, np.zeros(len(alone), np.uint64), frame)
    return sentence_windows(ptr, alone, limit, frame)


def _first(document: TokenizedDocument, text: str, word: str) -> tuple[int, int] | None:
    """Return the half-open token range of the word's first occurrence; None if there is none."""
    for number in range(int(document.last_word.max(initial=-1)) + 1):
        start = int(np.searchsorted(document.last_word, number, side="left"))
        stop = int(np.searchsorted(document.word, number, side="right"))
        if text[document.char_start[start] : document.char_end[stop - 1]].lower() == word:
            return start, stop
    return None
