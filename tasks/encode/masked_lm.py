"""Masked language model: how surprised the model is by each token of a text, given all the others.

Pseudo-log-likelihood after Salazar et al. (2020): every token is masked in a copy of its sentence and its logarithm of
probability summed. `within_word_l2r` (Kauf and Ivanova 2023) masks the rest of the word as well, because a model that
sees `##ness` has little doubt about `unbelievable`. Numbers are natural logarithms (nats).

A sentence of n tokens costs n passes over its n + 2 rows, whatever the variant: that is the least there is, and copies
are packed without padding. Knows ids and windows, no text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from polyseme.storage.records import PllVariant
from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.text.windows import Windows

if TYPE_CHECKING:
    from polyseme.tasks.model.encoder import Encoder

Ids = npt.NDArray[np.int32]

_TOKENS_AT_ONCE = 65_536
"""Tokens of masked copies made at once: a sentence of 450 tokens has 450 copies, which are 200,000 tokens."""


@dataclass(frozen=True, slots=True)
class Masking:
    """How tokens are hidden: after which definition, and behind which id."""

    variant: PllVariant
    mask_id: int


def token_surprisals(
    encoder: Encoder,
    ids: Ids,
    windows: Windows,
    words: Ints,
    *,
    masking: Masking,
    on_batch: Callable[[int], None] = lambda tokens: None,
) -> Floats:
    """Return `(tokens,)`: -log p of each token in the window that takes it, 0 where none does.

    `words` numbers whole words, rising. `on_batch` is called after every batch with the tokens it ran, and may raise to
    stop. Raises ModelError without an MLM head.
    """
    result = np.zeros(len(ids), np.float32)
    for window, token in _groups(windows):
        same_word = words if masking.variant == "within_word_l2r" else None
        copies, inside, at = _masked_copies(ids, windows, (window, token), same_word=same_word, mask_id=masking.mask_id)
        result[token] = encoder.surprisals(copies, inside, at=at, targets=ids[token], on_batch=on_batch)
    return result


def word_numbers(word: npt.NDArray[np.int32], ptr: Ints) -> Ints:
    """Number whole words over all sentences, where `word` counts each sentence's own from 0."""
    new = np.diff(word, prepend=-1) != 0
    new[ptr[:-1][np.diff(ptr) > 0]] = True
    return np.cumsum(new)


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
    ids: Ids, windows: Windows, masks: tuple[Ints, Ints], *, same_word: Ints | None, mask_id: int
) -> tuple[Ids, Windows, Ints]:
    """Return the ids of one copy a mask laid end to end, the windows over them, and each mask's place in its window.

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
    return copies, Windows(starts, stops, stops, stops, starts, stops, none, none), token - windows.a_start[window]
