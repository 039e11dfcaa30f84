"""`polyseme kwic`: every occurrence of a word, phrase or pattern with the text around it."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions, Where
from polyseme.flows.commands.options.lemmas import ByLemma
from polyseme.flows.commands.options.model import FunctionOptions
from polyseme.flows.commands.options.on_demand import Encode
from polyseme.flows.commands.options.results import Limit, ResultOptions, limit_clause
from polyseme.flows.commands.options.running import Timeout
from polyseme.flows.display.concordance import ConcordanceLine, concordance
from polyseme.flows.display.not_found import OF_TEXT, not_found
from polyseme.flows.display.output import write_table
from polyseme.flows.display.terminal import note, show_escaped
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.wording import many

if TYPE_CHECKING:
    import pyarrow as pa

    from polyseme.flows.display.output import Format
    from polyseme.storage.lake import Lake
    from polyseme.tasks.sql.execution import Queries

Sort = Literal["document", "left", "right", "sense", "similarity"]
Exit = int

_ROWS = """
SELECT line.* EXCLUDE (sentence){column}, count(*) OVER () AS total
FROM kwic($pattern, width := {width}, by_lemma := {by_lemma}, regex := {regex}) AS line{joined}
{selected}
ORDER BY {order}line.doc_id, line.char_start
{limit}"""
_SELECTED = "WHERE line.doc_id IN (SELECT doc_id FROM selected_documents)"
_WORDS = "list_filter(word_keys({}), lambda one: regexp_matches(one, '[\\pL\\pN]'))"
_SENSE = """
LEFT JOIN (
    SELECT sense.sense, sense.rank, sense.doc_id, s.char_start + len(sense.text_before) AS char_start
    FROM senses($pattern, by_lemma := {by_lemma}) AS sense
    JOIN sentences AS s ON s.doc_id = sense.doc_id AND s.sentence_index = sense.sentence_index
) AS meant ON meant.doc_id = line.doc_id AND meant.char_start = line.char_start"""
_SIMILARITY = """
LEFT JOIN (
    SELECT o.doc_id, o.char_start,
           array_cosine_similarity(o.embedding, embed_word($like, $word))::DOUBLE AS similarity
    FROM occurrences($pattern, by_lemma := {by_lemma}) AS o
) AS used ON used.doc_id = line.doc_id AND used.char_start = line.char_start"""
_FORM_IN = """
SELECT key FROM (SELECT unnest(word_keys($like)) AS key)
WHERE key IN (SELECT word_lower FROM words WHERE lemma = word_key($pattern)) LIMIT 1"""
_ORDERS: dict[Sort, str] = {
    "document": "",
    "left": f"list_reverse({_WORDS.format('line.text_before')}), ",
    "right": f"{_WORDS.format('line.text_after')}, ",
    "sense": "meant.sense, meant.rank, ",
    "similarity": "used.similarity DESC NULLS LAST, ",
}
_COLUMNS: dict[Sort, str] = {"sense": ", meant.sense", "similarity": ", used.similarity"}


def kwic(
    pattern: str,
    *,
    regex: Annotated[bool, Parameter(negative="")] = False,
    by_lemma: ByLemma = False,
    sort: Sort | None = None,
    like: str | None = None,
    encode: Encode = False,
    where: Where = None,
    width: int = 60,
    limit: Limit = 25,
    timeout: Timeout = None,
    lake: LakeOptions = LakeOptions(),
    model: FunctionOptions = FunctionOptions(),
    result: ResultOptions = ResultOptions(),
) -> Exit:
    """Show every occurrence of PATTERN with the text around it, one below the other: keyword in context.

    Upper and lower case are the same. A lake that does not keep the words of every document is searched in its text.
    Exit code 1 if there is no occurrence; stderr says why.

    Example: polyseme kwic bank --sort right --width 40

    Example: polyseme kwic "supreme court" --where "title like '%1931%'" --format csv --limit 0

    Example: polyseme kwic "colou?r\\w*" --regex

    Example: polyseme kwic bank --like "They moored at the bank."

    Parameters
    ----------
    pattern
        A word, e.g. bank; a phrase, e.g. "river bank"; with --regex an expression.
    regex
        PATTERN is a regular expression (RE2), matched within a sentence: "\\bun\\w+able\\b". In any case, unless it
        begins with (?-i).
    sort
        By place in the documents (the default), by the words to the left of the keyword, read outward from it, or to
        its right, by sense with the most typical first, or by similarity to the use in --like.
    like
        A sentence with the word in it: the occurrences that are used most like it come first.
    width
        Characters of context on each side; on a terminal less, if they do not fit.
    """
    from polyseme.flows.commands.on_demand import note_what_is_missing
    from polyseme.tasks.sql.execution import Queries

    form, order, limited = result.form, _order(sort, like), limit_clause(limit)
    if width < 0:
        raise UsageError(f"--width must be at least 0, got {width}.")
    if regex and (by_lemma or order in ("sense", "similarity")):
        raise UsageError("--regex finds text and no words. Leave out --by-lemma, --like and --sort sense.")
    if encode and order not in ("sense", "similarity"):
        raise UsageError("--encode is for --sort sense and --like, which need vectors. Text is found without them.")
    place = lake.lake()
    if encode:
        _encode(place, pattern, model, like=like, where=where, by_lemma=by_lemma, timeout=timeout)
    with Queries(place, model.functions()) as queries:
        if where is not None:
            queries.select("selected_documents", where)
        if regex:
            _check(queries, pattern)
        elif not by_lemma and not queries.has_every_word:
            note(OF_TEXT)
        parameters = {"pattern": pattern}
        flag = str(by_lemma).lower()
        joined = {"sense": _SENSE, "similarity": _SIMILARITY}.get(order, "").format(by_lemma=flag)
        if like is not None:
            parameters |= {"like": like, "word": _word_of(queries, pattern, like, by_lemma=by_lemma)}
        query = _ROWS.format(
            width=width, by_lemma=flag, regex=str(regex).lower(), order=_ORDERS[order], column=_COLUMNS.get(order, ""),
            joined=joined, selected="" if where is None else _SELECTED, limit=limited,
        )  # fmt: skip
        found = queries.table(query, timeout=timeout, **parameters)
        lacks = found.num_rows == 0 or (joined and found[_COLUMNS[order].rpartition(".")[2]].null_count == len(found))
        if lacks:
            reason = _why_nothing(
                queries, place, pattern, regex=regex, by_lemma=by_lemma, selected=where is not None, timeout=timeout
            )
        elif joined:
            note_what_is_missing(queries, place, pattern, by_lemma=by_lemma, timeout=timeout)
    if lacks:
        return not_found(reason, form, found.drop_columns(["total"]))
    return _show(found, form, width)


def _order(sort: Sort | None, like: str | None) -> Sort:
    if like is not None and sort not in (None, "similarity"):
        raise UsageError(f"--like sorts by similarity and --sort {sort} does not. Leave one of them out.")
    if sort == "similarity" and like is None:
        raise UsageError('--sort similarity needs a sentence with the word in it: --like "They moored at the bank."')
    return "similarity" if like is not None else sort or "document"


def _why_nothing(
    queries: Queries, place: Lake, pattern: str, *, regex: bool, by_lemma: bool, selected: bool, timeout: float | None
) -> str:
    from polyseme.flows.commands.on_demand import why_absent

    if regex:
        return f"No sentence of the documents {'that --where selects' if selected else 'of the lake'} matches it."
    return why_absent(queries, place, pattern, by_lemma=by_lemma, selected=selected, timeout=timeout)


def _encode(
    place: Lake, pattern: str, model: FunctionOptions, *, like: str | None, where: str | None, by_lemma: bool,
    timeout: float | None,
) -> None:  # fmt: skip
    """Encode a word if the lake lacks it. A mistake in --where or --like costs no encoding."""
    from polyseme.flows.commands.on_demand import encode_if_lacking
    from polyseme.tasks.sql.execution import Queries

    with Queries(place, model.functions()) as queries:
        if where is not None:
            queries.select("selected_documents", where)
        if like is not None and not by_lemma:
            _word_of(queries, pattern, like, by_lemma=by_lemma)
        encode_if_lacking(
            queries, place, pattern, by_lemma=by_lemma, device=model.device, model=model.model, timeout=timeout
        )


def _check(queries: Queries, pattern: str) -> None:
    """Raise UsageError if a pattern is not a regular expression."""
    try:
        queries.ask("SELECT regexp_matches('', $pattern) AS found", pattern=pattern)
    except PolysemeError as error:
        why = str(error).rpartition(": ")[0].rpartition(": ")[2]
        raise UsageError(f"--regex takes an expression of RE2, and {pattern} is none: {why}.") from error


def _word_of(queries: Queries, pattern: str, like: str, *, by_lemma: bool) -> str:
    """Return the word of `like` whose use is compared. Raises UsageError if it is not in there."""
    found = queries.ask(_FORM_IN, like=like, pattern=pattern) if by_lemma else []
    word = str(found[0]["key"]) if found else pattern
    if not queries.ask("SELECT embed_word($like, $word) IS NOT NULL AS known", like=like, word=word)[0]["known"]:
        raise UsageError(f"'{pattern}' is not in the sentence of --like. Give one in which it is used.")
    return word


def _show(found: pa.Table, form: Format, width: int) -> int:
    total, rows = found["total"][0].as_py(), found.drop_columns(["total"])
    if form == "table":
        on_terminal = sys.stdout.isatty()
        lines = [
            ConcordanceLine(
                source=_label(row), before=row["text_before"], keyword=row["keyword"], after=row["text_after"]
            )
            for row in rows.to_pylist()
        ]
        screen = shutil.get_terminal_size().columns if on_terminal else None
        for line in concordance(lines, context=width, width=screen, isolate=on_terminal):
            show_escaped(line)
    else:
        write_table(rows, form)
    if total > len(rows):
        note(f"{len(rows):,} of {many(total, 'occurrences')}; --limit 0 shows all.")
    return 0


def _label(row: dict[str, Any]) -> str:
    name = str(row["title"] or row["doc_id"].rpartition("/")[2] or row["doc_id"])
    if "sense" in row:
        return f"{row['sense'] or '-'} {name}"
    return name if "similarity" not in row or row["similarity"] is None else f"{row['similarity']:.2f} {name}"
