"""Looking words up: word keys as SQL that any DuckDB runs, and the macro that finds the occurrences of a word.

Parts of releases before word keys have words in lower case where newer ones have their key. Which of their words have
the key that is asked for is looked up among their forms that are not ASCII: 20 ms of CPU for a million words, against
the 5 ms of a look-up, and none of it in a lake without such parts.
"""

from __future__ import annotations

from functools import lru_cache

from polyseme.storage.sql.literals import quote
from polyseme.storage.word_keys import IGNORED, JOINERS, pattern_of

KEY_MACRO = "word_key"
_CASED = (range(0x80, 0x2000), range(0xAB70, 0xABC0), range(0xFB00, 0xFB18))
"""Where the characters are whose full case folding is not their lower case."""


def key_macro() -> str:
    """Return the statement that makes `word_key(word)`, which agrees with `storage.word_keys`."""
    return f"CREATE MACRO {KEY_MACRO}(word) AS {_key_of('word')}"


def occurrences_macro(suffix: str, older_files: str | None = None, guard: str | None = None) -> str:
    """Return the statement for every occurrence of a word, with its sentence and its document's title.

    `older_files` is SQL for the list of those parts that have lower case in place of keys, None for none; `guard` is a
    view without which they are not to be read.
    """
    key = f"{KEY_MACRO}(word)"
    is_word = f"w.word_lower = {key}"
    if older_files is not None:
        is_word = f"w.word_lower IN (SELECT {key} UNION ALL {_older_forms(older_files, key, guard)})"
    return f"""
CREATE MACRO "occurrences{suffix}"(word) AS TABLE
SELECT
    w.doc_id, d.title, w.sentence_index, w.word_index, w.word, w.char_start, w.char_end,
    s.text AS sentence,
    w.embedding
FROM "words{suffix}" AS w
JOIN "sentences{suffix}" AS s ON s.doc_id = w.doc_id AND s.sentence_index = w.sentence_index
JOIN "documents{suffix}" AS d ON d.doc_id = w.doc_id
WHERE {is_word}"""


def _older_forms(files: str, key: str, guard: str | None) -> str:
    """Return SQL for the lower-case forms in older parts that have the key and are not it."""
    allowed = "" if guard is None else f" AND (SELECT is_here FROM {guard})"
    # A list, because DuckDB would compute the keys of all rows before it drops the repeated ones.
    forms = (
        f"SELECT list(DISTINCT word_lower) FROM read_parquet({files}, hive_partitioning = false) "
        f"WHERE strlen(word_lower) > length(word_lower){allowed}"
    )
    changed = f"regexp_matches(form, {quote(_changed())})"
    return (
        f"SELECT form FROM (SELECT unnest(({forms})) AS form) "
        f"WHERE CASE WHEN {changed} THEN {KEY_MACRO}(form) = {key} AND form <> {key} ELSE false END"
    )


def _key_of(text: str) -> str:
    shown = f"nfc_normalize(regexp_replace({text}, {quote(f'[{pattern_of(IGNORED)}]')}, '', 'g'))"
    for pattern, put_in in JOINERS:
        kept = r"\1" if "(" in pattern else ""
        shown = f"regexp_replace({shown}, {quote(pattern_of(pattern))}, {quote(kept + _character(put_in))}, 'g')"
    one, many = _foldings()
    # The only character that DuckDB puts into lower case otherwise than Unicode's full mapping.
    folded = f"lower(replace(nfc_normalize({shown}), 'İ', 'i\u0307'))"
    folded = f"translate({folded}, {quote(''.join(one))}, {quote(''.join(one.values()))})"
    for character, characters in many.items():
        folded = f"replace({folded}, {quote(character)}, {quote(characters)})"
    return f"coalesce(nullif(nfc_normalize({folded}), ''), {text})"


def _changed() -> str:
    """Return a pattern for the words in lower case that may have another key."""
    one, many = _foldings()
    return f"[{''.join(one)}{''.join(many)}{pattern_of(IGNORED)}{pattern_of('200C-200D')}]"


@lru_cache(maxsize=1)
def _foldings() -> tuple[dict[str, str], dict[str, str]]:
    """Return the case foldings of characters in lower case that change them: to one character, and to several."""
    lower = [c for codes in _CASED for c in map(chr, codes) if c.lower() == c]
    folded = {c: c.casefold() for c in lower if c.casefold() != c}
    return {c: f for c, f in folded.items() if len(f) == 1}, {c: f for c, f in folded.items() if len(f) > 1}


def _character(point: str) -> str:
    return chr(int(point, 16)) if point else ""
