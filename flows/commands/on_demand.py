"""Vectors on demand, for the commands that look a word up: what they would cost, and `--encode`, which adds them.

Writes to stderr only.
"""

from __future__ import annotations

from functools import partial

from polyseme.flows.display.not_found import absence, at_lake, cost_text
from polyseme.flows.display.terminal import note
from polyseme.flows.runs.on_demand import FLOW, Lacking, cost_of, lacking, word_request
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Device
from polyseme.storage.wording import many
from polyseme.tasks.sql.execution import Queries


def why_absent(
    queries: Queries, place: Lake, word: str, *, by_lemma: bool = False, selected: bool = False,
    timeout: float | None = None,
) -> str:  # fmt: skip
    """Return why a word has no occurrences as `absence` does, and what --encode would run."""
    return absence(
        queries, place, word, by_lemma=by_lemma, selected=selected, timeout=timeout, encoding_it=partial(_offer, place)
    )


def encode_if_lacking(
    queries: Queries, place: Lake, word: str, *, by_lemma: bool = False, device: Device = "auto",
    model: str | None = None, timeout: float | None = None,
) -> None:  # fmt: skip
    """Encode a word in the documents that lack it of a lake that is open in `queries`, which does not see its vectors.

    Raises UsageError for a lemma, and what a run raises; an interrupted one keeps what was committed.
    """
    if by_lemma and not queries.has_every_word:
        raise UsageError(
            "--encode takes a word as it is spelled, and --by-lemma its forms, which are known only of words that the "
            "lake keeps. Encode the forms one by one, or all words with their lemmas: polyseme backfill --level words "
            f"--lemma{at_lake(place)}"
        )
    found = lacking(queries, place, word, timeout=timeout)
    if not found.documents:
        return
    from polyseme.flows.commands.run_job import run_job
    from polyseme.flows.runs.backfill_job import backfill_job

    request = word_request(place, word, device=device, model=model)
    report = run_job(backfill_job(request), request, flow=FLOW, verbose=False)
    counts = report.counts
    note(
        f"Encoded '{word}' in {many(found.sentences, 'sentences')} of {many(counts.documents, 'documents')}: "
        f"{many(counts.forward_tokens, 'tokens')} run in {report.wall_seconds:,.1f} s, run {report.run_id}."
    )


def note_what_is_missing(
    queries: Queries, place: Lake, word: str, *, by_lemma: bool = False, timeout: float | None = None
) -> None:
    """Tell people of sentences with a word that was found elsewhere, and without vectors of it: not in an answer."""
    if by_lemma or queries.has_every_word:
        return
    if (found := lacking(queries, place, word, timeout=timeout)).documents:
        note(
            f"'{word}' is in {many(found.sentences, 'sentences')} more of which the lake has no vectors of it, such as "
            "after an interrupted run or in documents that are newer. --encode adds them."
        )


def nothing_to_compare(queries: Queries, place: Lake, word: str, *, timeout: float | None = None) -> str:
    """Return why a word has no neighbours if the lake has vectors of no other word; else an empty text."""
    found = lacking(queries, place, word, timeout=timeout)
    if found.has_others or not (found.documents or found.kept):
        return ""
    return (
        f"'{word}' has nothing to be compared with: the lake keeps the vectors of no other word. Encode all words: "
        f"polyseme backfill --level words{at_lake(place)}; --words encodes some."
    )


def _offer(place: Lake, found: Lacking) -> str:
    """Say what --encode would run, as a dry run measures it."""
    from polyseme.flows.commands.show_plan import planned

    every_word = f"All words: polyseme backfill --level words{at_lake(place)}"
    try:
        cost = cost_text(cost_of(place, found, planned), found)
    except PolysemeError as error:
        return f"--encode would encode it, but what that takes cannot be measured: {error}"
    return f"--encode encodes it first: {cost}. {every_word}"
