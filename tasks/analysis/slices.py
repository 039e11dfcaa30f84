"""Slices: values of a column cut into the groups that are compared, such as years into decades.

Values come as text, as metadata have them: numbers, dates in ISO 8601 or years, or names. Knows nothing of what has
them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from polyseme.storage.errors import UsageError
from polyseme.tasks.arrays import Ints

AUTO, AS_THEY_ARE = "auto", "values"
PERIODS = {"year": 1, "decade": 10, "century": 100}
_SLICES = 4
"""Slices of numbers and dates unless something else is asked for."""
_MOST = 100
_DATE = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2})(?:[T ].*)?)?")
_YEAR = re.compile(r"\d{4}")


@dataclass(frozen=True, slots=True)
class Slices:
    """Names of slices in their order, and for each value the number of its slice from 0, or -1 for a missing value."""

    names: tuple[str, ...]
    of: Ints


@dataclass(frozen=True, slots=True)
class _Scale:
    """What numbers or dates are compared by, how a place on the scale is named, and the year that a value lies in."""

    place: Callable[[str], float]
    year: Callable[[float], int]


def cut(values: Sequence[str | None], bins: str = AUTO) -> Slices:
    """Cut values into slices in ascending order; those without a value are left out.

    `bins` is how: a number of slices with equally many values; edges, `1900,1950`, each the first value of a slice;
    `year`, `decade` or `century`; `values` for a slice a value. `auto` is 4 slices of numbers and dates, if there are
    more values than that, and a slice a value of text. Equal values stay together, and no slice is empty. Raises
    UsageError for bins that are none of these or do not fit the values, and for more than 100 slices.
    """
    known = sorted({value for value in values if value is not None})
    scale, asked = _scale(known), bins.strip().lower()
    if asked == AS_THEY_ARE or (asked == AUTO and (scale is None or len(known) <= _SLICES)):
        ordered = known if scale is None else sorted(known, key=lambda value: (scale.place(value), value))
        return _numbered(values, {value: (i, value) for i, value in enumerate(ordered)})
    if scale is None:
        raise UsageError(
            f"bins of {bins!r} cut numbers or dates, and {_odd(known)!r} is neither. Text has a slice a value; leave "
            "the bins out."
        )
    if asked in PERIODS:
        return _numbered(values, {value: _period(scale, value, PERIODS[asked]) for value in known})
    asked = str(_SLICES) if asked == AUTO else asked
    return _between(values, known, scale, _edges(values, asked, bins, scale))


def _between(
    values: Sequence[str | None], known: Sequence[str], scale: _Scale, edges: list[tuple[float, str]]
) -> Slices:
    """Return the slices that `edges` divide; without names of edges, a slice is named by its least and most value."""
    places = [place for place, _ in edges]
    bin_of = {value: bisect_right(places, scale.place(value)) for value in known}
    named: dict[int, str] = {}
    for number in set(bin_of.values()):
        inside = sorted((value for value in known if bin_of[value] == number), key=scale.place)
        low = edges[number - 1][1] if number else ""
        high = edges[number][1] if number < len(edges) else ""
        if not low and not high:
            named[number] = inside[0] if inside[0] == inside[-1] else f"{inside[0]}–{inside[-1]}"
        elif not low or not high:
            named[number] = f"from {low}" if low else f"before {high}"
        else:
            named[number] = f"{low} to before {high}"
    return _numbered(values, {value: (number, named[number]) for value, number in bin_of.items()})


def _edges(values: Sequence[str | None], asked: str, bins: str, scale: _Scale) -> list[tuple[float, str]]:
    """Return the first place of each slice but the first, with what names it; equal counts have no names."""
    if re.fullmatch(r"\d+", asked):
        if not 2 <= int(asked) <= _MOST:
            raise UsageError(f"bins is the number of slices and must be from 2 to {_MOST}, got {asked}.")
        return [(edge, "") for edge in _equal_counts([scale.place(v) for v in values if v is not None], int(asked))]
    parts = [part.strip().strip("'\"") for part in asked.strip("[]").split(",") if part.strip()]
    try:
        found = sorted((scale.place(part), part) for part in parts)
    except ValueError:
        found = []
    if not found:
        raise UsageError(
            f"bins of {bins!r} say no slices. Give a number of them (5), edges (1900,1950), {', '.join(PERIODS)}, "
            f"{AS_THEY_ARE} or {AUTO}."
        )
    return found


def _equal_counts(places: Sequence[float], slices: int) -> list[float]:
    """Return the edges of at most so many slices with about equally many places: each the end of a run of equals."""
    ordered = np.sort(np.array(places))
    starts = np.flatnonzero(np.diff(ordered) > 0) + 1
    edges: list[float] = []
    for i in range(1, slices):
        after = starts[starts > np.searchsorted(ordered, edges[-1])] if edges else starts
        if len(after):
            edges.append(float(ordered[after[np.argmin(np.abs(after - i * len(ordered) / slices))]]))
    return edges


def _period(scale: _Scale, value: str, years: int) -> tuple[int, str]:
    first = scale.year(scale.place(value)) // years * years
    return first, {1: f"{first}", 10: f"{first}s"}.get(years, f"{first}–{first + years - 1}")


def _numbered(values: Sequence[str | None], slice_of: dict[str, tuple[int, str]]) -> Slices:
    ordered = sorted(set(slice_of.values()))
    if len(ordered) > _MOST:
        raise UsageError(
            f"There are {len(ordered):,} slices, such as {ordered[0][1]!r} and {ordered[1][1]!r}, and at most {_MOST} "
            "are compared. Choose another column, or cut numbers and dates with bins."
        )
    number = {name: i for i, name in enumerate(ordered)}
    of = [-1 if value is None else number[slice_of[value]] for value in values]
    return Slices(tuple(name for _, name in ordered), np.array(of, np.int64))


def _scale(known: Sequence[str]) -> _Scale | None:
    """Return the scale of the values; None if they are text."""
    for scale in (_NUMBERS, _DATES):
        if all(_is_on(scale, value) for value in known):
            return scale
    return None


def _odd(known: Sequence[str]) -> str:
    return next(value for value in known if not _is_on(_NUMBERS, value))


def _is_on(scale: _Scale, value: str) -> bool:
    try:
        return bool(np.isfinite(scale.place(value)))
    except ValueError:
        return False


def _day(value: str) -> float:
    if _YEAR.fullmatch(value):
        return float(date(int(value), 1, 1).toordinal())
    found = _DATE.fullmatch(value)
    if found is None:
        raise ValueError(value)
    return float(date(int(found[1]), int(found[2]), int(found[3] or 1)).toordinal())


_NUMBERS = _Scale(float, lambda place: int(np.floor(place)))
_DATES = _Scale(_day, lambda place: date.fromordinal(int(place)).year)
