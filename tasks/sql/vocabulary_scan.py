"""Sums of the word vectors of two lists of documents, by word and document, in one pass over the stored parts.

Parts are sorted by word, so as many words at a time are read as have sums that fit into memory. A word in thousands of
documents has them dealt out to at most a thousand groups a list: memory does not grow with the lake. Knows no measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.storage.sql.literals import quote
from polyseme.storage.sql.word_lookup import key_of_form
from polyseme.tasks.analysis.drift import Doubles
from polyseme.tasks.analysis.permutation import Units
from polyseme.tasks.arrays import Ints, unit

GROUPS = 1000
"""The most documents, or groups of them, that a word's vectors are summed by in each list."""
_SUMS_AT_ONCE = 100_000
"""Sums in memory: 154 MB with 384 dimensions."""
_ROWS_A_BLOCK = 16_384
_IS_WORD = r"regexp_full_match(form, '\pL[\pL\pM\x{200C}\x{200D}]*')"
"""Neither a number nor punctuation, as in `polysemy`."""


@dataclass(frozen=True, slots=True)
class WordSums:
    """A word in both lists: unit vectors summed by document, the number of documents, and the sum of all vectors."""

    word: str
    units: tuple[Units, Units]
    documents: tuple[int, int]
    sums: tuple[Doubles, Doubles]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Which words: the view that has them, what groups its rows, and whether some rows have lower case for a key."""

    view: str
    width: int
    by_lemma: bool
    has_older: bool

    @property
    def form(self) -> str:
        """SQL for what a row `w` of words is grouped by."""
        return "w.lemma" if self.by_lemma else "w.word_lower"


def word_sums(
    con: duckdb.DuckDBPyConnection, words: Words, lists: tuple[Sequence[str], Sequence[str]], *, at_least: int,
    check: Callable[[], None] = lambda: None,
) -> Iterator[WordSums]:  # fmt: skip
    """Yield the words with `at_least` occurrences in both lists of documents, by word. `check` is called often.

    Makes tables in the connection. No document may be in both lists.
    """
    con.register("arriving", _dealt(lists))
    con.execute("CREATE TEMP TABLE dealt AS FROM arriving")
    con.execute(_wanted(words), {"at_least": at_least})
    counted = con.execute(
        f"SELECT word, min(form), max(form), any_value(least({GROUPS}, n) + least({GROUPS}, m)) "
        "FROM wanted GROUP BY word ORDER BY word"
    ).fetchall()
    for first, last in _batches([sums for *_, sums in counted]):
        check()
        names, least, most, _ = zip(*counted[first:last], strict=True)
        where = f"f.number >= {first} AND f.number < {last}"
        if not words.by_lemma:
            where += f" AND w.word_lower >= {quote(min(least))} AND w.word_lower <= {quote(max(most))}"
        rows = f"""
        (SELECT (f.number - {first}) * {2 * GROUPS} + d.part AS place, w.doc_id, w.embedding
         FROM {words.view} AS w JOIN wanted AS f ON f.form = {words.form} JOIN dealt AS d ON d.doc_id = w.doc_id
         WHERE {where})"""
        yield from _summed(con, rows, words.width, names, check)


def _dealt(lists: tuple[Sequence[str], Sequence[str]]) -> pa.Table:
    """Return the documents with the group of each, from GROUPS on for the second list."""
    docs = [sorted(set(found)) for found in lists]
    parts = [i % GROUPS + side * GROUPS for side in (0, 1) for i in range(len(docs[side]))]
    return pa.table({"doc_id": pa.array([*docs[0], *docs[1]], pa.string()), "part": pa.array(parts, pa.int32())})


def _wanted(words: Words) -> str:
    """Return the statement for the forms of the words that are frequent enough; `number` is a word's place."""
    key = key_of_form("form") if words.has_older else "form"
    return f"""
CREATE TEMP TABLE wanted AS
WITH counted AS (
    SELECT {words.form} AS form, count(*) FILTER (d.part < {GROUPS}) AS n, count(*) FILTER (d.part >= {GROUPS}) AS m
    FROM {words.view} AS w JOIN dealt AS d ON d.doc_id = w.doc_id
    GROUP BY ALL
), keyed AS (
    SELECT form, {key} AS word, n, m FROM counted WHERE {_IS_WORD}
), total AS (
    SELECT form, word, sum(n) OVER (PARTITION BY word) AS n, sum(m) OVER (PARTITION BY word) AS m FROM keyed
)
SELECT form, word, n, m, dense_rank() OVER (ORDER BY word) - 1 AS number FROM total
WHERE n >= $at_least AND m >= $at_least"""


def _batches(sums: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield ranges of words that have together at most `_SUMS_AT_ONCE` sums, at least one word each."""
    first = total = 0
    for i, count in enumerate(sums):
        if i > first and total + count > _SUMS_AT_ONCE:
            yield first, i
            first, total = i, 0
        total += count
    if first < len(sums):
        yield first, len(sums)


def _summed(
    con: duckdb.DuckDBPyConnection, rows: str, width: int, names: Sequence[str], check: Callable[[], None]
) -> Iterator[WordSums]:
    """Yield the sums of a batch of words. `rows` is SQL for their `place`: the word, and the document's group."""
    found = con.execute(
        f"SELECT place, count(*) AS n, count(DISTINCT doc_id) AS docs FROM {rows} GROUP BY place ORDER BY place"
    ).fetchnumpy()
    places, counts, docs = (np.asarray(found[name], np.int64) for name in ("place", "n", "docs"))
    sums = np.zeros((len(places), width), np.float32)
    whole = np.zeros((2 * len(names), width), np.float64)
    for block in con.sql(f"SELECT place, embedding FROM {rows}").to_arrow_reader(_ROWS_A_BLOCK):
        check()
        vectors = block.column("embedding").flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
        place = block.column("place").to_numpy(zero_copy_only=False).astype(np.int64)
        _add(whole, place // GROUPS, vectors)
        _add(sums, np.searchsorted(places, place), unit(vectors))
    side = places // GROUPS
    starts = np.searchsorted(side, np.arange(2 * len(names) + 1)).tolist()

    def one(number: int) -> tuple[Units, int]:
        here = slice(starts[number], starts[number + 1])
        return Units(sums[here].astype(np.float64), counts[here].astype(np.float64)), int(docs[here].sum())

    for i, name in enumerate(names):
        (units, documents), (other_units, other_documents) = one(2 * i), one(2 * i + 1)
        yield WordSums(name, (units, other_units), (documents, other_documents), (whole[2 * i], whole[2 * i + 1]))


def _add(sums: npt.NDArray[np.floating], places: Ints, rows: npt.NDArray[np.float32]) -> None:
    """Add rows to the sums at their places: sorted and by runs, since `np.add.at` takes several times as long."""
    if not len(rows):
        return
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    sums[ordered[starts]] += np.add.reduceat(rows[order], starts, axis=0)
