"""The sentence about records that were refused: how many for each reason, and where the first of them are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from polyseme.storage.wording import many
from polyseme.tasks.shards.refused_tally import RefusedRecords, most_first

MOST_CODES = 6


def refused_text(found: Sequence[RefusedRecords]) -> str:
    """Return a sentence without its full stop."""
    records = sum(one.records for one in found)
    return f"{many(records, 'records')} refused: {codes_text({one.code: one.records for one in found})}"


def codes_text(by_code: Mapping[str, int]) -> str:
    """Return the counts of a few codes, the most first."""
    codes = list(most_first(by_code).items())
    named = [f"{number:,} {code}" for code, number in codes[:MOST_CODES]]
    more = [f"{len(codes) - MOST_CODES:,} other codes"] if len(codes) > MOST_CODES else []
    return ", ".join(named + more)


def refused_places(found: Sequence[RefusedRecords]) -> Iterator[str]:
    """Yield a line for each of a few codes, with the addresses of the first records in it."""
    for one in found[:MOST_CODES]:
        left = one.records - len(one.examples)
        yield f"  {one.code}: {', '.join(one.examples)}{f' and {left:,} more' if left else ''}"
