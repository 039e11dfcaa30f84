"""The model of one encoding behind a cache: batches of questions, each distinct one computed once.

Plain values in and out, None for None; knows nothing of SQL. The model is found, verified against the encoding and
loaded at the first question.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import get_args

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Device, EncodingSpec, PllVariant
from polyseme.tasks.arrays import Floats
from polyseme.tasks.engine import Cancelled, Engine
from polyseme.tasks.inference.cache import AnswerCache
from polyseme.tasks.inference.lake_model import engine_for
from polyseme.tasks.inference.predictions import (
    MaskCandidate,
    NextSentence,
    Surprisal,
    fill_masks,
    next_sentence,
    surprisals,
)
from polyseme.tasks.inference.vectors import text_vectors, word_in_text_vectors
from polyseme.tasks.reading.normalization import normalise

_CACHED = 8192
"""Answers of each kind in the cache: 12 MB of vectors of 384 dimensions."""


class CachedModel:
    """The cached answers of one encoding's model; without an encoding, of `model` or the embedded one. Thread-safe.

    `model` is the checkpoint's current location. Setting `stop` makes every question fail with `Cancelled`. `loader`
    loads the model, by default the thread that asks: one that may not write files could not download it. `on_tokens` is
    called with the number of tokens of every batch that the model ran.
    """

    def __init__(
        self, spec: EncodingSpec | None, *, model: str | None = None, device: Device = "auto",
        stop: threading.Event | None = None, loader: Executor | None = None,
        on_tokens: Callable[[int], None] | None = None,
    ) -> None:  # fmt: skip
        self._spec, self._model, self._device = spec, model, device
        self._stop, self._loader, self._on_tokens = stop or threading.Event(), loader, on_tokens
        self._vectors: AnswerCache[str, Floats] = AnswerCache(_CACHED)
        self._words: AnswerCache[tuple[str, str], Floats | None] = AnswerCache(_CACHED)
        self._pairs: AnswerCache[tuple[str, str], NextSentence] = AnswerCache(_CACHED)
        self._surprisals: AnswerCache[tuple[str, PllVariant], list[Surprisal]] = AnswerCache(_CACHED // 8)
        self._masks: AnswerCache[tuple[str, int], list[MaskCandidate]] = AnswerCache(_CACHED // 8)

    @property
    def engine(self) -> Engine:
        """The engine that computes the answers. Raises ModelError if the encoding's model is not available."""
        load = partial(engine_for, self._spec, model=self._model, device=self._device)
        return load() if self._loader is None else self._loader.submit(load).result()

    def vectors(self, texts: Sequence[str | None]) -> list[Floats | None]:
        """Return the vector `(width,)` of each text."""
        return self._vectors.ask(texts, lambda new: list(text_vectors(self.engine, new, on_batch=self._on_batch)))

    def word_vectors(self, questions: Sequence[tuple[str, str] | None]) -> list[Floats | None]:
        """Return the vector `(width,)` of a word in a text for each `(text, word)`; None if the word is not in it."""
        return self._words.ask(questions, lambda new: word_in_text_vectors(self.engine, new, on_batch=self._on_batch))

    def follows(self, pairs: Sequence[tuple[str, str] | None]) -> list[NextSentence | None]:
        """Return the NSP of each pair of texts. Raises ModelError without an NSP head."""
        return self._pairs.ask(pairs, lambda new: next_sentence(self.engine, new, on_batch=self._on_batch))

    def pieces(self, texts: Sequence[str | None]) -> list[list[str] | None]:
        """Return the WordPieces of each text."""
        explain = self.engine.wordpiece.explain
        return [None if text is None else [t.token for t in explain(normalise(text))] for text in texts]

    def masks(self, questions: Sequence[tuple[str, int] | None]) -> list[list[MaskCandidate] | None]:
        """Return the candidates for each `(text with masks, candidates per mask)`. Raises as `fill_masks` does."""

        def answer(text: str, k: int) -> list[MaskCandidate]:
            self._on_batch(0)
            return fill_masks(self.engine, text, k=k)

        return self._masks.ask(questions, lambda new: [answer(text, k) for text, k in new])

    def surprisals(self, questions: Sequence[tuple[str, str] | None]) -> list[list[Surprisal] | None]:
        """Return the tokens with their surprisals for each `(text, variant)`.

        Raises UsageError for an unknown variant, ModelError without an MLM head.
        """

        def answer(new: Sequence[tuple[str, PllVariant]]) -> list[list[Surprisal]]:
            found: dict[tuple[str, PllVariant], list[Surprisal]] = {}
            for variant in {variant for _, variant in new}:
                same = [question for question in new if question[1] == variant]
                texts = [text for text, _ in same]
                found |= zip(
                    same, surprisals(self.engine, texts, variant=variant, on_batch=self._on_batch), strict=True
                )
            return [found[question] for question in new]

        return self._surprisals.ask([q and (q[0], _variant(q[1])) for q in questions], answer)

    def _on_batch(self, tokens: int) -> None:
        if self._stop.is_set():
            raise Cancelled("The query was stopped.")
        if self._on_tokens is not None:
            self._on_tokens(tokens)


def at_least_one(k: int) -> int:
    """Return `k`, the number of answers. Raises UsageError if it is below 1."""
    if k < 1:
        raise UsageError(f"k is the number of answers and must be at least 1, got {k}.")
    return k


def _variant(name: str) -> PllVariant:
    known: tuple[PllVariant, ...] = get_args(PllVariant)
    for variant in known:
        if variant == name:
            return variant
    raise UsageError(f"There is no variant '{name}' of pseudo-log-likelihood; there are: {', '.join(known)}.")
