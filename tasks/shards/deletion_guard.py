"""The deletion guard: how many documents of a source one run may hide without confirmation.

A source that yields nothing of what it had is more often an unmounted disk or a wrong option than a deletion. Counts
only: knows neither the catalog nor why a document was not found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from polyseme.storage.errors import UsageError
from polyseme.storage.records import HeldBack, Reason
from polyseme.storage.wording import many

EXAMPLES = 5
"""Addresses that are kept of what was held back."""
_WEB = "Does its server still give all of it"
_BUCKET = "Is the bucket there, of this account and complete"
_DATABASE = "Is it the right database, does its table or query still give rows"
_TABLE = "Is the table there and its newest version complete"
_DOUBTS = {
    "https": _WEB, "http": _WEB,
    "s3": _BUCKET, "gs": _BUCKET, "az": _BUCKET, "hf": "Is the repository there, open to this account and complete",
    "sqlite": _DATABASE, "postgresql": _DATABASE, "mysql": _DATABASE,
    "delta": _TABLE, "iceberg": _TABLE,
}  # fmt: skip
"""What to ask about a source of which documents were not found again, by the scheme of its name."""
_LIMIT = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*%|(\d{1,18})")


@dataclass(frozen=True, slots=True)
class DeletionLimit:
    """What one run may hide of a source: no more than `documents`, or no more than the `share` of what it had.

    Only a share of 1 allows to hide everything that the source had.
    """

    share: float = 0.2
    documents: int = 10

    @staticmethod
    def parse(value: str | int | None) -> DeletionLimit:
        """Return the limit that `35%` or a number of documents stands for, the default for None. Raises UsageError."""
        if value is None:
            return DeletionLimit()
        match = _LIMIT.fullmatch(str(value).strip())
        if match is None or (match[1] and float(match[1]) > 100):
            raise UsageError(
                f"--delete-limit is a share such as 35% or a number of documents such as 50, got {value!r}."
            )
        return DeletionLimit(float(match[1]) / 100, 0) if match[1] else DeletionLimit(0.0, int(match[2]))

    def exceeded(self, *, had: int, found: int, gone: int) -> Reason | None:
        """Return why `gone` of the `had` documents may not be hidden when `found` were found again; None if they may.

        `had` is more than the sum if some could not be read.
        """
        if not gone or self.share >= 1:
            return None
        if not found:
            return "nothing-found"
        return "too-many" if gone > self.documents and gone > self.share * had else None


@dataclass(slots=True)
class SourceCounts:
    """How many documents a source had before the run, and how many of them it yielded again or no longer has."""

    had: int = 0
    found: int = 0
    gone: int = 0
    examples: list[str] = field(default_factory=list)

    def add_gone(self, uri: str) -> None:
        """Count a document that the source no longer has."""
        self.gone += 1
        if len(self.examples) < EXAMPLES and uri not in self.examples:
            self.examples.append(uri)


def judge(
    counts: Sequence[SourceCounts], names: Sequence[str], limit: DeletionLimit, *, encoding_id: str, run_id: str
) -> dict[int, HeldBack]:
    """Return what is held back of each source, by its number. Each is judged on its own counts."""
    held = {}
    for number, (mine, name) in enumerate(zip(counts, names, strict=True)):
        reason = limit.exceeded(had=mine.had, found=mine.found, gone=mine.gone)
        if reason is not None:
            held[number] = HeldBack(
                encoding_id=encoding_id,
                source=name,
                run_id=run_id,
                reason=reason,
                documents=mine.gone,
                had=mine.had,
                examples=tuple(mine.examples),
                confirm_with="100%" if reason == "nothing-found" else str(mine.gone),
            )
    return held


def by_source(held: Sequence[HeldBack]) -> list[HeldBack]:
    """Return one record for each source, that of the encoding with the most documents held back."""
    most: dict[str, HeldBack] = {}
    for one in held:
        if one.source not in most or one.documents > most[one.source].documents:
            most[one.source] = one
    return list(most.values())


def explain(held: HeldBack) -> str:
    """Return one paragraph for people: how many documents of which source, an example, why, and how to confirm."""
    were, they_are = ("was", "it is") if held.documents == 1 else ("were", "they are")
    documents = many(held.documents, "documents")
    why = (
        "none of the documents it had was found"
        if held.reason == "nothing-found"
        else f"more than the limit of the {held.had:,} it had"
    )
    return (
        f"{documents} of {held.source} {were} held back from deletion: {why} (for example {held.examples[0]}). "
        f"{_doubt(held.source)}, and are --text-field and --id-field right? If {they_are} gone, run the same command "
        f"again with --delete-limit {held.confirm_with}"
    )


def _doubt(source: str) -> str:
    """Return what may be wrong with a source, by the kind that its name shows, as the beginning of a question."""
    scheme = source.partition("://")[0] if "://" in source else ""
    return _DOUBTS.get(scheme, "Is it mounted and complete" if source.startswith("/") else "Is it whole")
