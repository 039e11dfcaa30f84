"""The words of a chunk that get a row: their tokens, their characters, and which were asked for.

A token may be of several words, and is then a token of each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from polyseme.storage.records import WordDefinition
from polyseme.storage.word_keys import word_key, word_keys
from polyseme.tasks.arrays import Ints
from polyseme.tasks.text.chunks import Chunk
from polyseme.tasks.text.hyphens import divisions, undivided
from polyseme.tasks.text.text_words import joined, kinds_of, leave_out, words_of_tokens


@dataclass(frozen=True, slots=True)
class ChunkWords:
    """Words in the order of the text, columns of equal length.

    A word has the tokens `start:stop` of the chunk and is number `index` of `sentence`, a sentence of the chunk.
    `surface` is as the text has it, `key` what it is looked up by.
    """

    start: Ints
    stop: Ints
    sentence: Ints
    index: Ints
    char_start: Ints
    char_end: Ints
    surface: list[str]
    key: list[str]

    def __len__(self) -> int:
        return len(self.start)


def chunk_words(
    chunk: Chunk, only: frozenset[str] | None, scheme: WordDefinition = "text", *, join_hyphens: bool = False
) -> ChunkWords:
    """Return the words of the sentences that the chunk stores. `only`, if not None, are those to keep, and phrases.

    `scheme` and `join_hyphens` are those that the chunk was tokenized with.
    """
    places = _words_of_text(chunk, join_hyphens=join_hyphens) if scheme == "text" else _words_of_tokenizer(chunk)
    surface = slices(chunk, places.sentence, places.char_start, places.char_end)
    found = ChunkWords(*places, surface, [word_key(undivided(word)) for word in surface])
    return found if only is None else _chosen(found, np.flatnonzero(_of_phrases(found, only)))


class _Places(NamedTuple):
    """The columns of `ChunkWords` without the words themselves."""

    start: Ints
    stop: Ints
    sentence: Ints
    number: Ints
    char_start: Ints
    char_end: Ints


def _words_of_tokenizer(chunk: Chunk) -> _Places:
    """Return the words whose tokens follow each other, with the characters of these tokens."""
    sentence = sentence_of_token(chunk)
    new = np.ones(len(sentence), dtype=bool)
    new[1:] = (np.diff(sentence) != 0) | (np.diff(chunk.word[: len(sentence)]) != 0)
    start = np.flatnonzero(new)
    stop = np.append(start, len(sentence)).astype(np.int64)[1:]
    index = chunk.word[start].astype(np.int64)
    return _Places(start, stop, sentence[start], index, chunk.char_start[start], chunk.char_end[stop - 1])


def _words_of_text(chunk: Chunk, *, join_hyphens: bool) -> _Places:
    """Return the words of the text, which may have marks that no token has, and share tokens."""
    own = np.flatnonzero(chunk.own)
    spans = chunk.spans[own]
    together, places = joined(slices(chunk, own, spans[:, 0], spans[:, 1]))
    lengths = np.diff(chunk.sentence_ptr)[own]
    shift = places[:, 0] - spans[:, 0]
    by_token, count = np.repeat(shift, lengths), int(lengths.sum())
    start, stop = chunk.char_start[:count] + by_token, chunk.char_end[:count] + by_token
    kinds = kinds_of(together)
    if join_hyphens:
        between = set(places[:, 1].tolist())  # the line feeds between sentences
        inside = (span for span in divisions(together) if span[0] + 1 not in between)
        leave_out(kinds, [at for span in inside for at in range(*span)])
    found = words_of_tokens(kinds, places, lengths, start, stop)
    base = np.cumsum(found.counts) - found.counts
    first, last = (np.repeat(base, lengths) + numbers for numbers in (found.first, found.last))
    number = np.arange(int(found.counts.sum()))
    by_word = np.repeat(shift, found.counts)
    return _Places(
        np.searchsorted(last, number, side="left"), np.searchsorted(first, number, side="right"),
        np.repeat(own, found.counts), number - np.repeat(base, found.counts), found.start - by_word,
        found.stop - by_word,
    )  # fmt: skip


def _of_phrases(words: ChunkWords, phrases: Iterable[str]) -> list[bool]:
    """Return for each word whether it is one of `phrases`, or stands in one: words in a row within a sentence."""
    keys, sentence, index = words.key, words.sentence.tolist(), words.index.tolist()
    # Outputs of earlier releases have words in lower case.
    sought: defaultdict[str, list[list[str]]] = defaultdict(list)
    for phrase in {word_key(phrase) for phrase in phrases}:
        sought[phrase].append([phrase])
        if len(parts := word_keys(phrase)) > 1:
            sought[parts[0]].append(parts)
    kept = [False] * len(keys)
    for at, key in enumerate(keys):
        for parts in sought.get(key, ()):
            last = at + len(parts) - 1
            if (
                keys[at : last + 1] == parts
                and sentence[last] == sentence[at]
                and index[last] - index[at] == len(parts) - 1
            ):
                kept[at : last + 1] = [True] * len(parts)
    return kept


def _chosen(words: ChunkWords, keep: Ints) -> ChunkWords:
    return ChunkWords(
        words.start[keep], words.stop[keep], words.sentence[keep], words.index[keep], words.char_start[keep],
        words.char_end[keep], [words.surface[k] for k in keep], [words.key[k] for k in keep],
    )  # fmt: skip


def sentence_of_token(chunk: Chunk) -> Ints:
    """Return `(own tokens,)`: each token's sentence. Only the last sentence may be one that is not stored here."""
    own = np.flatnonzero(chunk.own)
    return np.repeat(own, np.diff(chunk.sentence_ptr)[own])


def slices(chunk: Chunk, sentence: Ints, start: Ints, stop: Ints) -> list[str]:
    """Return the characters `start:stop` of the texts that the sentences are of."""
    texts = [part.document.text for part in chunk.slices]
    rows = zip(chunk.slice_of[sentence].tolist(), start.tolist(), stop.tolist(), strict=True)
    return [texts[number][a:b] for number, a, b in rows]
