"""`polyseme duplicates`: documents that are the same or nearly so, and sentences that a lake has several times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions, Where
from polyseme.flows.commands.options.results import ResultOptions
from polyseme.flows.commands.options.running import Timeout
from polyseme.flows.display.not_found import not_found
from polyseme.flows.display.output import write_table
from polyseme.flows.display.progress_bar import followed
from polyseme.flows.display.terminal import note
from polyseme.storage.errors import UsageError
from polyseme.storage.sql.document_lists import ALL_DOCUMENTS, ids_in
from polyseme.storage.wording import many

if TYPE_CHECKING:
    import pyarrow as pa

    from polyseme.flows.display.output import Format
Of = Literal["documents", "sentences"]

_AT_LEAST = 0.8
_NEAR = """
SELECT group_id, copies, place, {similarity} AS similarity, same_text, doc_id, uri, title
FROM near_duplicates(at_least := {at_least}, docs := {docs}) AS near ORDER BY group_id, place"""
_SIMILAR = """
SELECT {similarity} AS similarity, doc_id, sentence_index, text, other_doc_id, other_sentence_index, other_text
FROM similar_sentences(at_least := {at_least}, docs := {docs}) AS near"""
_COMPARED = "SELECT count(*) AS n FROM {}"
_EXACT = "SELECT group_id, copies, place, doc_id, uri, title FROM {rows} ORDER BY group_id, place"
_SENTENCES = """
SELECT group_id, copies, count(DISTINCT doc_id) AS documents, min_by(doc_id, place) AS first_doc_id,
       min_by(sentence_index, place) AS first_sentence_index, min_by(text, place) AS text
FROM {rows} GROUP BY group_id, copies ORDER BY group_id"""
_AMONG_SELECTED = """(
    SELECT * REPLACE (dense_rank() OVER (ORDER BY copies DESC, group_id) AS group_id) FROM (
        SELECT * REPLACE (count(*) OVER every AS copies, row_number() OVER (every ORDER BY place) AS place) FROM {view}
        WHERE doc_id IN (SELECT doc_id FROM selected_documents) WINDOW every AS (PARTITION BY group_id)
    ) WHERE copies > 1
)"""


def duplicates(
    *,
    of: Of = "documents",
    exact: Annotated[bool, Parameter(negative="")] = False,
    at_least: float | None = None,
    where: Where = None,
    limit: int = 25,
    timeout: Timeout = None,
    lake: LakeOptions = LakeOptions(),
    result: ResultOptions = ResultOptions(),
) -> int:
    """List documents that are the same or nearly so, or sentences that the lake has several times or that are similar.

    Similarity is the share of runs of five words that two documents have in common (Jaccard); case, punctuation and
    space do not count. A group is its longest document, which comes first, and those that are as similar to it as
    --at-least says; so all but the first can be left out. Needs pip install 'polyseme[duplicates]'. With --exact, and
    of sentences, texts are the same, and nothing needs to be installed. Of sentences with --at-least, pairs are listed
    that say nearly the same in other words: similarity is the cosine of their vectors.

    Exit code 1 if there are none; stderr says what was compared. In SQL: FROM near_duplicates(), FROM
    similar_sentences(), and the views duplicate_documents and duplicate_sentences.

    Example: polyseme duplicates

    Example: polyseme duplicates --at-least 0.5 --where "metadata->>'genre' = 'news'" --format csv --limit 0

    Example: polyseme duplicates --of sentences

    Example: polyseme duplicates --of sentences --at-least 0.95

    Parameters
    ----------
    of
        Compare documents, or sentences, which are the same if they differ in nothing but space.
    exact
        Only documents whose text is the same to the last character.
    at_least
        The least similarity of a document to the first of its group, from 0.2 to 1. By default 0.8: in a hundred words
        two differ, far from each other. Of sentences the least cosine of two with different texts, from 0.8 to 1.
    limit
        The most groups to show, the largest first, or pairs, the most similar first; 0 is all.
    """
    import pyarrow as pa

    from polyseme.tasks.sql.execution import Queries
    from polyseme.tasks.sql.functions import ModelFunctions
    from polyseme.tasks.sql.near_duplicates import Question
    from polyseme.tasks.sql.similar_sentences import Likeness

    form, least = result.form, _least(of, at_least, exact=exact)
    if limit < 0:
        raise UsageError(f"--limit must be at least 0, which is all, got {limit}.")
    if least is not None:
        (Question if of == "documents" else Likeness)(least)  # refuses what is no similarity, before the lake is opened
    functions = ModelFunctions()
    with Queries(lake.lake(), functions) as queries:
        if where is not None:
            queries.select("selected_documents", where)
        query = _query(of, where, least, rounded=form == "table")
        tables = list[pa.Table]()
        with followed("duplicates", "opening the lake", lambda: functions.doing) as tick:
            queries.run(query, lambda rows: tables.append(rows.read_all()), timeout=timeout, waiting=tick)
        compared = queries.ask(_COMPARED.format("documents" if where is None else "selected_documents"))[0]["n"]
    (found,) = tables
    if not found.num_rows:
        return not_found(_nothing(of, compared, least, selected=where is not None), form, found)
    if of == "sentences" and least is not None:
        _write_pairs(found, form, limit)
    else:
        _write(found, form, of, limit)
    return 0


def _least(of: Of, at_least: float | None, *, exact: bool) -> float | None:
    """Return the least similarity that is asked for; None if texts have to be the same."""
    if not exact and of == "documents":
        return _AT_LEAST if at_least is None else at_least
    if exact and at_least is not None:
        raise UsageError("--exact lists what is the same, and --at-least what is nearly so. Leave one of them out.")
    return at_least


def _query(of: Of, where: str | None, least: float | None, *, rounded: bool) -> str:
    """Return the query for all groups, in the order in which they are shown."""
    if least is not None:
        similarity = "round(near.similarity, 3)" if rounded else "near.similarity"
        docs = ALL_DOCUMENTS if where is None else ids_in("selected_documents")
        return (_NEAR if of == "documents" else _SIMILAR).format(similarity=similarity, at_least=least, docs=docs)
    view = f"duplicate_{of}"
    rows = view if where is None else _AMONG_SELECTED.format(view=view)
    return (_EXACT if of == "documents" else _SENTENCES).format(rows=rows)


def _write(found: pa.Table, form: Format, of: Of, limit: int) -> None:
    """Write the first groups, and to stderr how many there are in all, and how many others of each."""
    import pyarrow.compute as pc

    copies = found.group_by("group_id").aggregate([("copies", "min")])["copies_min"]
    groups, total = len(copies), pc.sum(copies).as_py()
    shown = found.filter(pc.less_equal(found["group_id"], limit)) if limit else found
    write_table(shown.drop_columns(["uri"]) if form == "table" and of == "documents" else shown, form)
    cut = f" --limit 0 shows {many(groups - limit, 'more groups')}." if limit and limit < groups else ""
    note(f"{many(groups, 'groups')} of {many(total, of)}: {total - groups:,} beside the first of each.{cut}")


def _write_pairs(found: pa.Table, form: Format, limit: int) -> None:
    """Write the first pairs, and to stderr how many there are in all."""
    write_table(found.slice(0, limit) if limit else found, form)
    more = found.num_rows - limit if limit else 0
    cut = f" --limit 0 shows {many(more, 'more')}." if more > 0 else ""
    note(f"{many(found.num_rows, 'pairs')} of sentences with different texts.{cut}")


def _nothing(of: Of, compared: int, least: float | None, *, selected: bool) -> str:
    from polyseme.tasks.sql.near_duplicates import LEAST

    among = "that --where selects" if selected else "of the lake"
    if compared == 0:
        return "--where selects no document." if selected else "The lake has no documents yet: polyseme embed FOLDER."
    if of == "sentences" and least is not None:
        return (
            f"No two sentences of the {many(compared, 'documents')} {among} have different texts and a similarity of "
            f"{least:g} (--at-least)."
        )
    if of == "sentences":
        return f"No sentence of the {many(compared, 'documents')} {among} is there twice."
    if compared == 1:
        return f"There is one document {among}, and nothing to compare it with."
    if least is None:
        more = "Without --exact, those are found that are nearly the same."
        return f"No two of the {many(compared, 'documents')} {among} have the same text. {more}"
    lower = "" if least <= LEAST else " A lower --at-least finds those that have less in common."
    return (
        f"No two of the {many(compared, 'documents')} {among} have {100 * least:g} % of their runs of five words in "
        f"common (--at-least {least:g}).{lower}"
    )
