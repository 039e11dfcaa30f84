"""The questions of `polyseme drift`: slices by a user's expression or conditions, as arguments of the macros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.tasks.analysis.slices import AS_THEY_ARE, Slices, cut
from polyseme.tasks.sql.execution import Queries

Row = dict[str, Any]
_VALUE = "(SELECT s.value FROM sliced AS s WHERE s.doc_id = documents.doc_id)"
_OF_WORD = f"""
FROM drift_by($word, {_VALUE}, bins := $bins, by_lemma := $by_lemma, permutations := $permutations)"""
_WORDS = """
FROM drift_rank($docs, $other_docs, at_least := $at_least, by_lemma := $by_lemma, permutations := $permutations)"""
_COUNTS = """
SELECT count(*) AS occurrences, count(s.value) AS known FROM occurrences($word, by_lemma := $by_lemma) AS o
LEFT JOIN sliced AS s ON s.doc_id = o.doc_id"""
_BOTH = "SELECT count(*) AS n, any_value(doc_id) AS one FROM here JOIN there USING (doc_id)"
_FIRST, _SECOND = "1", "2"
"""Values of the documents of two conditions, which stay in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slicing:
    """What documents are compared: by the value of an expression, or those of one condition with those of another.

    Without `against` the others. Raises UsageError unless there is one of `by` and `where`.
    """

    by: str | None = None
    bins: str = "auto"
    where: str | None = None
    against: str | None = None

    def __post_init__(self) -> None:
        if (self.by is None) == (self.where is None):
            raise UsageError(
                "Say what to compare: slices by a column (--by metadata.year), or the documents of a condition with "
                "others (--where \"metadata->>'genre' = 'news'\", and --against … if not all others)."
            )
        if self.against is not None and self.by is not None:
            raise UsageError(
                "--against belongs to --where: --by cuts all documents into slices. Leave one of them out."
            )

    @property
    def cuts(self) -> str:
        """How values are cut: conditions have a value a slice."""
        return self.bins if self.by is not None else AS_THEY_ARE

    def names(self) -> dict[str, str]:
        """Return what slices of conditions are called."""
        if self.where is None:
            return {}
        return {_FIRST: self.where, _SECOND: self.against or "other documents"}


def install_slices(queries: Queries, slicing: Slicing, *, timeout: float | None = None) -> None:
    """Make the view `sliced` of the value of each document. Raises UsageError for a document in both slices."""
    if slicing.by is not None:
        queries.value("sliced", slicing.by)
        return
    assert slicing.where is not None
    queries.select("here", slicing.where)
    queries.select("there", slicing.against or "true")
    if slicing.against is not None:
        (both,) = queries.ask(_BOTH, timeout=timeout)
        if both["n"]:
            raise UsageError(
                f"{both['n']:,} documents meet both --where and --against, such as {both['one']!r}. A document belongs "
                "to one side: make the conditions exclude each other."
            )
    queries.value(
        "sliced",
        f"CASE WHEN doc_id IN (SELECT h.doc_id FROM here AS h) THEN '{_FIRST}' "
        f"WHEN doc_id IN (SELECT t.doc_id FROM there AS t) THEN '{_SECOND}' END",
    )


def slices_of(
    queries: Queries, slicing: Slicing, word: str, *, by_lemma: bool, permutations: int, timeout: float | None
) -> tuple[list[Row], int, int]:
    """Return the slices of a word, how many of its occurrences are in documents with a value, and how many are not."""
    asked: Row = {"word": word, "by_lemma": by_lemma}
    rows = queries.ask(_OF_WORD, timeout=timeout, bins=slicing.cuts, permutations=permutations, **asked)
    (counts,) = queries.ask(_COUNTS, timeout=timeout, **asked)
    names = slicing.names()
    found = [row | {"slice": names.get(row["slice"], row["slice"])} for row in rows]
    return found, counts["known"], counts["occurrences"] - counts["known"]


def words_of(
    queries: Queries, slicing: Slicing, *, at_least: int, by_lemma: bool, permutations: int, timeout: float | None
) -> tuple[list[Row], list[str]]:
    """Return the words of two slices, and the names of these. Raises UsageError for another number of slices."""
    documents = queries.ask("SELECT doc_id, value FROM sliced ORDER BY doc_id", timeout=timeout)
    cuts = cut([row["value"] for row in documents], slicing.cuts)
    names = [slicing.names().get(name, name) for name in cuts.names]
    if len(names) != 2:
        raise _not_two(slicing, cuts)
    docs, other_docs = (
        [row["doc_id"] for row, of in zip(documents, cuts.of.tolist(), strict=True) if of == side] for side in (0, 1)
    )
    rows = queries.ask(
        _WORDS, timeout=timeout, docs=docs, other_docs=other_docs, at_least=at_least, by_lemma=by_lemma,
        permutations=permutations,
    )  # fmt: skip
    return rows, names


def _not_two(slicing: Slicing, cuts: Slices) -> PolysemeError:
    if slicing.by is None:
        return PolysemeError("No document meets one of the conditions, so there is nothing to compare.")
    named = ", ".join(cuts.names[:5]) + (", …" if len(cuts.names) > 5 else "")
    return UsageError(
        f"--rank compares two slices, and {slicing.by} has {len(cuts.names)}: {named or 'no values'}. Name two with "
        "--where and --against, or cut numbers and dates in two (--bins 2, or --bins 1900,)."
    )
