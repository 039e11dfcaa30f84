"""Why a word was not found: not in the corpus, kept as sentences only, or there in another form.

    return not_found(absence(queries, place, word, by_lemma=by_lemma), form)

ends a command that looks a word up and found nothing: the reason on stderr, no rows on stdout, exit code 1.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from polyseme.flows.display.output import write_json, write_table
from polyseme.flows.display.quantities import duration
from polyseme.flows.display.terminal import note
from polyseme.storage.word_keys import word_key, word_keys
from polyseme.storage.wording import many

if TYPE_CHECKING:
    import pyarrow as pa

    from polyseme.flows.display.output import Format
    from polyseme.flows.runs.on_demand import Cost, Lacking
    from polyseme.storage.lake import Lake
    from polyseme.tasks.sql.execution import Queries

OF_TEXT = "The lake does not keep the words of every document, so they are found in the text of its sentences."
NOT_FOUND = 1
"""The exit code of a look-up that found nothing."""
_ADD_LEMMAS = (
    "`polyseme backfill --lemma` adds lemmas, without running the model; documents in languages without a dictionary "
    "have none (docs/languages.md)."
)
_HAS_LEMMAS = "SELECT EXISTS (SELECT 1 FROM words WHERE lemma IS NOT NULL) AS found"
_LEMMAS = "SELECT DISTINCT lemma FROM words WHERE word_lower = word_key($word) ORDER BY lemma"
_FORMS = """
SELECT word_lower AS form, count(*) AS n FROM words WHERE lemma = word_key($word)
GROUP BY form ORDER BY n DESC, form LIMIT 5"""
_COUNT = "SELECT count(*) AS n FROM occurrences($word, by_lemma := {by_lemma})"
_IN_TEXT = "SELECT count(DISTINCT (doc_id, sentence_index)) AS n FROM in_text($word)"
_PLACES = "SELECT count(*) AS n FROM in_text($word)"
_IN_SELECTION = f"{_PLACES} WHERE doc_id IN (SELECT doc_id FROM selected_documents)"
_SIMILAR = """
WITH form AS (
    SELECT form, count(*) AS n FROM (
        SELECT word_lower AS form FROM words
        UNION ALL
        SELECT lower(unnest(regexp_extract_all(text, '\\pL[\\pL\\pM]*'))) FROM sentences
        WHERE NOT EXISTS (FROM words)
    ) WHERE abs(len(form) - len($key)) <= 2 AND regexp_full_match(form, '\\pL[\\pL\\pM]*') GROUP BY form
), near AS (
    SELECT form, n, CASE WHEN strip_accents(form) = strip_accents($key) THEN 0
                         ELSE damerau_levenshtein(form, $key) END AS distance
    FROM form WHERE form <> $key
)
SELECT form, n FROM near WHERE distance <= CASE WHEN len($key) < 4 THEN 0 WHEN len($key) < 8 THEN 1 ELSE 2 END
ORDER BY distance, n DESC, form LIMIT 3"""


def not_found(reason: str, form: Format, empty: pa.Table | None = None) -> int:
    """Tell why nothing was found, write no rows in `form`, and return the exit code. `empty` has their columns."""
    note(reason)
    if empty is not None and form != "table":
        write_table(empty.slice(0, 0), form)
    elif form == "json":
        write_json([])
    return NOT_FOUND


def absence(
    queries: Queries, place: Lake, word: str, *, by_lemma: bool = False, selected: bool = False,
    timeout: float | None = None, encoding_it: Callable[[Lacking], str] | None = None,
) -> str:  # fmt: skip
    """Return why a word or phrase has no occurrences in the lake at `place`, and what to do about it.

    `selected` says that it was looked for in the view `selected_documents` only. `encoding_it` says how the command
    that looked for it would encode it.
    """

    from polyseme.flows.runs.on_demand import lacking

    def ask(sql: str, **more: object) -> list[dict[str, Any]]:
        return queries.ask(sql, timeout=timeout, **more)

    in_text = not by_lemma and not queries.has_every_word
    if selected and (elsewhere := _elsewhere(ask, word, by_lemma=by_lemma, in_text=in_text)):
        return (
            f"'{word}' does not occur in the documents that --where selects. It does in others: "
            f"{many(elsewhere, 'occurrences')}."
        )
    if by_lemma:
        return _without_lemma(ask, word)
    if (found := lacking(queries, place, word, timeout=timeout)).documents:
        return _not_kept(place, word, found, encoding_it)
    if in_text and (sentences := ask(_IN_TEXT, word=word)[0]["n"]):
        return (
            f"'{word}' is in {many(sentences, 'sentences')}, and the lake has the vectors of the words there, but none "
            "of these is just that: its encoding divides words otherwise."
        )
    if forms := ask(_FORMS, word=word):
        others = f"Other forms of it do: {_listed(forms)}. --by-lemma finds them."
        return f"'{word}' does not occur in the lake in this form. {others}"
    return f"'{word}' does not occur in the lake.{_instead(ask, word)}"


def _elsewhere(ask: Any, word: str, *, by_lemma: bool, in_text: bool) -> int:
    """Return how often a word occurs in other documents than the selected ones; 0 if it is in the text of these."""
    if in_text and ask(_IN_SELECTION, word=word)[0]["n"]:
        return 0
    counts = [_COUNT.format(by_lemma=str(by_lemma).lower()), *([_PLACES] if in_text else [])]
    return max(int(ask(sql, word=word)[0]["n"]) for sql in counts)


def _without_lemma(ask: Any, word: str) -> str:
    lemmas = [row["lemma"] for row in ask(_LEMMAS, word=word)]
    if not lemmas:
        more = "" if ask(_HAS_LEMMAS)[0]["found"] else f" No word of it has a lemma. {_ADD_LEMMAS}"
        return f"'{word}' is the lemma of no word in the lake.{more}"
    if known := [lemma for lemma in lemmas if lemma is not None]:
        return f"'{word}' is the lemma of no word in the lake. As a word it has the lemma {' or '.join(known)}."
    return f"'{word}' is in the lake without a lemma. {_ADD_LEMMAS}"


def _not_kept(place: Lake, word: str, found: Lacking, encoding_it: Callable[[Lacking], str] | None) -> str:
    """Say that a word is in the text and has no vectors, and how to encode it."""
    if found.only_sentences:
        has = "sentences only"
    else:
        kept = found.kept and many(len(found.kept), "words")
        has = f"vectors of {kept} only" if kept else "the words of some documents only"
    how = encoding_it(found) if encoding_it is not None else _by_backfill(place, found)
    return (
        f"'{word}' is in {many(found.sentences, 'sentences')}, but the lake has no vectors of it: it keeps {has}. {how}"
    )


def _by_backfill(place: Lake, found: Lacking) -> str:
    # Every document keeps the words that it has, so that those need not be named.
    return f"Encode it: polyseme backfill --level words --words {shlex.quote(found.word)}{at_lake(place)}"


def cost_text(cost: Cost, found: Lacking) -> str:
    """Say what encoding a word takes."""
    # On another kind of device, say, or on a GPU, which pools sentences itself if no words are wanted.
    copied = cost.sentences <= found.sentences
    more = "" if copied else f" ({cost.sentences:,} sentences, since what is stored of them cannot be copied here)"
    took = f", about {duration(cost.seconds)} of encoding at the {cost.tokens_per_second:,.0f} tokens/s measured now"
    tokens, documents = many(cost.tokens, "tokens"), many(found.documents, "documents")
    return f"about {tokens} of {documents} to run{more}{took if cost.tokens_per_second else ''}"


def at_lake(place: Lake) -> str:
    """Return the option that names the lake in a command to copy; nothing if it is the default one."""
    return "" if str(place.root) == "lake" else f" --lake {shlex.quote(str(place.root))}"


def _instead(ask: Any, word: str) -> str:
    keys = word_keys(word)
    if len(keys) > 1:
        counts = [{"form": key, **ask(_COUNT.format(by_lemma="false"), word=key)[0]} for key in dict.fromkeys(keys)]
        return f" Its words, one by one: {_listed(counts)}."
    similar = ask(_SIMILAR, key=word_key(word.strip()))
    return f" Spelled like it: {_listed(similar)}." if similar else ""


def _listed(rows: list[dict[str, Any]]) -> str:
    return ", ".join(f"{row['form']} ({row['n']})" for row in rows)
