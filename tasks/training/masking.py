"""Masking for MLM: which tokens are predicted, and what the model sees in their place.

Devlin et al. (2018): 80 % of the chosen tokens become [MASK], 10 % a random token and 10 % stay. With whole words all
tokens of a chosen word are predicted. Arrays only; knows no text.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Ints


def choose(
    text: npt.NDArray[np.bool_], begins: npt.NDArray[np.bool_], *, share: float, whole_words: bool,
    generator: np.random.Generator,
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Return `(n, length)`: True for the tokens to predict, `share` of each row's `text`, at least one.

    `text` is True for tokens of the segments, `begins` where a word begins. With `whole_words`, complete words are
    chosen, as many as fit the share, at least one.
    """
    score = generator.random(text.shape)
    wanted = np.maximum(1, np.round(text.sum(axis=1) * share)).astype(np.int64)[:, None]
    word = np.where(text, np.cumsum(begins, axis=1), 0)
    if whole_words:
        # One draw per word, so that its tokens are adjacent in the order of draws.
        score = np.take_along_axis(score, np.maximum(word - 1, 0), axis=1)
    rank = _ranks(np.where(text, score, 2.0))
    if not whole_words:
        chosen: npt.NDArray[np.bool_] = rank < wanted
        return chosen
    last = np.zeros_like(rank)
    np.maximum.at(last, (np.arange(len(text))[:, None], word), np.where(text, rank, 0))
    drawn_first = np.take_along_axis(word, rank.argmin(axis=1)[:, None], axis=1)
    whole: npt.NDArray[np.bool_] = text & ((np.take_along_axis(last, word, axis=1) < wanted) | (word == drawn_first))
    return whole


def _ranks(scores: npt.NDArray[np.float64]) -> Ints:
    """Return the rank of each number within its row, from 0; ties in the order of the row."""
    order = np.argsort(scores, axis=1, kind="stable")
    return np.argsort(order, axis=1, kind="stable").astype(np.int64)


def mask_tokens(
    ids: Ints, chosen: npt.NDArray[np.bool_], mask_id: int, vocabulary: Ints, generator: np.random.Generator
) -> Ints:
    """Return `ids` with 80 % of the `chosen` tokens masked and 10 % replaced by random tokens of `vocabulary`."""
    draw = generator.random(ids.shape)
    random = generator.choice(vocabulary, ids.shape)
    masked = np.where(chosen & (draw < 0.8), mask_id, ids)
    return np.where(chosen & (draw >= 0.9), random, masked)
