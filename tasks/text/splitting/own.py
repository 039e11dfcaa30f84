"""A user's own splitter: a function that a package installs as an entry point of the group `polyseme.splitters`.

    [project.entry-points."polyseme.splitters"]
    clauses = "my_package:clauses"    # a text to half-open spans of characters: [(0, 14), (15, 30)]

Its name in an encoding is that of the entry point and the version of the package: `clauses-1.2.0`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from operator import index

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Sentence

GROUP = "polyseme.splitters"


def installed() -> dict[str, EntryPoint]:
    """Return the splitters that packages here have, by their name in an encoding, without importing them."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return {f"{entry.name}-{entry.dist.version if entry.dist else 0}": entry for entry in found}


def loaded(name: str, entry: EntryPoint) -> Callable[[str], Iterator[Sentence]]:
    """Return a splitter, `checked`. Raises UsageError if its package has no such function."""
    try:
        function = entry.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"The splitter {name} should be {entry.value}, which cannot be imported: {error}. Install it again."
        ) from error
    if not callable(function):
        raise UsageError(f"The splitter {name} is {entry.value}, which is no function. Name one in its entry point.")
    return checked(name, function)


def checked(name: str, function: Callable[[str], Iterable[tuple[int, int]]]) -> Callable[[str], Iterator[Sentence]]:
    """Return the splitter `name` as a function that raises UsageError for spans that lose or repeat text."""

    def sentences(text: str) -> Iterator[Sentence]:
        end = 0
        for start, stop in _spans(name, function, text):
            if not end <= start < stop <= len(text):
                raise UsageError(
                    f"The splitter {name} returned the span {start} to {stop} after one that ends at {end}, of a text "
                    f"of {len(text)} characters. Spans are half-open, in order, disjoint and not empty."
                )
            _require_blank(name, text, end, start)
            end = stop
            raw = text[start:stop]
            if raw.strip():
                begin = start + len(raw) - len(raw.lstrip())
                yield Sentence(begin, begin + len(raw.strip()))
        _require_blank(name, text, end, len(text))

    return sentences


def _spans(name: str, function: Callable[[str], Iterable[tuple[int, int]]], text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans that a splitter returns as pairs of integers. Raises UsageError for an error in it.

    The error's own message is left out: it may quote the text.
    """
    try:
        for start, stop in function(text):
            yield index(start), index(stop)
    except Exception as error:
        raise UsageError(
            f"The splitter {name} failed with {type(error).__name__}. It must return pairs of integers, the spans of "
            "characters of a text's sentences, whatever the text."
        ) from error


def _require_blank(name: str, text: str, start: int, stop: int) -> None:
    if text[start:stop].strip():
        raise UsageError(
            f"The splitter {name} left characters {start} to {stop} out of every sentence: not all are whitespace."
        )
