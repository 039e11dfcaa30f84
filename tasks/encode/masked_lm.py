"""Masked language modelling: the surprisal of each token of a sentence, given all the others.

Pseudo-log-likelihood after Salazar et al. (2020): every token is masked in a copy of its sentence, and its log
probabilities are summed. `within_word_l2r` (Kauf and Ivanova 2023) also masks the rest of the word, because `##ness`
gives `unbelievable` away. In nats.

A sentence of n tokens takes n passes over its n + 2 rows in both variants, which is the minimum; copies are packed
without padding. Knows ids and windows, no text.
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
"""Tokens of masked copies in memory at once: a sentence of 450 tokens has 450 copies, 200,000 tokens."""


@dataclass(frozen=True, slots=True)
class Masking:
    """How tokens are masked: the variant of pseudo-log-likelihood, and the id of the mask token."""

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
    """Return `(tokens,)`: -log p of each token in the window that takes it, 0 if none does.

    `words` is `(tokens,)`, the number of each token's whole word, rising. `on_batch` is called after every batch with
    its number of tokens, and may raise to stop. Raises ModelError without an MLM head.
    """
    result = np.zeros(len(ids), np.float32)
    for window, token in _groups(windows):
        same_word = words if masking.variant == "within_word_l2r" else None
        copies, inside, at = _masked_copies(ids, windows, (window, token), same_word=same_word, mask_id=masking.mask_id)
        result[token] = encoder.surprisals(copies, inside, at=at, targets=ids[token], on_batch=on_batch)
    return result


def word_numbers(word: npt.NDArray[np.int32], ptr: Ints) -> Ints:
    """Return `(tokens,)`: whole words numbered over all sentences; in `word` each sentence counts from 0."""
    new = np.diff(word, prepend=-1) != 0
    new[ptr[:-1][np.diff(ptr) > 0]] = True
    return np.cumsum(new)


def _groups(windows: Windows) -> Iterator[tuple[Ints, Ints]]:
    """Yield window numbers and the token to mask in each, in groups of at most `_TOKENS_AT_ONCE` tokens."""
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
    """Return the concatenated ids of one copy per mask, their windows, and the position of each mask in its window.

    `masks` are windows and the token to mask in each; with `same_word` the rest of the token's word is masked too.
    """
    window, token = masks
    lengths = (windows.a_stop - windows.a_start)[window]
    stops = np.cumsum(lengths)
    starts = stops - lengths
    source = np.arange(int(stops[-1])) - np.repeat(starts - windows.a_start[window], lengths)
    copies = ids[source]
    target = np.repeat(token, lengths)
    masked = source == target
    if same_word is not None:
        masked |= (source > target) & (same_word[source] == same_word[target])
    copies[masked] = mask_id
    none = np.full(len(window), -1, np.int64)
    inside = Windows(windows.frame, starts, stops, stops, stops, starts, stops, none, none)
    return copies, inside, token - windows.a_start[window]
