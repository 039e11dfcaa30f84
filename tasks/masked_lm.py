"""Masked language model: how surprised the model is by each token of a text, given all the others.

Pseudo-log-likelihood after Salazar et al. (2020): every token is masked in a copy of its sentence and its logarithm of
probability summed. `within_word_l2r` (Kauf and Ivanova 2023) masks the rest of the word as well, because a model that
sees `##ness` has little doubt about `unbelievable`. Numbers are natural logarithms (nats).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from storage.records import Sentence
from tasks.encoder import Encoder
from tasks.engine import Engine
from tasks.normal_form import normalise
from tasks.windows import Ints, Windows, sentence_windows

Variant = Literal["original", "within_word_l2r"]
Between = Callable[[int], None]

_TOKENS_AT_ONCE = 16_384
"""Tokens of masked copies made at once: a sentence of 450 tokens has 450 copies, which are 200,000 tokens."""


@dataclass(frozen=True, slots=True)
class Surprisal:
    """One token of a text and -log p of it, in nats."""

    token: str
    char_start: int
    char_end: int
    surprisal: float


def surprisals(
    engine: Engine,
    texts: Sequence[str],
    *,
    variant: Variant = "within_word_l2r",
    between: Between = lambda tokens: None,
) -> list[list[Surprisal]]:
    """Return the tokens of each text with their surprisal, in order. Raises ModelError without an MLM head.

    A text is taken as one sentence; beyond the model's limit each token is judged in the window where it is most
    central.
    """
    documents = [engine.wordpiece.tokenize(t, [Sentence(0, len(t))]) for t in map(normalise, texts)]
    ids = np.concatenate([d.ids for d in documents]).astype(np.int32)
    ptr = np.concatenate([[0], np.cumsum([d.n_tokens for d in documents])]).astype(np.int64)
    words = _words(np.concatenate([d.word for d in documents]), ptr)
    windows = sentence_windows(ptr, range(len(texts)), engine.spec.max_tokens)

    def work(encoder: Encoder) -> npt.NDArray[np.float64]:
        return token_surprisals(
            encoder, ids, windows, words, mask_id=engine.wordpiece.mask_id, variant=variant, between=between
        )

    numbers = engine.in_lane(work)
    return [
        [
            Surprisal(*row)
            for row in zip(
                engine.wordpiece.pieces(d.ids),
                d.char_start.tolist(),
                d.char_end.tolist(),
                numbers[first:last].tolist(),
                strict=True,
            )
        ]
        for d, first, last in zip(documents, ptr[:-1], ptr[1:], strict=True)
    ]


def token_surprisals(
    encoder: Encoder, ids: npt.NDArray[np.int32], windows: Windows, words: Ints, *, mask_id: int, variant: Variant,
    between: Between = lambda tokens: None,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Return `(tokens,)`: -log p of each token in the window that takes it. `words` numbers whole words, rising.

    Raises ModelError without an MLM head.
    """
    result = np.zeros(len(ids))
    for window, token in _groups(windows):
        same_word = words if variant == "within_word_l2r" else None
        copies, inside, at = _masked_copies(ids, windows, (window, token), same_word=same_word, mask_id=mask_id)
        between(len(copies))
        logits = encoder.token_logits(copies, inside, wanted=at).astype(np.float64)
        highest = logits.max(axis=1)
        total = np.log(np.exp(logits - highest[:, None]).sum(axis=1)) + highest
        result[token] = total - logits[np.arange(len(token)), ids[token]]
    return result


def _groups(windows: Windows) -> Iterator[tuple[Ints, Ints]]:
    """Yield window numbers and the tokens to mask in them, so many at once as `_TOKENS_AT_ONCE` has room for."""
    counts = windows.take_stop - windows.take_start
    window = np.repeat(np.arange(len(windows)), counts)
    before = np.repeat(np.cumsum(counts) - counts, counts)
    token = np.arange(len(window)) - before + windows.take_start[window]
    size = np.cumsum((windows.a_stop - windows.a_start)[window])
    start = 0
    while start < len(window):
        done = size[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(size, done + _TOKENS_AT_ONCE, side="right")))
        yield window[start:stop], token[start:stop]
        start = stop


def _masked_copies(
    ids: npt.NDArray[np.int32], windows: Windows, masks: tuple[Ints, Ints], *, same_word: Ints | None, mask_id: int
) -> tuple[npt.NDArray[np.int32], Windows, Ints]:
    """Return the ids of one copy a mask laid end to end, the windows over them, and where the masks lie.

    `masks` are windows and the token to mask in each; with `same_word` what follows of the token's word is hidden too.
    """
    window, token = masks
    lengths = (windows.a_stop - windows.a_start)[window]
    stops = np.cumsum(lengths)
    starts = stops - lengths
    source = np.arange(int(stops[-1])) - np.repeat(starts - windows.a_start[window], lengths)
    copies = ids[source]
    masked = np.repeat(token, lengths)
    hidden = source == masked
    if same_word is not None:
        hidden |= (source > masked) & (same_word[source] == same_word[masked])
    copies[hidden] = mask_id
    none = np.full(len(window), -1, np.int64)
    at = starts + token - windows.a_start[window]
    return copies, Windows(starts, stops, stops, stops, starts, stops, none, none), at


def _words(word: npt.NDArray[np.int32], ptr: Ints) -> Ints:
    """Number whole words over all texts: each text counts its own from 0."""
    new = np.diff(word, prepend=-1) != 0
    new[ptr[:-1][np.diff(ptr) > 0]] = True
    return np.cumsum(new)
