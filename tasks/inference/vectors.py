"""Vectors of texts, of a query or of a sentence as a lake stores it: the same where the model has no prompts.

Each text is treated as one sentence and normalised like documents. Over the model's limit it is covered by overlapping
windows, as in a corpus: nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from polyseme.storage.records import WordDefinition
from polyseme.storage.word_keys import word_key, word_keys
from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.encode.pooling import sentence_vectors, word_vectors
from polyseme.tasks.engine import Engine
from polyseme.tasks.inference.texts import Texts, tokenize_texts
from polyseme.tasks.reading.normalization import normalise
from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.text_words import kinds_of, words_of_tokens
from polyseme.tasks.text.tokens import TokenizedDocument
from polyseme.tasks.text.windows import Windows, context_windows, sentence_windows

if TYPE_CHECKING:
    from polyseme.tasks.model.encoded import Encoded

OnBatch = Callable[[int], None]


def text_vectors(
    engine: Engine,
    texts: Sequence[str],
    *,
    prompt: Literal["query", "document"] = "query",
    on_batch: OnBatch = lambda tokens: None,
) -> Floats:
    """Return `(texts, width)` in the order of `texts`, each behind a prompt of the encoding if it has one.

    That of a `query` finds documents; that of a `document` makes the vectors that a lake stores of sentences.
    """
    tokenizer = engine.query_tokenizer if prompt == "query" else engine.document_tokenizer
    tokenized = tokenize_texts(tokenizer, texts)
    encoded = encode_texts(engine, tokenized, on_batch, frame=tokenizer.prompted_frame)
    return engine.sentence_head(sentence_vectors(encoded, tokenized.ptr, engine.spec.pooling))


def token_and_text_vectors(engine: Engine, texts: Sequence[str]) -> tuple[Floats, Floats]:
    """Return `(tokens, hidden)` over all texts and `(texts, width)`, both in the order of `texts`, as of documents."""
    tokenized = tokenize_texts(engine.document_tokenizer, texts)
    encoded = encode_texts(engine, tokenized, lambda tokens: None)
    return encoded.tokens, engine.sentence_head(sentence_vectors(encoded, tokenized.ptr, engine.spec.pooling))


def word_in_text_vectors(
    engine: Engine, questions: Sequence[tuple[str, str]], *, on_batch: OnBatch = lambda tokens: None
) -> list[Floats | None]:
    """Return for each `(text, word)` the vector `(width,)` of the first such word of the text, by its key.

    None if the word is not in the text. Of several words, a phrase, it is the mean of all their tokens where they first
    follow each other.
    """
    tokenized = tokenize_texts(engine.document_tokenizer, [text for text, _ in questions])
    tokens = encode_texts(engine, tokenized, on_batch).tokens
    found: list[Floats | None] = []
    for i, (_, word) in enumerate(questions):
        span = _first(tokenized.documents[i], tokenized.texts[i], normalise(word), engine.spec.word_definition)
        if span is None:
            found.append(None)
            continue
        start, stop = (np.array([tokenized.ptr[i] + at], np.int64) for at in span)
        found.append(word_vectors(tokens, start, stop)[0].astype(np.float32))
    return found


def encode_texts(engine: Engine, tokenized: Texts, on_batch: OnBatch, *, frame: Frame | None = None) -> Encoded:
    """Encode texts without neighbours, in the frame of documents unless another is given."""
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


def _first(document: TokenizedDocument, text: str, phrase: str, scheme: WordDefinition) -> tuple[int, int] | None:
    """Return the half-open token range of the first such word, or of the first such words in a row; None for none."""
    numbers = np.arange(int(document.last_word.max(initial=-1)) + 1)
    starts = np.searchsorted(document.last_word, numbers, side="left")
    stops = np.searchsorted(document.word, numbers, side="right")
    char_start, char_end = document.char_start[starts], document.char_end[stops - 1]
    if scheme == "text":
        whole, length = np.array([[0, len(text)]]), np.array([document.n_tokens])
        words = words_of_tokens(kinds_of(text), whole, length, document.char_start, document.char_end)
        char_start, char_end = words.start, words.stop
    keys = [word_key(text[start:stop]) for start, stop in zip(char_start.tolist(), char_end.tolist(), strict=True)]
    for sought in ([word_key(phrase)], word_keys(phrase)):
        for at in range(len(keys) - len(sought) + 1 if sought else 0):
            if keys[at : at + len(sought)] == sought:
                return int(starts[at]), int(stops[at + len(sought) - 1])
    return None
