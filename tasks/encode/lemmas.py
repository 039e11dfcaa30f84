"""The lemmas of the words of a chunk, by the language of each document."""

from __future__ import annotations

from polyseme.tasks.encode.words import ChunkWords
from polyseme.tasks.text.chunks import Chunk
from polyseme.tasks.text.hyphens import undivided
from polyseme.tasks.text.language import language_of
from polyseme.tasks.text.lemmas import Lemmatizer


def chunk_lemmas(chunk: Chunk, words: ChunkWords, lemmatizer: Lemmatizer) -> list[str | None]:
    """Return `(words,)`: the lemma of each word, None in a language that is not known or has no dictionary."""
    # Encodings of earlier releases were told no language, and their documents have none.
    languages = [part.passage.language or language_of(part.document.text) for part in chunk.slices]
    of_word = chunk.slice_of[words.sentence].tolist()
    return [lemmatizer.lemma(undivided(word), languages[at]) for word, at in zip(words.surface, of_word, strict=True)]
