"""The drift of a whole vocabulary between two lists of documents: the measures of each word, and its test.

Measures are those of `tasks.analysis`, over sums that `vocabulary_scan` makes. Opens the lake by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import duckdb
import numpy as np

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.literals import quote_name
from polyseme.storage.sql.views import explained
from polyseme.tasks.analysis.drift import Doubles
from polyseme.tasks.analysis.permutation import adjusted, exchange_test
from polyseme.tasks.sql.vocabulary_scan import Words, WordSums, word_sums


@dataclass(frozen=True, slots=True)
class Question:
    """Which documents to compare, for words with `at_least` occurrences in both lists, and shufflings of the test."""

    docs: tuple[str, ...]
    other_docs: tuple[str, ...]
    at_least: int
    by_lemma: bool
    permutations: int

    def __post_init__(self) -> None:
        if self.at_least < 1:
            raise UsageError(
                f"at_least is the least number of occurrences and must be at least 1, got {self.at_least}."
            )
        both = set(self.docs) & set(self.other_docs)
        if both:
            raise UsageError(
                f"{len(both):,} documents are in both lists, such as {min(both)!r}. A document belongs to one side."
            )


@dataclass(frozen=True, slots=True)
class WordDrift:
    """One word; None where a measure is not defined. The measures are those of `tasks.analysis.change`."""

    word: str
    occurrences: int
    other_occurrences: int
    documents: int
    other_documents: int
    spread: float | None
    other_spread: float | None
    apd: float | None
    prt: float | None
    apd_corrected: float | None
    p: float | None
    p_adjusted: float | None


def vocabulary_drift(
    snapshot: Snapshot, lake: Lake, encoding: Encoding, question: Question, *, check: Callable[[], None],
    opened: Callable[[duckdb.DuckDBPyConnection], None] = lambda con: None,
) -> list[WordDrift]:  # fmt: skip
    """Return a row a word, by word, with p adjusted over all of them.

    `check` is called often, and raises to stop; `opened` gets the connection, for another thread to interrupt.
    """
    parts = snapshot.parts.get((encoding.encoding_id, "words"), ())
    words = Words(
        view=quote_name(f"words_{encoding.name}"), width=encoding.spec.width, by_lemma=question.by_lemma,
        has_older=not snapshot.lower_case.isdisjoint(parts),
    )  # fmt: skip
    # Without a folder to spill to: SQL asks in a confined thread, where none can be made, and a scan needs none.
    with explained(lake), open_snapshot(snapshot, lake, spill="", macros=False) as con:
        opened(con)
        try:
            found = word_sums(con, words, (question.docs, question.other_docs), at_least=question.at_least, check=check)
            return with_adjusted_p([_measured(sums, question.permutations) for sums in found])
        except duckdb.InterruptException:
            check()
            raise
        except duckdb.OutOfMemoryException as error:
            raise PolysemeError(
                "The words did not fit into memory. Ask for fewer, by more occurrences (--at-least, at_least)."
            ) from error


def with_adjusted_p(rows: Iterable[WordDrift]) -> list[WordDrift]:
    """Return the rows with their p adjusted to the false discovery rate."""
    found = list(rows)
    p = adjusted([np.nan if row.p is None else row.p for row in found])
    return [replace(row, p_adjusted=_known(value)) for row, value in zip(found, p.tolist(), strict=True)]


def _measured(word: WordSums, permutations: int) -> WordDrift:
    first, second = word.units
    n, m = int(first.counts.sum()), int(second.counts.sum())
    one, other = first.sums.sum(axis=0), second.sums.sum(axis=0)
    corrected, p = exchange_test(first, second, permutations=permutations)
    return WordDrift(
        word.word, n, m, *word.documents, _spread(one, n), _spread(other, m),
        apd=float(1 - one @ other / (n * m)),
        prt=_known(_distance(*word.sums)),
        apd_corrected=_known(corrected),
        p=_known(p),
        p_adjusted=None,
    )  # fmt: skip


def _spread(total: Doubles, n: int) -> float | None:
    """Return the mean distance between two of `n` unit vectors from their sum."""
    return None if n < 2 else float(1 - (total @ total - n) / (n * (n - 1)))


def _distance(one: Doubles, other: Doubles) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(1 - one @ other / lengths) if lengths else float("nan")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
