"""Looking words up: word keys as SQL that any DuckDB runs, and the macro that finds a word or a phrase.

Parts of releases before word keys have words in lower case where newer ones have their key. Which of their words have
the key that is asked for is looked up among their forms that are not ASCII: 20 ms of CPU for a million words, against
the 5 ms of a look-up, and none of it in a lake without such parts.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import NamedTuple

from polyseme.storage.sql.literals import quote
from polyseme.storage.sql.row_places import with_vectors
from polyseme.storage.word_keys import ALONE, IGNORED, JOINERS, pattern_of

_CASED = (range(0x80, 0x2000), range(0xAB70, 0xABC0), range(0xFB00, 0xFB18))
"""Where the characters are whose full case folding is not their lower case."""

_SIGNS = rf"{pattern_of(ALONE)}\pP"
_SPACES = r"\s\x0b\x1c-\x1f\x85\pZ"
_BREAKS = _SPACES + _SIGNS
"""Characters that are words, and those with spaces, as RE2 has them in a class."""

WORD = f"[{_SIGNS}]|[^{_BREAKS}]+"
"""A word in a text, for RE2."""
WORD_WITH_SPACE = f"([{_SPACES}]*)({WORD})"
"""A word and the space before it: one after the other they are the text, but for space at its end."""


def key_macros() -> list[str]:
    """Return the statements that make `word_key(word)` and `word_keys(text)`, which agree with `storage.word_keys`."""
    return [
        f"CREATE MACRO word_key(word) AS {_key_of('word')}",
        f"CREATE MACRO word_keys(text) AS "
        f"list_transform(regexp_extract_all(text, {quote(WORD)}), lambda one: {_key_of('one')})",
    ]


def occurrences_macro(
    suffix: str, width: int | None, older_files: str | None = None, guard: str | None = None, *, placed: bool = False
) -> str:
    """Return the statement for every occurrence of a word or phrase, with its sentence and its document's title.

    With `by_lemma`, all occurrences whose lemma the word is, or of a phrase the lemmas of its words. A phrase is words
    that follow each other in a sentence; its vector is the mean of all their tokens. `older_files` is
    SQL for the list of those parts that have lower case in place of keys, None for none; `guard` is a view without
    which they are not to be read. `width` is that of the vectors, None if there are none. With `placed` they are read
    row by row (see `row_places`).
    """
    words, vector = with_vectors("words", "w", suffix, placed=placed)
    is_word, forms = f"{form_of('w')} = word_key(word)", ""
    if older_files is not None:
        older = _older_forms(older_files, guard)
        matching = f"SELECT form FROM ({older}) WHERE {_has_key('word_key(word)')}"
        is_word = f"w.word_lower IN (SELECT word_key(word) UNION ALL {matching})"
        is_word = f"(NOT by_lemma AND {is_word}) OR (by_lemma AND w.lemma = word_key(word))"
        forms = f" UNION ALL SELECT place, n, form FROM asked JOIN ({older}) ON {_has_key('key')}"
    # A constant, by which nothing of phrases is run for a word. The keys stand there once: they are long to plan.
    several = f"regexp_matches(word, {quote(f'[{_BREAKS}]')})"
    pooled = f"list_transform(list_reduce(list(list_transform({vector}, lambda x: x::DOUBLE * len(w.tokens)))"
    pooled += ", lambda a, b: list_transform(list_zip(a, b), lambda pair: pair[1] + pair[2]))"
    pooled += f", lambda x: x / sum(len(w.tokens)))::FLOAT[{width or ''}]"
    return f"""
CREATE MACRO "occurrences{suffix}"(word, by_lemma := false) AS TABLE
WITH asked AS (
    SELECT unnest(keys) AS key, generate_subscripts(keys, 1) AS place, len(keys) AS n
    FROM (SELECT word_keys(word) AS keys) WHERE len(keys) > 1
), form AS (
    SELECT place, n, key AS form FROM asked{forms}
), phrase AS (
    SELECT w.doc_id, w.sentence_index, (w.word_index - form.place + 1)::INTEGER AS word_index, form.n
    FROM "words{suffix}" AS w JOIN form ON form.form = {form_of("w")}
    WHERE {several}
    GROUP BY ALL HAVING count(*) = form.n
), found AS (
    SELECT w.doc_id, w.sentence_index, w.word_index, w.word, w.char_start, w.char_end, {vector} AS embedding
    FROM {words} AS w
    WHERE {is_word}
    UNION ALL
    SELECT phrase.doc_id, phrase.sentence_index, phrase.word_index, NULL, min(w.char_start), max(w.char_end), {pooled}
    FROM {words} AS w JOIN phrase ON phrase.doc_id = w.doc_id AND phrase.sentence_index = w.sentence_index
    WHERE {several} AND {form_of("w")} IN (SELECT form FROM form)
        AND w.word_index BETWEEN phrase.word_index AND phrase.word_index + phrase.n - 1
    GROUP BY phrase.doc_id, phrase.sentence_index, phrase.word_index
)
SELECT
    found.doc_id, d.title, found.sentence_index, found.word_index,
    coalesce(found.word, substr(s.text, found.char_start - s.char_start + 1, found.char_end - found.char_start))
        AS word,
    found.char_start, found.char_end,
    s.text AS sentence,
    found.embedding
FROM found
JOIN "sentences{suffix}" AS s ON s.doc_id = found.doc_id AND s.sentence_index = found.sentence_index
JOIN "documents{suffix}" AS d ON d.doc_id = found.doc_id"""


def form_of(words: str) -> str:
    """Return SQL for what a row of words is grouped by, within a macro with the parameter `by_lemma`."""
    return f"CASE WHEN by_lemma THEN {words}.lemma ELSE {words}.word_lower END"


def key_of_form(form: str) -> str:
    """Return SQL for the key of a word as a part has it, of a release before word keys too."""
    return f"CASE WHEN regexp_matches({form}, {quote(_changed())}) THEN word_key({form}) ELSE {form} END"


def quick_key(text: str) -> str:
    """Return SQL for the key of a word as it is written, or of a text in NFC: most are only put into lower case."""
    folded = f"regexp_matches(lower({text}), {quote(_changed())}) OR contains({text}, 'İ')"
    return (
        f"CASE WHEN strlen({text}) = length({text}) THEN lower({text}) "
        f"WHEN {folded} THEN word_key({text}) ELSE lower({text}) END"
    )


def _older_forms(files: str, guard: str | None) -> str:
    """Return SQL for the lower-case forms in older parts that are not ASCII."""
    allowed = "" if guard is None else f" AND (SELECT is_here FROM {guard})"
    # A list, because DuckDB would compute the keys of all rows before it drops the repeated ones.
    forms = (
        f"SELECT list(DISTINCT word_lower) FROM read_parquet({files}, hive_partitioning = false) "
        f"WHERE strlen(word_lower) > length(word_lower){allowed}"
    )
    return f"SELECT unnest(({forms})) AS form"


def _has_key(key: str) -> str:
    """Return SQL for whether a form has that key and is not it."""
    changed = f"regexp_matches(form, {quote(_changed())})"
    return f"CASE WHEN {changed} THEN word_key(form) = {key} AND form <> {key} ELSE false END"


def _key_of(text: str) -> str:
    shown = f"nfc_normalize(regexp_replace({text}, {quote(f'[{pattern_of(IGNORED)}]')}, '', 'g'))"
    for pattern, put_in in JOINERS:
        kept = r"\1" if "(" in pattern else ""
        shown = f"regexp_replace({shown}, {quote(pattern_of(pattern))}, {quote(kept + _character(put_in))}, 'g')"
    found = _foldings()
    # The only character that DuckDB puts into lower case otherwise than Unicode's full mapping.
    folded = f"lower(replace(nfc_normalize({shown}), 'İ', 'i\u0307'))"
    # A call for each character would take ten times as long to plan.
    folded = rf"regexp_replace({folded}, '([{''.join(found.with_iota)}])', '\1ι', 'g')"
    one = found.one | found.with_iota
    folded = f"translate({folded}, {quote(''.join(one))}, {quote(''.join(one.values()))})"
    for character, characters in found.many.items():
        folded = f"replace({folded}, {quote(character)}, {quote(characters)})"
    return f"coalesce(nullif(nfc_normalize({folded}), ''), {text})"


def _changed() -> str:
    """Return a pattern for the words in lower case that may have another key."""
    found = _foldings()
    return f"[{''.join([*found.one, *found.with_iota, *found.many])}{pattern_of(IGNORED)}{pattern_of('200C-200D')}]"


class _Foldings(NamedTuple):
    """What characters in lower case become by full case folding and NFC, if that is not themselves.

    `one` are those that become one character, `with_iota` become one and an iota after it, `many` are all others.
    """

    one: dict[str, str]
    with_iota: dict[str, str]
    many: dict[str, str]


@lru_cache(maxsize=1)
def _foldings() -> _Foldings:
    lower = [c for codes in _CASED for c in map(chr, codes) if c.lower() == c == unicodedata.normalize("NFC", c)]
    folded = {c: unicodedata.normalize("NFC", c.casefold()) for c in lower}
    changed = {c: f for c, f in folded.items() if f != c}
    one = {c: f for c, f in changed.items() if len(f) == 1}
    with_iota = {c: f[0] for c, f in changed.items() if len(f) == 2 and f[1] == "ι"}
    return _Foldings(one, with_iota, {c: f for c, f in changed.items() if c not in one and c not in with_iota})


def _character(point: str) -> str:
    return chr(int(point, 16)) if point else ""
