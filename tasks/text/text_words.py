"""The words of a text, for every tokenizer the same: so that the encodings of different models are comparable.

The definition is that of BERT's first step, applied to the text itself: words are separated by white space, every
punctuation mark and every Chinese character is a word of its own. Combining marks belong to the character before them,
and characters without a form of their own (soft hyphens, joiners) to the word that they stand in. Knows no vocabulary.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import normalizers, pre_tokenizers

from polyseme.tasks.arrays import Ints

UNREADABLE = re.compile(r"[\v\f\x1c-\x1f\x85\ud800-\udfff]")
"""Characters that count as spaces: BERT deletes them, which joins the words around them, and no tokenizer accepts lone
surrogates."""

_UNSEEN, _SPACE, _LETTER, _SINGLE, _MARK, _NOTHING = range(6)
"""Kinds of characters. `_NOTHING` are those that BERT deletes, such as control characters."""
_KINDS = np.full(0x110000, _UNSEEN, np.uint8)
"""The kind of every character. Filled as characters are met: a text has few, Unicode a million."""


class TextWords(NamedTuple):
    """Half-open character spans of words, in order."""

    start: Ints
    stop: Ints


class TokenWords(NamedTuple):
    """The words of tokenized sentences, and which of them each token covers.

    `first` and `last` are int32 `(tokens,)`: the first and the last word of each token, counted from 0 within its
    sentence. A token may cover several words, and each has it. `counts` is `(sentences,)`, words per sentence; `start`
    and `stop` are `(words,)`, character spans in the sentences joined.
    """

    first: npt.NDArray[np.int32]
    last: npt.NDArray[np.int32]
    counts: Ints
    start: Ints
    stop: Ints


def kinds_of(text: str) -> npt.NDArray[np.uint8]:
    """Return `(characters,)`: the kind of each. A lone surrogate counts as a space."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _KINDS[codes]
    unseen = codes[kinds == _UNSEEN]
    if len(unseen):
        for code in np.unique(unseen).tolist():
            _KINDS[code] = _kind(chr(code))
        kinds = _KINDS[codes]
    return kinds


def is_space(kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return `(characters,)`: whether a character of that kind is white space."""
    found: npt.NDArray[np.bool_] = kinds == _SPACE
    return found


def leave_out(kinds: npt.NDArray[np.uint8], places: Sequence[int]) -> None:
    """Let the characters at `places` count for nothing: a word goes on over them."""
    kinds[np.array(places, np.int64)] = _NOTHING


def words_in(kinds: npt.NDArray[np.uint8]) -> TextWords:
    """Return the words of a text, given the kinds of its characters."""
    solid = np.flatnonzero((kinds != _MARK) & (kinds != _NOTHING))
    of_solid = kinds[solid]
    before = np.concatenate([[_SPACE], of_solid[:-1]])
    begins = (of_solid == _SINGLE) | ((of_solid == _LETTER) & (before != _LETTER))
    # A word goes on to the next solid character that is not a letter of its own; marks before that one are its own.
    ends = (of_solid != _LETTER) | (before != _LETTER)
    places = np.flatnonzero(begins)
    following = np.cumsum(ends)[places]  # every beginning is an edge
    limit = np.append(solid[ends], len(kinds))[following]
    shown = np.where((kinds != _NOTHING) & (kinds != _SPACE), np.arange(len(kinds)), -1)
    last = np.maximum.accumulate(shown) if len(shown) else shown
    return TextWords(solid[places], last[limit - 1] + 1 if len(limit) else limit)


def words_of_tokens(
    kinds: npt.NDArray[np.uint8], sentences: Ints, lengths: Ints, start: Ints, stop: Ints
) -> TokenWords:
    """Return the words of sentences that are joined by white space, given the spans of their tokens.

    `kinds` is of the joined text, `sentences` `(sentences, 2)` the span of each in it, `lengths` its number of tokens.
    A word without a token is left out. A token without a character of a word, such as a space, belongs to the word
    after it, or else before it; in a sentence without words all tokens are one.
    """
    found = words_in(kinds)
    of_token = np.repeat(np.arange(len(lengths)), lengths)
    low = np.searchsorted(found.start, sentences[:, 0])[of_token]
    high = np.searchsorted(found.start, sentences[:, 1])[of_token]
    first = np.clip(np.searchsorted(found.stop, start, side="right"), low, np.maximum(high - 1, low))
    last = np.maximum(np.searchsorted(found.start, stop, side="left") - 1, first)
    last = np.minimum(last, np.maximum(high - 1, low))
    bare = low == high
    if bare.any():
        return _with_bare_sentences(found, sentences, lengths, (first, last), bare)
    return _numbered(found, lengths, first, last)


def _with_bare_sentences(
    found: TextWords, sentences: Ints, lengths: Ints, covered: tuple[Ints, Ints], bare: npt.NDArray[np.bool_]
) -> TokenWords:
    """Return the words where some sentences have tokens and no word: the whole sentence is then one."""
    of_token = np.repeat(np.arange(len(lengths)), lengths)
    added = np.unique(of_token[bare])
    at = np.searchsorted(found.start, sentences[added, 0])
    words = TextWords(np.insert(found.start, at, sentences[added, 0]), np.insert(found.stop, at, sentences[added, 1]))
    first, last = (numbers + np.searchsorted(added, of_token) for numbers in covered)
    return _numbered(words, lengths, first, last)


def _numbered(words: TextWords, lengths: Ints, first: Ints, last: Ints) -> TokenWords:
    """Return the words that a token covers, numbered within each sentence."""
    edges = np.zeros(len(words.start) + 1, np.int64)
    np.add.at(edges, first, 1)
    np.add.at(edges, last + 1, -1)
    used = np.cumsum(edges[:-1]) > 0
    number = np.cumsum(used) - 1
    first, last = number[first], number[last]
    filled = lengths > 0
    ends = np.cumsum(lengths)
    base = np.zeros(len(lengths), np.int64)
    counts = np.zeros(len(lengths), np.int64)
    base[filled] = first[(ends - lengths)[filled]]
    counts[filled] = last[ends[filled] - 1] + 1 - base[filled]
    offset = np.repeat(base, lengths)
    return TokenWords(
        (first - offset).astype(np.int32), (last - offset).astype(np.int32), counts, words.start[used], words.stop[used]
    )


def joined(sentences: Sequence[str]) -> tuple[str, Ints]:
    """Return sentences with a line feed between them, and `(sentences, 2)`: the span of each."""
    sizes = np.fromiter(map(len, sentences), np.int64, len(sentences))
    start = np.cumsum(sizes + 1) - sizes - 1
    return "\n".join(sentences), np.stack([start, start + sizes], axis=1)


def _kind(character: str) -> int:
    if UNREADABLE.match(character):
        return _SPACE
    cleaner, splitter = _bert()
    cleaned = cleaner.normalize_str(character)
    if not cleaned:
        return _MARK if unicodedata.combining(character) or unicodedata.category(character) == "Mn" else _NOTHING
    if not cleaned.strip():
        return _SPACE
    pieces = splitter.pre_tokenize_str(f"a{cleaned}a")
    return _LETTER if len(pieces) == 1 else _SINGLE


@cache
def _bert() -> tuple[Any, Any]:
    return normalizers.BertNormalizer(strip_accents=True, lowercase=True), pre_tokenizers.BertPreTokenizer()
