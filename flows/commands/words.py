"""`polyseme words`: how often words occur, and which words one slice of the corpus has more of than another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions, Where
from polyseme.flows.commands.options.lemmas import ByLemma
from polyseme.flows.commands.options.results import Limit, ResultOptions, limit_clause
from polyseme.flows.commands.options.running import Timeout
from polyseme.flows.display.not_found import OF_TEXT, not_found
from polyseme.flows.display.output import write_table
from polyseme.flows.display.terminal import note
from polyseme.storage.errors import UsageError
from polyseme.storage.sql.bench.frequencies import CRITICAL
from polyseme.storage.sql.document_lists import ALL_DOCUMENTS, ids_in

if TYPE_CHECKING:
    from polyseme.tasks.sql.execution import Queries

REST = "rest"
_LIST = """
SELECT word, occurrences, documents, {per_million} AS per_million, {dispersion} AS dispersion
FROM word_frequencies(docs := {docs}, at_least := {at_least}, by_lemma := {by_lemma}, punctuation := {punctuation})
    AS found
ORDER BY occurrences DESC, word {limit}"""
_KEYWORDS = """
SELECT word, occurrences, other_occurrences, {per_million} AS per_million, {other_per_million} AS other_per_million,
       {log_likelihood} AS log_likelihood, {log_ratio} AS log_ratio
FROM keywords({docs}, {other_docs}, at_least := {at_least}, by_lemma := {by_lemma}, punctuation := {punctuation})
    AS found
WHERE found.log_likelihood >= {critical} AND found.log_ratio > 0
ORDER BY found.log_ratio DESC, found.log_likelihood DESC, word {limit}"""
_DIGITS = {"per_million": 1, "other_per_million": 1, "dispersion": 3, "log_likelihood": 1, "log_ratio": 2}


def words(
    *,
    where: Where = None,
    against: str | None = None,
    at_least: int | None = None,
    by_lemma: ByLemma = False,
    punctuation: Annotated[bool, Parameter(negative="")] = False,
    limit: Limit = 25,
    timeout: Timeout = None,
    lake: LakeOptions = LakeOptions(),
    result: ResultOptions = ResultOptions(),
) -> int:
    """List the most frequent words, or with --against those that some documents have more of than others.

    per_million is of words with a letter. dispersion is Gries' DPnorm over documents: 0 if a word is spread as the
    documents are long, near 1 if it is in one of them.

    With --against: keywords, by log ratio (Hardie): 1 is twice as frequent, 2 four times. Only words are shown whose
    log-likelihood (Dunning's G2) is 15.13 or more, which one in 10,000 words would reach by chance; for 0.05 it is
    3.84, for 0.01 6.63, and for 0.001 10.83: of many words, some reach those. All of them: FROM keywords(…) in SQL.

    Example: polyseme words --at-least 10

    Example: polyseme words --where "metadata->>'genre' = 'news'" --against rest

    Example: polyseme words --where "title like '%bank%'" --against "title like '%river%'" --format csv --limit 0

    Parameters
    ----------
    against
        The documents to compare with: a condition as for --where, or rest for all that --where leaves out.
    at_least
        Only words that occur this often: 1, or with --against 5 in both slices together.
    punctuation
        Count punctuation marks and numbers too.
    """
    from polyseme.tasks.sql.execution import Queries
    from polyseme.tasks.sql.functions import ModelFunctions

    form, limited = result.form, limit_clause(limit)
    if against is not None and where is None:
        raise UsageError("--against compares the documents of --where with others. Name both.")
    least = at_least if at_least is not None else 1 if against is None else 5
    shown = {name: f"round(found.{name}, {n})" if form == "table" else f"found.{name}" for name, n in _DIGITS.items()}
    with Queries(lake.lake(), ModelFunctions()) as queries:
        if not by_lemma and not queries.has_every_word:
            note(OF_TEXT)
        docs, others = slices(queries, where, against)
        template = _LIST if against is None else _KEYWORDS
        query = template.format(
            docs=docs, other_docs=others, at_least=least, by_lemma=str(by_lemma).lower(), critical=CRITICAL,
            punctuation=str(punctuation).lower(), limit=limited, **shown,
        )  # fmt: skip
        found = queries.table(query, timeout=timeout)
    if not found.num_rows:
        return not_found(_nothing(where, against, least), form, found)
    write_table(found, form)
    return 0


def slices(queries: Queries, where: str | None, against: str | None) -> tuple[str, str]:
    """Return SQL for the ids of the documents that are meant, and of those they are compared with."""
    if where is None:
        return ALL_DOCUMENTS, ALL_DOCUMENTS
    queries.select("selected_documents", where)
    if against == REST:
        left = "documents WHERE doc_id NOT IN (SELECT doc_id FROM selected_documents)"
        return ids_in("selected_documents"), ids_in(left)
    if against is not None:
        queries.select("other_documents", against)
    return ids_in("selected_documents"), ids_in("other_documents")


def _nothing(where: str | None, against: str | None, least: int) -> str:
    of = "the documents that --where selects" if where is not None else "the lake"
    if against is None:
        return f"No word is in {of} that often: --at-least {least}."
    return (
        f"No word is more frequent in {of} than in the others by a log-likelihood of {CRITICAL}, among those of "
        f"--at-least {least}. Slices without words have none; a lower --at-least takes rare words too."
    )
