"""The sentence about files that a run skipped: how many for each reason, and of which extensions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from polyseme.storage.database.skipped_files import SkippedFiles
from polyseme.storage.wording import many
from polyseme.tasks.reading.skipped import NOT_TEXT

_MOST_EXTENSIONS = 6


def skipped_text(found: Sequence[SkippedFiles]) -> str:
    """Return a sentence without its full stop; extensions are named where they are the reason."""
    reasons, extensions = Counter[str](), Counter[str]()
    for one in found:
        reasons[one.reason] += one.files
        if one.reason == NOT_TEXT:
            extensions[one.extension or "without extension"] += one.files
    said = [
        f"{files:,} {reason}" + (f" ({_listed(extensions)})" if reason == NOT_TEXT else "")
        for reason, files in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    ]
    return f"{many(reasons.total(), 'files')} skipped: {', '.join(said)}"


def _listed(extensions: Counter[str]) -> str:
    first = sorted(extensions.items(), key=lambda item: (-item[1], item[0]))[:_MOST_EXTENSIONS]
    more = [f"{len(extensions) - len(first):,} more"] if len(extensions) > len(first) else []
    return ", ".join([f"{files:,} {extension}" for extension, files in first] + more)
