"""Shingles: a text as the set of its runs of five words, each a number, and how alike two such sets are (Broder 1997).

Words are told by their key, so that case, punctuation and space make no difference, and their order does. Numbers are
hashes of 64 bits, the same in every process: of a million shingles none share one, but with a probability of 3e-8.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache
from operator import itemgetter
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from polyseme.storage.word_keys import ALONE, pattern_of, word_key

Shingles: TypeAlias = npt.NDArray[np.uint64]
"""Distinct hashes in ascending order."""

WORDS = 5
"""Words of a shingle. A text of fewer has one shingle of all."""
SCHEME = f"words/1, {WORDS} a shingle, Unicode {unicodedata.unidata_version}"
"""What decides which numbers a text has."""

_KEPT = 1 << 20
"""Distinct words whose hashes are kept in memory."""
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIXING = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
_LAST_SHIFT = np.uint64(31)
_AT_ONCE = 1 << 20
"""Characters up to which the words of a text are found all at once, in half the time."""


class Shingler:
    """Makes shingles of texts. Keeps the hashes of the words that it has seen."""

    def __init__(self) -> None:
        self._hashes = _WordHashes()

    def shingles(self, text: str) -> Shingles:
        """Return the shingles of a text; none of one without a letter or digit."""
        if len(self._hashes) > _KEPT:
            self._hashes.clear()
        # Of a large text one word after another: a list of all of them would take a gigabyte.
        found = _words().findall(text) if len(text) <= _AT_ONCE else map(itemgetter(0), _words().finditer(text))
        words = np.fromiter(map(self._hashes.__getitem__, found), np.uint64)
        return _runs(words[words != 0])


def jaccard(first: Shingles, second: Shingles) -> float:
    """Return the share of the shingles of both that both have, 0 to 1; 0 for two without any."""
    few, many = sorted((first, second), key=len)
    if not len(few):
        return 0.0
    places = np.searchsorted(many, few)
    shared = int(np.count_nonzero(many[np.minimum(places, len(many) - 1)] == few))
    return shared / (len(few) + len(many) - shared)


class _WordHashes(dict[str, int]):
    """The hash of each word's key; 0 for what is no word, such as an arrow."""

    def __missing__(self, word: str) -> int:
        key = word_key(word)
        is_word = any(map(str.isalnum, key))
        self[word] = found = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") * is_word
        return found


def _runs(words: Shingles) -> Shingles:
    """Return the hashes of all runs of words: a polynomial in their hashes, and SplitMix64's finalizer over it."""
    length = min(WORDS, len(words))
    if not length:
        return words
    count = len(words) - length + 1
    runs = np.zeros(count, np.uint64)
    for i in range(length):
        runs = runs * _MULTIPLIER + words[i : i + count]
    for shift, factor in _MIXING:
        runs = (runs ^ (runs >> shift)) * factor
    return np.unique(runs ^ (runs >> _LAST_SHIFT))


@lru_cache(maxsize=1)
def _words() -> re.Pattern[str]:
    """Return a pattern for the words of a text, which are BERT's: Chinese characters are one each, punctuation is none.

    It does not know the characters beyond U+FFFF, which it takes for letters: a class with them takes nine times as
    long.
    """
    between = "".join(c for c in map(chr, range(0x10000)) if c.isspace() or unicodedata.category(c).startswith("P"))
    alone = [points for points in ALONE.split() if len(points.partition("-")[0]) <= 4]
    chinese = [points for points in alone if len(points) == len("4E00-9FFF")]
    signs, letters = (pattern_of(" ".join(c), escape=lambda p: f"\\u{int(p, 16):04x}") for c in (alone, chinese))
    return re.compile(f"[^{re.escape(between)}{signs}]+|[{letters}]")
