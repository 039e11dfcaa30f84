"""`polyseme search`: the sentences or word occurrences that are nearest to a text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions, Where
from polyseme.flows.commands.options.lemmas import ByLemma
from polyseme.flows.commands.options.model import FunctionOptions
from polyseme.flows.commands.options.results import ResultOptions
from polyseme.flows.commands.options.running import Memory, Spill, Timeout
from polyseme.flows.display.not_found import absence, not_found
from polyseme.flows.display.output import write_json, write_table
from polyseme.flows.display.terminal import show, terminal_width
from polyseme.storage.errors import UsageError
from polyseme.storage.sql.document_lists import ALL_DOCUMENTS, ids_in

if TYPE_CHECKING:
    import pyarrow as pa

    from polyseme.flows.display.output import Format
    from polyseme.tasks.sql.execution import Queries

Mode = Literal["vector", "text", "hybrid"]
_SENTENCES = """
SELECT hit.{measure}, d.uri, hit.title, hit.doc_id, hit.sentence_index, hit.text,
       before.text AS text_before, after.text AS text_after
FROM {found} AS hit
JOIN documents AS d ON d.doc_id = hit.doc_id
LEFT JOIN sentences AS before ON before.doc_id = hit.doc_id AND before.sentence_index = hit.sentence_index - 1
LEFT JOIN sentences AS after ON after.doc_id = hit.doc_id AND after.sentence_index = hit.sentence_index + 1
ORDER BY hit.{measure} DESC, hit.doc_id, hit.sentence_index"""
_FOUND: dict[Mode, tuple[str, str]] = {
    "vector": ("similarity", "nearest($text, k := $k, docs := {docs}, exact := {exact})"),
    "text": ("score", "bm25($text, k := $k, docs := {docs})"),
    "hybrid": ("score", "hybrid($text, k := $k, docs := {docs})"),
}
"""By which measure each mode finds sentences."""

_OCCURRENCES = """
WITH question AS (SELECT {question} AS vector),
hit AS ({hits})
SELECT hit.similarity, d.uri, d.title, hit.doc_id, hit.sentence_index, hit.word_index, hit.word,
       s.text, hit.char_start - s.char_start AS word_start, hit.char_end - s.char_start AS word_end
FROM hit
JOIN documents AS d ON d.doc_id = hit.doc_id
JOIN sentences AS s ON s.doc_id = hit.doc_id AND s.sentence_index = hit.sentence_index
ORDER BY hit.similarity DESC, hit.doc_id, hit.sentence_index, hit.word_index"""
_USES = """
SELECT array_cosine_similarity(w.embedding, question.vector)::DOUBLE AS similarity, w.* EXCLUDE (embedding)
FROM {rows} AS w, question
WHERE array_contains({docs}, CASE WHEN {docs} = ['*'] THEN '*' ELSE w.doc_id END)
ORDER BY similarity DESC, w.doc_id, w.sentence_index, w.word_index
LIMIT $k"""
"""The occurrences of one word."""
_NEAREST_WORDS = "FROM nearest_occurrences((SELECT {question}), k := $k, docs := {docs}, exact := {exact})"
"""The occurrences of any word."""


_INDENT = " " * len("0.587  ")
_QUESTION = "CASE WHEN len(word_keys($text)) = 1 THEN embed_word($text, $text) ELSE embed($text) END"
_LEMMA = """
WITH form AS (SELECT unnest(keys) AS key, generate_subscripts(keys, 1) AS place FROM (SELECT word_keys($word) AS keys))
SELECT coalesce((SELECT mode(lemma) FROM words WHERE word_lower = form.key), form.key) AS lemma
FROM form ORDER BY place"""
"""A word that the lake has no lemma of may be one."""


def search(
    text: str,
    *,
    k: Annotated[int, Parameter(alias="-k")] = 10,
    mode: Mode = "vector",
    where: Where = None,
    word: str | None = None,
    by_lemma: ByLemma = False,
    words: Annotated[bool, Parameter(negative="")] = False,
    exact: Annotated[bool, Parameter(negative="")] = False,
    timeout: Timeout = None,
    memory: Memory = None,
    spill: Spill = None,
    lake: LakeOptions = LakeOptions(),
    model: FunctionOptions = FunctionOptions(),
    result: ResultOptions = ResultOptions(),
) -> int:
    """Find the sentences whose vectors are nearest to that of TEXT, with neighbours, source and cosine similarity.

    --mode text finds those that share its words instead (BM25), hybrid those that are high in both lists.

    Example: polyseme search "a flood in the valley" --where "title like '%bank%'"

    Example: polyseme search "Ossel Valley Bank" --mode hybrid

    Example: polyseme search "They moored at the bank." --word bank

    Example: polyseme search "We went there by boat." --word went --by-lemma

    Parameters
    ----------
    text
        Text to search for; it is encoded as one sentence.
    k
        Hits to show.
    mode
        By the vectors of sentences; by the words that they share with TEXT, for names and rare words; or by both: the
        sum of 1 / (60 + rank) in the two lists.
    word
        A word or a phrase of TEXT: find the occurrences of it whose use is most similar.
    words
        Find occurrences of any word instead of sentences. With --word those whose use is most similar to that word of
        TEXT: "We walked along the stream." --word stream --words. A word alone has
        no context and finds little.
    exact
        Compare the vectors of all sentences, or with --words of all words. Without it an index finds those worth
        comparing, which misses one of some hundred; fewer than 20,000 are all compared anyway.
    """
    from polyseme.storage.sql.access import Access
    from polyseme.tasks.sql.execution import Queries

    if k < 1:
        raise UsageError(f"-k must be at least 1, got {k}.")
    if by_lemma and (word is None or words):
        raise UsageError("--by-lemma finds the forms of one word: name it with --word, and leave --words out.")
    if mode != "vector" and (word is not None or words):
        raise UsageError(f"--mode {mode} finds sentences. Leave --word and --words out.")
    if exact and (mode != "vector" or (word is not None and not words)):
        raise UsageError(
            "--exact is for all sentences, or with --words all words, by their vectors. Leave --mode out, and --word "
            "without --words, which compares all occurrences of the word anyway."
        )
    form = result.form
    docs = ALL_DOCUMENTS if where is None else ids_in("selected_documents")
    parameters: dict[str, object] = {"text": text, "k": k}
    place = lake.lake()
    with Queries(place, model.functions(), access=Access(memory=memory, spill=spill)) as queries:
        if where is not None:
            queries.select("selected_documents", where)
        if word is not None:
            parameters["word"] = word
            _require_word(queries, text, word)
        if word is None and not words:
            measure, rows = _FOUND[mode]
            found = rows.format(docs=docs, exact="true" if exact else "false")
            query = _SENTENCES.format(measure=measure, found=found)
        else:
            question = "embed_word($text, $word)" if word else _QUESTION
            found = _NEAREST_WORDS if words else _USES
            rows = "occurrences($word)"
            if word is not None and by_lemma:
                parameters["lemma"], rows = _lemma(queries, word, timeout), "occurrences($lemma, by_lemma := true)"
            hits = found.format(docs=docs, rows=rows, question=question, exact="true" if exact else "false")
            query = _OCCURRENCES.format(question=question, hits=hits)
        table = queries.table(query, timeout=timeout, **parameters)
        if word is not None and not words and not table.num_rows:
            why = absence(queries, place, word, by_lemma=by_lemma, selected=where is not None, timeout=timeout)
            return not_found(why, form, table)
    _write(table, form)
    return 0


def _write(table: pa.Table, form: Format) -> None:
    if form not in ("table", "json"):
        write_table(table, form)
        return
    found = table.to_pylist()
    if form == "json":
        write_json(found)
    else:
        show("\n\n".join(_block(hit) for hit in found) or "Nothing found.")


def _require_word(queries: Queries, text: str, word: str) -> None:
    """Raise UsageError if `word` is not in the text that is searched for."""
    known = queries.ask("SELECT embed_word($text, $word) IS NOT NULL AS known", text=text, word=word)
    if not known[0]["known"]:
        raise UsageError(
            f"'{word}' is not a word of the text, nor words in a row. Use it in the text, or leave --word out."
        )


def _lemma(queries: Queries, word: str, timeout: float | None) -> str:
    """Return the lemma that a word has in the lake, the most frequent if it has several; of a phrase one a word."""
    found = queries.ask(_LEMMA, timeout=timeout, word=word)
    return " ".join(str(row["lemma"]) for row in found)


def _block(hit: dict[str, Any]) -> str:
    measured = f"{hit['similarity']:.3f}" if "similarity" in hit else f"{hit['score']:.4g}"
    head = f"{measured}  {hit['title'] or hit['doc_id']}, sentence {hit['sentence_index']}  ({hit['uri']})"
    if "word" in hit:
        start, end = hit["word_start"], hit["word_end"]
        shown = f"{hit['text'][:start]}»{hit['text'][start:end]}«{hit['text'][end:]}"
    else:
        around = (hit["text_before"], f"»{hit['text']}«", hit["text_after"])
        shown = " ".join(part for part in around if part)
    return (
        head
        + "\n"
        + textwrap.fill(
            " ".join(shown.split()),
            min(110, terminal_width() or 110),
            initial_indent=_INDENT,
            subsequent_indent=_INDENT,
        )
    )
