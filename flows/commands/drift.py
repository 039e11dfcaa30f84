"""`polyseme drift`: how the meaning of a word changes from slice to slice of a corpus, and which words change most."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions, Where
from polyseme.flows.commands.options.lemmas import ByLemma
from polyseme.flows.commands.options.on_demand import Encode
from polyseme.flows.commands.options.running import Json, Memory, Spill, Timeout
from polyseme.flows.display.not_found import not_found
from polyseme.flows.display.output import Format, write_table
from polyseme.flows.display.terminal import note, show
from polyseme.storage.errors import UsageError
from polyseme.storage.wording import many

if TYPE_CHECKING:
    import pyarrow as pa

    from polyseme.tasks.sql.drift_queries import Slicing
    from polyseme.tasks.sql.execution import Queries


def drift(
    word: str | None = None,
    *,
    by: str | None = None,
    bins: str | None = None,
    where: Where = None,
    against: str | None = None,
    rank: Annotated[bool, Parameter(negative="")] = False,
    at_least: int = 10,
    k: Annotated[int, Parameter(alias="-k")] = 20,
    fdr: float = 0.05,
    permutations: int = 999,
    by_lemma: ByLemma = False,
    encode: Encode = False,
    plot: Path | None = None,
    export: Path | None = None,
    format: Format = "table",
    timeout: Timeout = None,
    memory: Memory = None,
    spill: Spill = None,
    lake: LakeOptions = LakeOptions(),
    json: Json = False,
) -> int | None:
    """Measure how the use of WORD changes between slices of the corpus, or with --rank which words change most.

    Each slice is compared with the one before, and from the third on with the first too (1st). All are distances, 0 for
    the same use. APD: the mean distance (1 - cosine) of an occurrence here to one there. PRT: the distance of their
    means. JSD: how differently they share out the word's senses, 0 to 1. Corrected: APD less the spread within the
    slices, 0 on average if nothing changed. p: how often documents dealt out at random differ as much. What these are
    good for: docs/meaning.md.

    Example: polyseme drift cell --by metadata.year --bins decade

    Example: polyseme drift bank --where "metadata->>'genre' = 'fiction'" --plot bank.svg

    Example: polyseme drift --rank --by metadata.year --bins 1900, --format csv

    Parameters
    ----------
    word
        A word, e.g. bank, or a phrase, e.g. "supreme court"; upper and lower case are the same.
    by
        Compare slices by this value of documents: metadata.year, language, or any SQL expression on documents.
    bins
        How --by is cut: a number of slices with equally many occurrences (5), edges (1900,1950), year, decade, century,
        or values for a slice a value. By default 4 slices of numbers and dates, and a slice a value of text.
    against
        Compare the documents of --where with those for which this condition holds, by default all others.
    rank
        Measure every word of two slices, in one pass over all word vectors.
    at_least
        With --rank: words with at least this many occurrences in both slices.
    k
        With --rank: words to show in a table; the other formats have all.
    fdr
        With --rank: show words up to this false discovery rate, 1 for all.
    permutations
        How often documents are dealt out for p; 0 for none.
    plot
        Draw the shares of the word's senses in each slice into this file: .svg, .png or .pdf (pip install
        'polyseme[plot]'), or .html.
    export
        Write the uses and their senses into this folder, for annotation in DURel and the tools of DWUG.
    format
        How to write the rows to stdout.
    """
    from polyseme.flows.commands.on_demand import encode_if_lacking, note_what_is_missing, why_absent
    from polyseme.flows.pictures.picture import check_picture, write_picture
    from polyseme.storage.sql.access import Access
    from polyseme.tasks.sql.drift_functions import SLICE
    from polyseme.tasks.sql.drift_queries import Slicing, install_slices, slices_of, words_of
    from polyseme.tasks.sql.execution import Queries
    from polyseme.tasks.sql.functions import ModelFunctions

    _check(word, rank=rank, bins=bins, by=by, files=(plot, export), k=k, permutations=permutations)
    check_picture(plot)
    if rank and encode:
        raise UsageError("--encode is of one word. Name it in place of --rank, or run polyseme backfill --level words.")
    slicing = Slicing(by=by, bins=bins or "auto", where=where, against=against)
    form: Format = "json" if json else format
    place = lake.lake()
    if encode and word is not None:
        with Queries(place, ModelFunctions(), access=Access(memory=memory, spill=spill)) as queries:
            install_slices(queries, slicing, timeout=timeout)  # a mistake in --by or --where costs no encoding
            encode_if_lacking(queries, place, word, by_lemma=by_lemma, timeout=timeout)
    with Queries(place, ModelFunctions(), access=Access(memory=memory, spill=spill)) as queries:
        install_slices(queries, slicing, timeout=timeout)
        if word is None:
            rows, names = words_of(
                queries, slicing, at_least=at_least, by_lemma=by_lemma, permutations=permutations, timeout=timeout
            )
            _write_words(rows, names, form, k=k, fdr=fdr)
            return None
        rows, known, without = slices_of(
            queries, slicing, word, by_lemma=by_lemma, permutations=permutations, timeout=timeout
        )
        if not rows:
            why = (
                _why_nothing(word, slicing, without)
                if without
                else why_absent(queries, place, word, by_lemma=by_lemma, timeout=timeout)
            )
            return not_found(why, form, _table([], SLICE))
        note_what_is_missing(queries, place, word, by_lemma=by_lemma, timeout=timeout)
        if export is not None:
            _export(queries, slicing, word, export, by_lemma=by_lemma, timeout=timeout)
    if without:
        note(f"{many(without, 'occurrences')} beside these {known:,} are in no slice and left out.")
    if plot is not None:
        from polyseme.flows.pictures.sense_shares import sense_shares

        write_picture(sense_shares(word, rows), plot)
    _write_slices(word, rows, form)
    return None


def _check(
    word: str | None, *, rank: bool, bins: str | None, by: str | None, files: tuple[Path | None, ...], k: int,
    permutations: int,
) -> None:  # fmt: skip
    if rank == (word is not None):
        raise UsageError(
            "Name a word (polyseme drift cell --by metadata.year), or ask for all words with --rank; one of them."
        )
    if bins is not None and by is None:
        raise UsageError("--bins cuts the values of --by: --by metadata.year --bins decade.")
    if rank and any(files):
        raise UsageError("--plot and --export are of one word. Name it in place of --rank.")
    if k < 1 or permutations < 0:
        raise UsageError(f"-k must be at least 1 and --permutations at least 0, got {k} and {permutations}.")


def _export(
    queries: Queries, slicing: Slicing, word: str, folder: Path, *, by_lemma: bool, timeout: float | None
) -> None:
    from polyseme.flows.display.usage_graph import write_usage_graph
    from polyseme.tasks.sql.word_uses import uses_of

    uses = uses_of(queries, word, bins=slicing.cuts, names=slicing.names(), by_lemma=by_lemma, timeout=timeout)
    for path in write_usage_graph(word, uses, folder):
        note(f"Wrote {path}")


def _write_slices(word: str, rows: list[dict[str, Any]], form: Format) -> None:
    from polyseme.flows.display.word_slices import slice_lines

    if form != "table":
        from polyseme.tasks.sql.drift_functions import SLICE

        _write(rows, SLICE, form)
        return
    show("\n".join([word, *slice_lines(rows, _width())]))
    if len(rows) == 1:
        note("All of it is one slice, so there is nothing to compare.")
    elif any(row["exchanged"] == "occurrences" for row in rows):
        note("Where a slice has one document, p tells whether documents differ: occurrences were dealt out, not they.")


def _write_words(rows: list[dict[str, Any]], names: list[str], form: Format, *, k: int, fdr: float) -> None:
    from polyseme.flows.display.word_slices import word_lines

    if form != "table":
        from polyseme.tasks.sql.drift_functions import WORD

        _write(rows, WORD, form)
        return
    chosen = [row for row in rows if fdr >= 1 or (row["p_adjusted"] is not None and row["p_adjusted"] <= fdr)]
    show(f"{many(len(rows), 'words')}, here: {names[0]}; there: {names[1]}")
    if chosen:
        show("\n".join(word_lines(chosen[:k], _width())))
    if fdr < 1:
        note(f"{len(chosen):,} of them differ at a false discovery rate of {fdr:g}; --fdr 1 shows all.")


def _write(rows: list[dict[str, Any]], columns: dict[str, pa.DataType], form: Format) -> None:
    write_table(_table(rows, columns), form)


def _table(rows: list[dict[str, Any]], columns: dict[str, pa.DataType]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, pa.schema(list(columns.items())))


def _why_nothing(word: str, slicing: Slicing, without: int) -> str:
    """Return why a word that occurs has no slice."""
    what = f"has a value of {slicing.by}" if slicing.by is not None else "meets one of the conditions"
    return f"'{word}' occurs {many(without, 'times')}, in no document that {what}."


def _width() -> int:
    return shutil.get_terminal_size((120, 24)).columns
