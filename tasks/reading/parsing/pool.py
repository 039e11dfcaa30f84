"""The processes that parse, from outside: starts them, asks them, and says what became of one that ended.

A file that hangs, crashes its parser or takes all memory costs its own reject and one process.
"""

from __future__ import annotations

import os
import resource
import signal
import tempfile
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, RefusedError
from polyseme.tasks.reading.parsing.worker import out_of_memory, out_of_time, serve_parser
from polyseme.tasks.worker_processes import Worker, WorkerEndedError

_MOST_WORKERS = 8
_FILES_EACH = 500
"""After as many a process is replaced: what its libraries lose of memory comes back."""
FETCHED_AHEAD = 64
"""Files that are fetched from elsewhere, `_FETCHERS` at a time, before the first of them is read."""
_FETCHERS = 16
_ENDS_OF_MEMORY = (b"memory allocation of", b"out of memory", b"Out of memory", b"bad_alloc", b"MemoryError")


class _Process:
    def __init__(self) -> None:
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed by `end`
        self.worker: Worker[ParseRequest, Parsed | RefusedError] = Worker(serve_parser, Path(), stderr=self.errors)
        # The kernel counts the most memory of a process from that of the one which started it.
        self.inherited_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.files = 0

    def end(self) -> None:
        self.worker.end()
        self.errors.close()


class Parsers:
    """Processes that parse files, started when they are first needed and ended on leaving; threads fetch for them."""

    def __init__(self, workers: int | None = None) -> None:
        self.size = workers or max(1, min(_MOST_WORKERS, _cores()))
        self._threads: ThreadPoolExecutor | None = None
        self._fetchers: ThreadPoolExecutor | None = None
        self._idle: list[_Process] = []
        self._all: list[_Process] = []
        self._closed = False
        self._finalizer = weakref.finalize(self, _kill, self._all)

    def __enter__(self) -> Parsers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, request: ParseRequest) -> Future[list[Parsed | RefusedError]]:
        """Parse a file as soon as a process is free, in the order of the calls."""
        return self.submit_later(lambda: request)

    def submit_later(self, made: Callable[[], ParseRequest]) -> Future[list[Parsed | RefusedError]]:
        """Do as `submit` does with the request that is made, which may wait for its content, when its turn comes."""
        self._threads = self._threads or ThreadPoolExecutor(self.size, "polyseme-parser")
        return self._threads.submit(lambda: self.parse(made()))

    def fetch(self, call: Callable[[], bytes]) -> Future[bytes]:
        """Call a function that waits for bytes from elsewhere in a thread: several wait at a time."""
        self._fetchers = self._fetchers or ThreadPoolExecutor(_FETCHERS, "polyseme-fetch")
        return self._fetchers.submit(call)

    def parse(self, request: ParseRequest) -> list[Parsed | RefusedError]:
        """Return the texts of a file; refusals are of parts of it, or the last answer.

        Of a file whose process ended no text is kept: which ones came before would be a matter of chance.
        """
        process = self._free()
        try:
            answers = list(process.worker.answers(request))
        except WorkerEndedError as ended:
            refused = _refusal(ended, request, _tail(process.errors), process.inherited_kib)
            self._remove(process)
            return [refused]
        except BaseException:
            self._remove(process)
            raise
        process.files += 1
        if process.files >= _FILES_EACH:
            self._remove(process)
        else:
            self._idle.append(process)
        return answers

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        self._closed = True
        _kill(self._all)
        if self._fetchers is not None:
            self._fetchers.shutdown(wait=False, cancel_futures=True)
        for threads in (self._threads, self._fetchers):
            if threads is not None:
                threads.shutdown(cancel_futures=True)
        for process in list(self._all):
            self._remove(process)

    def _free(self) -> _Process:
        with suppress(IndexError):  # none is idle
            while not (process := self._idle.pop()).worker.running:
                self._remove(process)
            return process
        process = _Process()
        self._all.append(process)
        if self._closed:
            process.worker.kill()
        return process

    def _remove(self, process: _Process) -> None:
        process.end()
        self._all.remove(process)


def _kill(processes: list[_Process]) -> None:
    for process in list(processes):
        process.worker.kill()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _refusal(ended: WorkerEndedError, request: ParseRequest, errors: bytes, inherited_kib: int) -> RefusedError:
    code = ended.exit_code
    if code in (-signal.SIGPROF, -signal.SIGALRM):
        return out_of_time(request.seconds)
    most = max(inherited_kib, request.megabytes * 1024 * 3 // 4)
    if any(sign in errors for sign in _ENDS_OF_MEMORY) or ended.peak_kib > most:
        return out_of_memory(request.megabytes)
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return RefusedError(
        "parser-crashed", f"the program that reads it ended with {how}; convert the file, and report it with its format"
    )


def _tail(errors: IO[bytes]) -> bytes:
    end = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, end - 4096))
    return errors.read()
