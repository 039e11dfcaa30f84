"""The worker that parses: sets its own limits, calls the parser of a format, and answers with texts or a refusal.

The kernel keeps the limits, so that they hold whatever native code does: a signal ends the process when its time is
over, and memory beyond the limit is not given. Runs in a process of its own.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from polyseme.tasks.reading.byte_streams import FREE_BYTES, MOST_EXPANSION
from polyseme.tasks.reading.formats import PARSERS
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, RefusedError, TooLargeError
from polyseme.tasks.reading.regular_files import open_file

WAITING = 4
"""How many times its processor time a parser may take by the clock: one that waits for something never ends."""
_ERRORS_KEPT = 1 << 20
_ADVICE = "convert it, or split it"

Parser = Callable[[bytes, ParseRequest], Iterator[Parsed | RefusedError]]


def serve_parser(_folder: Path) -> Callable[[ParseRequest], Iterator[Parsed | RefusedError]]:
    """Return the function that answers requests."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What a library writes to a file, or to standard error, which is one.
    resource.setrlimit(resource.RLIMIT_FSIZE, (_ERRORS_KEPT, _ERRORS_KEPT))
    return _answers


def _answers(request: ParseRequest) -> Iterator[Parsed | RefusedError]:
    _limit(request)
    try:
        data = _data(request)
        yield from _bounded(_parser(request.suffix)(data, request), len(data))
    except RefusedError as refused:
        yield refused
    except TooLargeError:
        message = f"the text is larger than {request.most_bytes:,} bytes of UTF-8; split it or raise --max-document-mb"
        yield RefusedError("document-too-large", message)
    except MemoryError:
        yield out_of_memory(request.megabytes)
    except RecursionError:
        yield RefusedError("corrupt", "nested too deeply to be read; restore or rewrite the file")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _bounded(texts: Iterator[Parsed | RefusedError], size: int) -> Iterator[Parsed | RefusedError]:
    """Yield texts and refusals of parts. Refuses a file of which they are far more than its `size` lets expect."""
    total = 0
    empty = True
    for parsed in texts:
        total += len(parsed.text) if isinstance(parsed, Parsed) else 0
        empty = False
        if total > FREE_BYTES and total > MOST_EXPANSION * size:
            raise RefusedError("decompression-bomb", f"{size:,} bytes gave {total:,} characters; {_ADVICE}")
        yield parsed
    if empty:
        raise RefusedError("empty-text", "there is no text in it; it may hold pictures, or nothing")


def out_of_memory(megabytes: int) -> RefusedError:
    """Return the refusal of a file that takes more memory than it may."""
    return RefusedError("parser-memory", f"takes more than {megabytes:,} MiB to read; {_ADVICE}, or raise --parse-mb")


def out_of_time(seconds: int) -> RefusedError:
    """Return the refusal of a file that takes more time than it may."""
    return RefusedError("parser-timeout", f"takes more than {seconds:,} s to read; {_ADVICE}, or raise --parse-seconds")


def _limit(request: ParseRequest) -> None:
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, request.seconds)
    signal.setitimer(signal.ITIMER_REAL, request.seconds * WAITING)
    # Systems without /proc, or without this limit, go without.
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + request.megabytes * (1 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _data(request: ParseRequest) -> bytes:
    if request.data is not None:
        return request.data
    assert request.path is not None
    with open_file(Path(request.path)) as file:
        # Not read(most), which takes as much at once.
        if os.fstat(file.fileno()).st_size > request.megabytes * (1 << 20):
            raise out_of_memory(request.megabytes)
        data = file.read()
    if not data:
        raise RefusedError("empty-file", "nothing in it; write it again or remove it")
    return data


def _parser(suffix: str) -> Parser:
    module, function = PARSERS[suffix].split(":")
    found: Parser = getattr(import_module(f"polyseme.tasks.reading.parsing.{module}"), function)
    return found
