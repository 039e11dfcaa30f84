"""Word usage graphs: uses of words in two periods, and how much people found that each word changed.

Reads the format of DWUG (Schlechtweg et al. 2021, https://www.ims.uni-stuttgart.de/data/wugs): tab-separated
`data/LEMMA/uses.csv` and `stats/…/stats_groupings.csv`. Knows no vectors.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyseme.storage.errors import UsageError

_USES = {"grouping", "context", "indexes_target_token"}
_CHANGE = {"lemma", "change_graded"}


@dataclass(frozen=True, slots=True)
class Use:
    """A use of a word: its text, the characters `start:end` of the word in it, and the period that it is of."""

    text: str
    start: int
    end: int
    grouping: str


@dataclass(frozen=True, slots=True)
class Lemma:
    """A word with its uses and its graded change, 0 to 1: the Jensen-Shannon distance of people's clusters."""

    name: str
    change: float
    uses: tuple[Use, ...]


def read_usage_graphs(folder: Path) -> list[Lemma]:
    """Return the words that have a graded change, by name. Raises UsageError for a folder that is not DWUG's."""
    stats = sorted(folder.glob("stats/**/stats_groupings.csv"), key=lambda path: ("opt" not in path.parts, path))
    if not stats:
        raise UsageError(f"There is no stats/…/stats_groupings.csv in {folder}. Name a folder in the format of DWUG.")
    changes = {row["lemma"]: float(row["change_graded"]) for row in _rows(stats[0], _CHANGE)}
    return [
        Lemma(name, change, tuple(_uses(folder / "data" / name / "uses.csv")))
        for name, change in sorted(changes.items())
    ]


def _uses(path: Path) -> Iterator[Use]:
    for row in _rows(path, _USES):
        try:
            # An end that is missing is the text's.
            start, end = row["indexes_target_token"].split(":")
            yield Use(row["context"], int(start), int(end) if end else len(row["context"]), row["grouping"])
        except ValueError as error:
            raise UsageError(f"{path} has an indexes_target_token that is not START:END. Correct it.") from error


def _rows(path: Path, needed: set[str]) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            # Not quoted: a text may have any number of quotation marks.
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            missing = needed - set(rows.fieldnames or ())
            if missing:
                raise UsageError(
                    f"{path} has no column {', '.join(sorted(missing))}. It must be tab-separated, as DWUG's."
                )
            yield from rows
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"Cannot read {path} ({type(error).__name__}). Name a folder in the format of DWUG."
        ) from error
