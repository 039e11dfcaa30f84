"""Files in their order, those that have to be parsed started before their turn: as many at once as there are cores.

What comes out, and in which order, does not depend on when a parser ends. Bounded in files and in bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

from polyseme.tasks.reading.documents import MIB
from polyseme.tasks.reading.parsing.pool import Parsers

Item = TypeVar("Item")


class Startable(ABC):
    """A file, which may be fetched or parsed before it is read."""

    __slots__ = ()

    @property
    def most_waiting(self) -> int | None:
        """How many files may be started before the first of them is read; None for a few a parser."""
        return None

    @abstractmethod
    def start(self, parsers: Parsers, *, most_bytes: int) -> int:
        """Start what takes long if the file is not larger; return its size in bytes if so, else 0."""


_FILES_PER_WORKER = 4
_MOST_BYTES = 256 * MIB


def parsed_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items in their order. Each file among them is to be read, if at all, before the next item is taken."""
    waiting: deque[tuple[Item, int]] = deque()
    ahead = 0
    with Parsers() as parsers:
        for item in items:
            size = item.start(parsers, most_bytes=_MOST_BYTES) if isinstance(item, Startable) else 0
            waiting.append((item, size))
            ahead += size
            while waiting and (
                not waiting[0][1] or len(waiting) > _most_waiting(waiting[0][0], parsers) or ahead > _MOST_BYTES
            ):
                first, size = waiting.popleft()
                ahead -= size
                yield first
        for rest, _ in waiting:
            yield rest


def _most_waiting(item: object, parsers: Parsers) -> int:
    most = item.most_waiting if isinstance(item, Startable) else None
    return _FILES_PER_WORKER * parsers.size if most is None else most
