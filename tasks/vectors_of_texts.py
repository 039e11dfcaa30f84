"""Vectors of texts at hand: a question gets the vector that the lake would have stored for it.

Each text is taken as one sentence, whatever it holds, and normalised as documents are. Over the model's limit it is
covered by overlapping windows, as in a corpus: nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from storage.records import Sentence
from tasks.encoder import Encoded, Encoder, Floats
from tasks.engine import Engine
from tasks.normal_form import normalise
from tasks.pooling import sentence_vectors, word_vectors
from tasks.windows import Ints, Windows, context_windows, sentence_windows
from tasks.wordpiece import TokenizedDocument

Between = Callable[[int], None]


def text_vectors(engine: Engine, texts: Sequence[str], *, between: Between = lambda tokens: None) -> Floats:
    """Return `(texts, width)` in the order of `texts`."""
    read = _read(engine, texts)
    return sentence_vectors(_encode(engine, read, between), read.ptr, engine.config.pooling)


def token_and_text_vectors(engine: Engine, texts: Sequence[str]) -> tuple[Floats, Floats]:
    """Return `(tokens, width)` over all texts and `(texts, width)`, both in the order of `texts`."""
    read = _read(engine, texts)
    encoded = _encode(engine, read, lambda tokens: None)
    return encoded.tokens, sentence_vectors(encoded, read.ptr, engine.config.pooling)


def word_in_text_vectors(
    engine: Engine, questions: Sequence[tuple[str, str]], *, between: Between = lambda tokens: None
) -> list[Floats | None]:
    """Return for each `(text, word)` the vector `(width,)` of the word's first occurrence in the text, in any case.

    None where the text does not hold the word. Words are what the tokenizer takes for one: `don't` is three.
    """
    read = _read(engine, [text for text, _ in questions])
    tokens = _encode(engine, read, between).tokens
    found: list[Floats | None] = []
    for i, (_, word) in enumerate(questions):
        span = _first(read.documents[i], read.texts[i], normalise(word).lower())
        if span is None:
            found.append(None)
            continue
        start, stop = (np.array([read.ptr[i] + at], np.int64) for at in span)
        found.append(word_vectors(tokens, start, stop)[0].astype(np.float32))
    return found


@dataclass(frozen=True, slots=True)
class _Read:
    texts: list[str]
    documents: list[TokenizedDocument]
    ptr: Ints


def _read(engine: Engine, texts: Sequence[str]) -> _Read:
    clean = [normalise(text) for text in texts]
    documents = [engine.wordpiece.tokenize(text, [Sentence(0, len(text))]) for text in clean]
    ptr = np.concatenate([[0], np.cumsum([d.n_tokens for d in documents])]).astype(np.int64)
    return _Read(clean, documents, ptr)


def _encode(engine: Engine, read: _Read, between: Between) -> Encoded:
    ids = np.concatenate([d.ids for d in read.documents]).astype(np.int32)
    windows = _windows(engine, read.ptr)

    def work(encoder: Encoder) -> Encoded:
        return encoder.encode(ids, windows, sentences=len(read.texts), between=between)

    return engine.in_lane(work)


def _windows(engine: Engine, ptr: Ints) -> Windows:
    """A text has no neighbours; what is left of its encoding's context is which rows its sentence vector means over."""
    alone, limit = range(len(ptr) - 1), engine.spec.max_tokens
    if engine.config.context == "window":
        return context_windows(ptr, [(i, i + 1) for i in alone], limit)
    return sentence_windows(ptr, alone, limit)


def _first(document: TokenizedDocument, text: str, word: str) -> tuple[int, int] | None:
    """Return the half-open token range of the word's first occurrence."""
    starts = np.flatnonzero(np.diff(document.word, prepend=-1))
    stops = np.append(starts[1:], document.n_tokens)
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        if text[document.char_start[start] : document.char_end[stop - 1]].lower() == word:
            return start, stop
    return None
