"""The macros of the bench for one encoding, in the order in which they must be made: later ones use earlier ones."""

from __future__ import annotations

from polyseme.storage.sql.bench.concordance import kwic_macro
from polyseme.storage.sql.bench.frequencies import keywords_macro, word_counts_macro, word_frequencies_macro
from polyseme.storage.sql.bench.ranking import bm25_macro
from polyseme.storage.sql.bench.slices import slice_figures_macro
from polyseme.storage.sql.bench.text_words import in_text_macro, matches_macro


def bench_macros(suffix: str, *, every_word: bool, has_older: bool) -> list[str]:
    """Return the CREATE statements for a database that has the views and `occurrences` with this suffix.

    `every_word` says that the lake holds all words of all documents of the encoding. Otherwise words are found in the
    text of sentences. `has_older` says that some of its words were stored before word keys.
    """
    return [
        in_text_macro(suffix),
        matches_macro(suffix),
        kwic_macro(suffix, every_word=every_word),
        word_counts_macro(suffix, every_word=every_word, has_older=has_older),
        word_frequencies_macro(suffix),
        keywords_macro(suffix),
        slice_figures_macro(suffix),
        bm25_macro(suffix, every_word=every_word, has_older=has_older),
    ]
