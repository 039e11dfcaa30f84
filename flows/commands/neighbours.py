"""`polyseme neighbours`: the words that are used like a word, or like it in one of its senses."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.lemmas import ByLemma
from polyseme.flows.commands.options.on_demand import Encode
from polyseme.flows.commands.options.results import ResultOptions
from polyseme.flows.commands.options.running import Timeout
from polyseme.flows.display.not_found import not_found
from polyseme.flows.display.output import write_table
from polyseme.storage.errors import UsageError

_NEAR = """
SELECT word, occurrences, {similarity} AS similarity
FROM neighbours($word, sense := {sense}, k := {k}, at_least := {at_least}, by_lemma := {by_lemma}) AS near
ORDER BY near.similarity DESC, word"""
_OCCURS = "SELECT count(*) AS n FROM occurrences($word, by_lemma := {by_lemma})"
_SENSES = "SELECT max(sense) AS n FROM senses($word, by_lemma := {by_lemma})"


def neighbours(
    word: str,
    *,
    sense: int | None = None,
    k: Annotated[int, Parameter(alias="-k")] = 10,
    at_least: int = 5,
    by_lemma: ByLemma = False,
    encode: Encode = False,
    timeout: Timeout = None,
    lake: LakeOptions = LakeOptions(),
    result: ResultOptions = ResultOptions(),
) -> int:
    """List the words that are used most like WORD: those whose mean vector over the lake is nearest to its own.

    With --sense that of one of its senses. The mean of all words is subtracted before vectors are compared, so that 0
    is no likeness. Reads every word vector of the lake the first time, and keeps their sums. Exit code 1 if WORD does
    not occur; stderr says why.

    Example: polyseme neighbours bank

    Example: polyseme neighbours bank --sense 2 -k 5

    Parameters
    ----------
    word
        A word or a phrase.
    sense
        The number of a sense, as polyseme senses WORD lists them.
    k
        Words to list.
    at_least
        Only words that occur this often.
    """
    from polyseme.flows.commands.on_demand import (
        encode_if_lacking,
        note_what_is_missing,
        nothing_to_compare,
        why_absent,
    )
    from polyseme.tasks.sql.execution import Queries
    from polyseme.tasks.sql.functions import ModelFunctions

    for name, value in (("-k", k), ("--at-least", at_least), ("--sense", sense)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, got {value}.")
    form, place, flag = result.form, lake.lake(), str(by_lemma).lower()
    query = _NEAR.format(
        similarity="round(near.similarity, 3)" if form == "table" else "near.similarity", by_lemma=flag, k=k,
        sense="NULL" if sense is None else sense, at_least=at_least,
    )  # fmt: skip
    if encode:
        with Queries(place, ModelFunctions()) as queries:
            if reason := nothing_to_compare(queries, place, word):
                return not_found(reason, form)
            encode_if_lacking(queries, place, word, by_lemma=by_lemma, timeout=timeout)
    with Queries(place, ModelFunctions()) as queries:
        found = queries.table(query, timeout=timeout, word=word)
        if found.num_rows:
            note_what_is_missing(queries, place, word, by_lemma=by_lemma, timeout=timeout)
            write_table(found, form)
            return 0
        if not queries.ask(_OCCURS.format(by_lemma=flag), word=word)[0]["n"]:
            reason = nothing_to_compare(queries, place, word)
            reason = reason or why_absent(queries, place, word, by_lemma=by_lemma, timeout=timeout)
            return not_found(reason, form, found)
        if sense is not None and sense > (n := queries.ask(_SENSES.format(by_lemma=flag), word=word)[0]["n"]):
            raise UsageError(f"'{word}' has the senses 1 to {n}, and no {sense}. polyseme senses lists them.")
        reason = nothing_to_compare(queries, place, word)
    reason = reason or f"No other word occurs {at_least} times. A lower --at-least takes rarer ones."
    return not_found(reason, form, found)
