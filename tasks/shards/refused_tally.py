"""The tally of refused records: how many of each code, and the first addresses of each. Has no text of a document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from polyseme.storage.records import Reject

EXAMPLES = 3
"""Addresses that are kept of each code."""


@dataclass(frozen=True, slots=True)
class RefusedRecords:
    """The records that were refused for one reason; of `examples`, no two are in one file."""

    code: str
    records: int
    examples: tuple[str, ...] = ()


@dataclass(slots=True)
class RefusedTally:
    """How many records were refused, `by_code`."""

    by_code: Counter[str] = field(default_factory=Counter)
    _examples: dict[str, dict[str, str]] = field(default_factory=dict)
    """By code, the place in each of the first files."""

    def add(self, reject: Reject) -> None:
        """Count a reject."""
        self.by_code[reject.code] += 1
        examples = self._examples.setdefault(reject.code, {})
        if len(examples) < EXAMPLES:
            examples.setdefault(reject.uri, reject.locator)

    def totals(self) -> list[RefusedRecords]:
        """Return what was refused, the most first."""
        return [
            RefusedRecords(code, records, tuple(f"{uri} {at}".rstrip() for uri, at in self._examples[code].items()))
            for code, records in most_first(self.by_code).items()
        ]


def most_first(by_code: Mapping[str, int]) -> dict[str, int]:
    """Return counts by code in their fixed order: the most first, equal ones by code."""
    return dict(sorted(by_code.items(), key=lambda item: (-item[1], item[0])))
