"""A user's own splitter: a function that a package installs as an entry point of the group `polyseme.splitters`.

    [project.entry-points."polyseme.splitters"]
    clauses = "my_package:clauses"    # a text to half-open spans of characters: [(0, 14), (15, 30)]

Its name in an encoding is that of the entry point and the version of the package: `clauses-1.2.0`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Sentence

GROUP = "polyseme.splitters"


def installed() -> dict[str, EntryPoint]:
    """Return the splitters that packages here have, by their name in an encoding, without importing them."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return {f"{entry.name}-{entry.dist.version if entry.dist else 0}": entry for entry in found}


def checked(name: str, function: Callable[[str], Iterable[tuple[int, int]]]) -> Callable[[str], Iterator[Sentence]]:
    """Return the splitter `name` as a function that raises UsageError for spans that lose or repeat text."""

    def sentences(text: str) -> Iterator[Sentence]:
        end = 0
        for start, stop in function(text):
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


def _require_blank(name: str, text: str, start: int, stop: int) -> None:
    if text[start:stop].strip():
        raise UsageError(
            f"The splitter {name} left characters {start} to {stop} out of every sentence: not all are whitespace."
        )
