"""Words of sentences found in their text, for lakes that do not hold the words of every document, and for patterns.

Words are BERT's (`storage.word_keys`): between spaces, each punctuation mark and each Chinese character for itself. A
word that a hyphen at a line end divides is two here, also in an encoding with `--join-hyphens`. Knows no vectors.
"""

from __future__ import annotations

from polyseme.storage.sql.literals import quote
from polyseme.storage.sql.word_lookup import WORD_WITH_SPACE, quick_key

_GAP = "(?s:(.*?))"
"""What is between two matches of a pattern: RE2 tells no positions, so they are sums of lengths."""


def words_of(text: str) -> str:
    """Return SQL for the words of a text, a list of `(gap, word)`: the space before each, and the word as written."""
    return f"regexp_extract_all({text}, {quote(WORD_WITH_SPACE)}, ['gap', 'word'])"


def in_text_macro(suffix: str) -> str:
    """Return the statement for every place of a word or phrase in the text of sentences.

    `char_start` and `char_end` are characters of the document's text, as everywhere.
    """
    return f"""
CREATE MACRO "in_text{suffix}"(word) AS TABLE
WITH asked AS (
    SELECT word_keys(word) AS keys
), likely AS (
    SELECT s.doc_id, s.sentence_index, s.char_start, asked.keys, {words_of("s.text")} AS words
    FROM "sentences{suffix}" AS s, asked
    WHERE len(asked.keys) > 0 AND contains({quick_key("s.text")}, asked.keys[1])
), keyed AS (
    SELECT *, list_transform(words, lambda one: {quick_key("one.word")}) AS found FROM likely
), place AS (
    SELECT *, unnest(list_filter(range(1, len(found) - len(keys) + 2),
                                 lambda nth: found[nth] = keys[1] AND found[nth : nth + len(keys) - 1] = keys)) AS nth
    FROM keyed
), measured AS (
    SELECT doc_id, sentence_index, (nth - 1)::INTEGER AS word_index,
           char_start + len(words[nth].gap)
               + coalesce(list_sum(list_transform(words[: nth - 1], lambda one: len(one.gap) + len(one.word))), 0)
               AS char_start,
           list_sum(list_transform(words[nth : nth + len(keys) - 1], lambda one: len(one.gap) + len(one.word)))
               - len(words[nth].gap) AS length
    FROM place
)
SELECT doc_id, sentence_index, word_index, char_start::INTEGER AS char_start,
       (char_start + length)::INTEGER AS char_end
FROM measured"""


def matches_macro(suffix: str) -> str:
    """Return the statement for every match of a regular expression (RE2) within the text of a sentence.

    In any case, unless it begins with `(?-i)`. A match of no characters is none.
    """
    # Of group names DuckDB wants a constant pattern when the macro is made, of group numbers it does not.
    split = f"regexp_extract_all(s.text, '(?i){_GAP}(' || pattern || ')', {{}})"
    # Where a pattern matches nothing, the search goes on one character later, which is in no gap.
    before = "list_sum(list_transform(range(1, nth), lambda i: greatest(len(gaps[i]) + len(matches[i]), 1)))"
    return f"""
CREATE MACRO "matches{suffix}"(pattern) AS TABLE
WITH found AS (
    SELECT s.doc_id, s.sentence_index, s.char_start, {split.format(1)} AS gaps, {split.format(2)} AS matches
    FROM "sentences{suffix}" AS s WHERE regexp_matches(s.text, '(?i)' || pattern)
), place AS (
    SELECT *, unnest(range(1, len(matches) + 1)) AS nth FROM found
), measured AS (
    SELECT doc_id, sentence_index, len(matches[nth]) AS length,
           char_start + coalesce({before}, 0) + len(gaps[nth]) AS char_start
    FROM place
)
SELECT doc_id, sentence_index, char_start::INTEGER AS char_start, (char_start + length)::INTEGER AS char_end
FROM measured WHERE length > 0"""
