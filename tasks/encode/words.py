"""The words of a chunk that get a row: their tokens, their characters, and which were asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from polyseme.storage.word_keys import word_key, word_keys
from polyseme.tasks.arrays import Ints
from polyseme.tasks.text.chunks import Chunk


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


def chunk_words(chunk: Chunk, only: frozenset[str] | None) -> ChunkWords:
    """Return the words of the sentences that the chunk stores. `only`, if not None, are those to keep, and phrases."""
    sentence = sentence_of_token(chunk)
    new = np.ones(len(sentence), dtype=bool)
    new[1:] = (np.diff(sentence) != 0) | (np.diff(chunk.word[: len(sentence)]) != 0)
    start = np.flatnonzero(new)
    stop = np.append(start, len(sentence)).astype(np.int64)[1:]
    sentence = sentence[start]
    char_start, char_end = chunk.char_start[start], chunk.char_end[stop - 1]
    surface = slices(chunk, sentence, char_start, char_end)
    keys = [word_key(word) for word in surface]
    found = ChunkWords(start, stop, sentence, chunk.word[start].astype(np.int64), char_start, char_end, surface, keys)
    if only is None:
        return found
    return _chosen(found, np.flatnonzero(_of_phrases(found, only)))


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
