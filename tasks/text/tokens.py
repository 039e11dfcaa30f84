"""Tokens as flat arrays, of one document or of the sentences of several, and one token alone for display."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedDocument:
    """The tokens of one document in reading order, special tokens excluded, as flat arrays over all its sentences.

    Sentence `i` has tokens `sentence_ptr[i]:sentence_ptr[i + 1]`, possibly none: a lone U+FFFD has no token. `word` and
    `last_word` are the first and the last word of each token, counted from 0 within each sentence. Raises ValueError
    if the arrays do not fit together.
    """

    ids: NDArray[np.int32]
    char_start: NDArray[np.int64]
    char_end: NDArray[np.int64]
    word: NDArray[np.int32]
    last_word: NDArray[np.int32]
    sentence_ptr: NDArray[np.int64]

    def __post_init__(self) -> None:
        shapes = {name: getattr(self, name).shape for name in ("ids", "char_start", "char_end", "word", "last_word")}
        if set(shapes.values()) != {(self.n_tokens,)}:
            raise ValueError(f"token arrays must be flat and of one length, got {shapes}")
        ptr = self.sentence_ptr
        if ptr.ndim != 1 or not len(ptr) or ptr[0] != 0 or ptr[-1] != self.n_tokens or (np.diff(ptr) < 0).any():
            raise ValueError(f"sentence_ptr must rise from 0 to {self.n_tokens}, got {ptr}")
        if (self.char_start > self.char_end).any() or (np.diff(self.char_start) < 0).any():
            raise ValueError("token spans must be half-open and in reading order")

    @property
    def n_tokens(self) -> int:
        """The number of tokens."""
        return len(self.ids)

    @property
    def n_sentences(self) -> int:
        """The number of sentences."""
        return len(self.sentence_ptr) - 1


class Tokens(NamedTuple):
    """The tokens of sentences in order: their number per sentence, and flat arrays as in `TokenizedDocument`."""

    lengths: NDArray[np.int64]
    ids: NDArray[np.int32]
    char_start: NDArray[np.int64]
    char_end: NDArray[np.int64]
    word: NDArray[np.int32]
    last_word: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Token:
    """One token for display, with the column names of the `tokens` table. `word_index` is its first word."""

    token: str
    token_id: int
    char_start: int
    char_end: int
    word_index: int
