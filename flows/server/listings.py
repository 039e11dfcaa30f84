"""Listings: what arrived, changed or went in sources that report no changes, such as object stores.

Two listings are compared, a pause apart: nothing is opened, and an object is there whole or not at all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Reject
from polyseme.storage.source_files import FileState
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.local_source import LocalSource
from polyseme.tasks.reading.source import Source
from polyseme.tasks.reading.source_file import SourceFile
from polyseme.tasks.reading.tables.layout import TABLE_IN_FOLDER

_MOST_SHARE = 0.5
"""How much of the time a listing may take."""
States = dict[str, FileState | None]
"""What is listed, by address. None for what does not tell when it changes."""


def is_listed(source: Source) -> bool:
    """Return whether changes of a source show in a listing alone."""
    return not isinstance(source, LocalSource) and source.kind != "query"


def listed_changes(
    resolved: Callable[[], Sequence[Source]],
    *,
    seconds: float,
    stop: threading.Event,
    on_failure: Callable[[str], None],
) -> Iterator[States]:
    """Yield an empty dict once there is a first listing, then what differs from the one before; gone is None.

    `resolved` returns the sources, each time anew. One that cannot be listed is as it was before, and `on_failure` is
    told, once for a row of failures.
    """
    before: States | None = None
    failing = False
    while not stop.is_set():
        began = time.monotonic()
        now, failure = _states(resolved)
        if failure is None:
            if before is None:
                yield {}
            elif different := _different(before, now):
                yield different
            before, failing = now, False
        elif not failing:
            on_failure(failure)
            failing = True
        stop.wait(max(seconds, (time.monotonic() - began) * (1 / _MOST_SHARE - 1)))


def _states(resolved: Callable[[], Sequence[Source]]) -> tuple[States, str | None]:
    """Return what is listed, and why that is not all: of an absent source nobody says that its files are gone."""
    found: States = {}
    try:
        for source in resolved():
            if source.absent and source.kind != "web":  # of which a server says that it is gone
                return found, f"{source.away} is not there"
            for item in source.listed(ReadOptions(), reading=""):
                if isinstance(item, Reject) and item.code != TABLE_IN_FOLDER:
                    return found, f"{item.uri} {item.message}"
                if isinstance(item, SourceFile):
                    found[item.uri] = item.state()
    except (UsageError, OSError) as error:
        return found, str(error)
    return found, None


def _different(before: States, now: States) -> States:
    changed = {uri: state for uri, state in now.items() if uri not in before or before[uri] != state}
    return changed | {uri: None for uri in before if uri not in now}
