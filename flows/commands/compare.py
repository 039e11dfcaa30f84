"""`polyseme compare`: two slices of the corpus, or two encodings of it, side by side."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from polyseme.flows.commands.options.lake import LakeOptions, Where
from polyseme.flows.commands.options.lemmas import ByLemma
from polyseme.flows.commands.options.results import ResultOptions
from polyseme.flows.commands.options.running import Timeout
from polyseme.flows.commands.words import slices
from polyseme.flows.display.output import Format, write_table
from polyseme.flows.display.terminal import show
from polyseme.storage.errors import UsageError
from polyseme.storage.sql.bench.frequencies import CRITICAL

if TYPE_CHECKING:
    import pyarrow as pa

    from polyseme.storage.lake import Lake
    from polyseme.tasks.sql.execution import Queries

_AT_LEAST = 5
_KEYWORDS = """
SELECT word, per_million, other_per_million, log_likelihood, log_ratio
FROM keywords({docs}, {other_docs}, at_least := {at_least}, by_lemma := {by_lemma}) AS found
WHERE found.log_likelihood >= {critical}
QUALIFY row_number() OVER (
    PARTITION BY found.log_ratio > 0 ORDER BY abs(found.log_ratio) DESC, log_likelihood DESC, word
) <= {k}
ORDER BY abs(found.log_ratio) DESC, log_likelihood DESC, word"""
_COLUMNS = ("kind", "name", "value", "other_value", "log_likelihood", "log_ratio")


def compare(
    *,
    where: Where = None,
    against: str | None = None,
    encoding: str | None = None,
    other: str | None = None,
    k: int = 15,
    sample: int = 1000,
    by_lemma: ByLemma = False,
    timeout: Timeout = None,
    lake: LakeOptions = LakeOptions(),
    result: ResultOptions = ResultOptions(),
) -> None:
    """Compare two slices of the corpus, --where and --against, or two encodings of it, --encoding and --other.

    Of slices: their size, mean NSP margin and percentile, perplexity if there is one, and the keywords of each, by log
    ratio, of a log-likelihood of 15.13 or more (polyseme words --help explains both).

    Of encodings: over a sample of sentences that both have, the share of the ten nearest that they have in common (0 to
    1), and the rank correlation of the similarities of all pairs (-1 to 1).

    Example: polyseme compare --where "metadata->>'genre' = 'news'" --against rest

    Example: polyseme compare --encoding polyseme_mini --other bert

    Parameters
    ----------
    against
        The documents to compare with: a condition as for --where, or rest for all that --where leaves out.
    encoding
        The name of an encoding, as polyseme status lists them.
    other
        The encoding to compare it with.
    k
        Keywords of each slice.
    sample
        Sentences that encodings are compared on: all of their pairs are.
    """
    from polyseme.tasks.sql.execution import Queries
    from polyseme.tasks.sql.functions import ModelFunctions

    of_slices, of_encodings = (where, against) != (None, None), (encoding, other) != (None, None)
    if of_slices == of_encodings or None in ((where, against) if of_slices else (encoding, other)):
        raise UsageError(
            "Compare two slices with --where and --against, or two encodings with --encoding and --other: both of two."
        )
    place = lake.lake()
    with Queries(place, ModelFunctions()) as queries:
        if of_slices:
            rows = _of_slices(queries, where, against, k, by_lemma=by_lemma, timeout=timeout)
        else:
            rows = _of_encodings(queries, place, str(encoding), str(other), sample=sample, timeout=timeout)
    _write(rows, result.form)


def _of_slices(
    queries: Queries, where: str | None, against: str | None, k: int, *, by_lemma: bool, timeout: float | None
) -> list[dict[str, Any]]:
    docs, others = slices(queries, where, against)
    here, there = (queries.ask(f"FROM slice_figures(docs := {ids})", timeout=timeout)[0] for ids in (docs, others))
    rows = [{"kind": "figure", "name": name, "value": here[name], "other_value": there[name]} for name in here]
    query = _KEYWORDS.format(
        docs=docs, other_docs=others, at_least=_AT_LEAST, by_lemma=str(by_lemma).lower(), critical=CRITICAL, k=k
    )
    found = queries.ask(query, timeout=timeout)
    for kind, sign in (("keyword", 1), ("other keyword", -1)):
        rows += [
            {"kind": kind, "name": row["word"], "value": row["per_million"], "other_value": row["other_per_million"],
             "log_likelihood": row["log_likelihood"], "log_ratio": row["log_ratio"]}
            for row in found if row["log_ratio"] * sign > 0
        ]  # fmt: skip
    return rows


def _of_encodings(
    queries: Queries, place: Lake, encoding: str, other: str, *, sample: int, timeout: float | None
) -> list[dict[str, Any]]:
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.sql.selection import find_encoding
    from polyseme.tasks.sql.encoding_agreement import agreement

    if sample < 1:
        raise UsageError(f"--sample must be at least 1, got {sample}.")
    with Catalog.open(place) as catalog:
        snapshot = catalog.snapshot()
    first, second = (find_encoding(snapshot, name).name for name in (encoding, other))
    figures = agreement(partial(queries.table, timeout=timeout), first, second, sample=sample)
    return [{"kind": "figure", "name": name, "value": value} for name, value in figures.items()]


def _write(rows: list[dict[str, Any]], form: Format) -> None:
    import pyarrow as pa

    types = [pa.string(), pa.string(), *[pa.float64()] * 4]
    columns = {
        name: pa.array([row.get(name) for row in rows], kind) for name, kind in zip(_COLUMNS, types, strict=True)
    }
    table = pa.table(columns)
    if form != "table":
        write_table(table, form)
        return
    for kind in dict.fromkeys(columns["kind"].to_pylist()):
        show(_TITLES[kind])
        write_table(_shown([row for row in rows if row["kind"] == kind], kind), form)


def _shown(rows: list[dict[str, Any]], kind: str) -> pa.Table:
    """Return rows of one kind for people, without the columns that none of them has."""
    import pyarrow as pa

    columns = {
        kind if name == "name" else name: pa.array([_rounded(row.get(name)) for row in rows]) for name in _COLUMNS[1:]
    }
    return pa.table({name: column for name, column in columns.items() if not pa.types.is_null(column.type)})


_TITLES = {
    "figure": "Figures.",
    "keyword": "Keywords of the first slice, and how often a million words of each have them.",
    "other keyword": "Keywords of the second.",
}


def _rounded(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else round(float(value), 3)
