"""Files in their order, those that have to be parsed started before their turn: as many at once as there are cores.

What comes out, and in which order, does not depend on when a parser ends. Bounded in files and in bytes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.documents import MIB, ReadOptions
from polyseme.tasks.reading.formats import PARSERS, format_of, missing_package
from polyseme.tasks.reading.parsing.answers import Answers, request_for
from polyseme.tasks.reading.parsing.pool import Parsers
from polyseme.tasks.reading.readers import read_file
from polyseme.tasks.reading.recognition import WrongFormatError, head_of, recognised
from polyseme.tasks.reading.regular_files import open_file
from polyseme.tasks.reading.skipped import Skipped

logger = logging.getLogger(__name__)

_FILES_PER_WORKER = 4
_MOST_BYTES = 256 * MIB


class _Waiting(NamedTuple):
    path: Path
    uri: str
    answers: Answers | None
    size: int


def read_files(files: Iterable[tuple[Path, str]], options: ReadOptions) -> Iterator[Document | Reject]:
    """Yield the documents and rejects of files, each with its address, in their order."""
    waiting: deque[_Waiting] = deque()
    ahead = 0
    with Parsers() as parsers:
        for path, uri in files:
            answers, size = _started(path, options, parsers)
            waiting.append(_Waiting(path, uri, answers, size))
            ahead += size
            while waiting and (
                waiting[0].answers is None or len(waiting) > _FILES_PER_WORKER * parsers.size or ahead > _MOST_BYTES
            ):
                first = waiting.popleft()
                ahead -= first.size
                yield from _read(first, options, parsers)
        for rest in waiting:
            yield from _read(rest, options, parsers)


def _read(file: _Waiting, options: ReadOptions, parsers: Parsers) -> Iterator[Document | Reject]:
    skipped = 0
    for item in read_file(file.path, file.uri, options, parsers=parsers, answers=file.answers):
        if isinstance(item, Skipped):
            skipped += 1
        else:
            yield item
    if skipped:
        logger.info("%s: skipped %d members that are not read", file.uri, skipped)


def _started(path: Path, options: ReadOptions, parsers: Parsers) -> tuple[Answers | None, int]:
    """Start to parse a file; return what will be its answers, None if it is read otherwise, and its size in bytes."""
    named = format_of(path.name)
    if named is None or named[0] not in PARSERS or named[1]:
        return None, 0
    # Whatever is wrong with the file is found again, and reported, in its turn.
    with suppress(OSError, WrongFormatError), open_file(path) as raw:
        suffix, compression = recognised(path.name, head_of(raw))
        size = raw.seek(0, 2)
        if suffix in PARSERS and not compression and missing_package(suffix) is None and size <= _MOST_BYTES:
            return parsers.submit(request_for(suffix, options, path=path)), size
    return None, 0
