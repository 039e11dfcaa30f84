"""Change of meaning for people: slices of a word, and words of two slices, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polyseme.flows.display.columns import Column, aligned

Row = dict[str, Any]
_MEASURES = {"APD": "apd", "PRT": "prt", "JSD": "jsd", "corrected": "apd_corrected", "p": "p"}
_RANKS = {"jsd": 7, "prt": 6, "apd": 5, "p": 4, "apd_corrected": 3}
"""In which order the comparisons with the first slice are left out where a terminal is too narrow."""
_MOST_SENSES = 4
"""Shares that are shown in the terminal."""


def slice_lines(rows: Sequence[Row], width: int) -> list[str]:
    """Return the rows of `drift_by`: each slice against the one before, and from the third on against the first."""
    columns = [
        Column(heading="slice", texts=[row["slice"] for row in rows], flexible=True),
        *(_counts(rows, name) for name in ("occurrences", "documents")),
        _numbers(rows, "spread", "spread", rank=1),
        *(_numbers(rows, heading, name) for heading, name in _MEASURES.items()),
    ]
    if len(rows) > 2:
        later = [*rows[:1], rows[0], *rows[2:]]  # the second slice has been compared with the first
        columns += [_numbers(later, f"1st {h}", f"first_{n}", rank=_RANKS[n]) for h, n in _MEASURES.items()]
    columns.append(Column(heading="senses", texts=[_senses(row["shares"]) for row in rows], rank=2))
    return aligned(columns, width)


def word_lines(rows: Sequence[Row], width: int) -> list[str]:
    """Return the rows of `drift_rank`."""
    return aligned(
        [
            Column(heading="word", texts=[row["word"] for row in rows], flexible=True),
            _counts(rows, "occurrences", "here"),
            _counts(rows, "other_occurrences", "there"),
            _numbers(rows, "corrected", "apd_corrected"),
            _numbers(rows, "p adjusted", "p_adjusted"),
            _numbers(rows, "APD", "apd"),
            _numbers(rows, "PRT", "prt"),
            _numbers(rows, "spread here", "spread", rank=1),
            _numbers(rows, "spread there", "other_spread", rank=1),
        ],
        width,
    )


def _counts(rows: Sequence[Row], name: str, heading: str = "") -> Column:
    return Column(heading=heading or name, texts=[f"{row[name]:,}" for row in rows], number=True)


def _numbers(rows: Sequence[Row], heading: str, name: str, *, rank: int = 0) -> Column:
    texts = ["" if row[name] is None else f"{row[name]:.3f}" for row in rows]
    return Column(heading=heading, texts=texts, number=True, rank=rank)


def _senses(found: Sequence[float]) -> str:
    more = " …" if len(found) > _MOST_SENSES else ""
    return " ".join(f"{share:4.0%}" for share in found[:_MOST_SENSES]) + more
