"""Unknown text: tokens that stand for text which the vocabulary of the model does not have.

A token that stands for any unknown word (`[UNK]`), and a token of one character, or less, within a word: of a script or
language that the vocabulary was not made of, hardly anything else is left. Knows tokens, no vectors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Ints
from polyseme.tasks.encode.words import sentence_of_token
from polyseme.tasks.text.chunks import Chunk

UNKNOWN_SHARE = 1 / 6
"""The least share of unknown tokens in a document that the model does not know the language of.

With `polyseme-mini`, of 20 sentences in a row of Universal Dependencies treebanks (`benchmarks.languages`): English
.00 to .06 (web text to .15), French and Spanish .06 to .12, Italian, German and Finnish .09 to .16, Polish .18 to .27,
Turkish and Vietnamese .22 to .31, and .55 to 1 in Arabic, Armenian, Chinese, Cyrillic, Greek, Hangul, Japanese and Thai
scripts.
"""
LEAST_TOKENS = 20
"""A document with fewer tokens needs UNKNOWN_SHARE_OF_SHORT of them: a name or two are a sixth."""

UNKNOWN_SHARE_OF_SHORT = 1 / 2
"""Of a headline, a tweet or a record of one sentence: a whole word of a script is often one unknown token."""


class UnknownTokens:
    """Counts unknown tokens of the documents of a run, chunk by chunk in order. Not thread-safe.

    `unk_id` is the token that stands for any unknown word, None if there is none.
    """

    def __init__(self, unk_id: int | None) -> None:
        self._unk_id = unk_id
        self._before = 0

    def ended(self, chunk: Chunk) -> Ints:
        """Return the number of unknown tokens of each document that ends in the chunk, all its chunks together."""
        sentence = sentence_of_token(chunk)
        slices = chunk.slice_of[sentence[is_unknown(chunk, sentence, self._unk_id)]]
        counts = np.bincount(slices, minlength=len(chunk.slices)).astype(np.int64)
        counts[:1] += self._before
        ends = np.array([part.ends for part in chunk.slices], dtype=bool)
        self._before = 0 if ends[-1] else int(counts[-1])
        found: Ints = counts[ends]
        return found


def has_unknown_text(unknown: Ints, tokens: Ints) -> npt.NDArray[np.bool_]:
    """Return `(documents,)`: whether so many tokens are unknown that the model does not know the text."""
    share = np.where(tokens >= LEAST_TOKENS, UNKNOWN_SHARE, UNKNOWN_SHARE_OF_SHORT)
    found: npt.NDArray[np.bool_] = (tokens > 0) & (unknown >= share * tokens)
    return found


def is_unknown(chunk: Chunk, sentence: Ints, unk_id: int | None) -> npt.NDArray[np.bool_]:
    """Return `(tokens,)`: whether each of the chunk's own tokens is unknown. `sentence` is that of each."""
    count = len(sentence)
    follows = np.zeros(count + 1, dtype=bool)
    follows[1:-1] = (np.diff(sentence) == 0) & (np.diff(chunk.word[:count]) == 0)
    in_word = follows[:-1] | follows[1:]
    unknown = in_word & (chunk.char_end[:count] - chunk.char_start[:count] <= 1)
    if unk_id is not None:
        unknown |= chunk.ids[:count] == unk_id
    return unknown
