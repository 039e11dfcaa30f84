"""Worker processes: a function that runs in processes of its own, one request at a time in each, over pipes.

For splitting and tokenizing, which is Python code that the threads of one process run one after another. Knows nothing
of texts: `setup(folder)` makes the function in a worker, requests and answers are whatever can be pickled.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Generic, TypeAlias, TypeVar

from polyseme.storage.errors import PolysemeError

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Item = TypeVar("Item")
Setup: TypeAlias = Callable[[Path], Callable[[Request], Iterable[Answer]]]
"""A function at the top level of a module, which a worker imports by name. No answer may be None."""

PROGRAM = """\
import sys
sys.path[:] = sys.argv[4:]
from polyseme.tasks.worker_processes import serve
serve(*sys.argv[1:4])
"""
# In each of several processes, a library's own threads would be as many as there are cores.
_SINGLE_THREADED = {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
_PROTOCOL = 5
"""The pickle protocol that reads an array straight into its own memory."""


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class WorkerEndedError(PolysemeError):
    """A worker ended before it had answered: its exit code, negative for a signal, and its most memory, in KiB."""

    def __init__(self, exit_code: int, peak_kib: int) -> None:
        super().__init__(
            f"A process that tokenizes text ended with exit code {exit_code} before it was done. Its error "
            "is printed above, unless the system killed it (code -9), as it does if memory runs out. Run again, with "
            "OMP_NUM_THREADS=1 to use one process."
        )
        self.exit_code = exit_code
        self.peak_kib = peak_kib


class Worker(Generic[Request, Answer]):
    """One process. It ends when it is told to, or when this process ends or is killed, which closes its pipes."""

    def __init__(self, setup: Setup[Request, Answer], folder: Path, *, stderr: IO[bytes] | None = None) -> None:
        # A fork could inherit a lock that a thread holds, and multiprocessing imports the main module of the caller
        # again, which a script need not be ready for. Ctrl-C does not reach a session of its own.
        command = [sys.executable, "-c", PROGRAM, setup.__module__, setup.__qualname__, str(folder), *sys.path]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
            env=os.environ | _SINGLE_THREADED,
        )  # fmt: skip

    def __enter__(self) -> Worker[Request, Answer]:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def answers(self, request: Request) -> Iterator[Answer]:
        """Yield the answers to `request` as they come; take all of them before the next request.

        Raises what the function raises, WorkerEndedError if the process ends first.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(pickle.dumps(request, _PROTOCOL))
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._ended() from error
        while (answer := self._received()) is not None:
            yield answer

    def kill(self) -> None:
        """Kill the process, without waiting for its end."""
        self._process.kill()

    def end(self) -> None:
        """Kill the process, close its pipes and wait for its end."""
        self.kill()
        # Part of a request may be left in the buffer of the pipe.
        with suppress(BrokenPipeError), self._process:
            pass

    def _received(self) -> Answer | None:
        assert self._process.stdout is not None
        try:
            answer: Answer | _Failed | None = pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError) as error:
            raise self._ended() from error
        if isinstance(answer, _Failed):
            raise answer.error
        return answer

    def _ended(self) -> WorkerEndedError:
        with suppress(ChildProcessError):  # somebody waited for it before
            _, status, usage = os.wait4(self._process.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
            return WorkerEndedError(self._process.returncode, usage.ru_maxrss)
        return WorkerEndedError(self._process.wait(), 0)


class WorkerPool(Generic[Request, Answer]):
    """As many as `size` workers, shared by all threads that call `map`. A free one takes the oldest request.

    Workers start when they are first needed, and end with `close`, with this process, or when the pool is garbage
    collected. One that ended by itself is replaced.
    """

    def __init__(self, setup: Setup[Request, Answer], folder: Path, size: int) -> None:
        self.size = size
        self._setup, self._folder = setup, folder
        self._threads = ThreadPoolExecutor(size, "polyseme-worker")
        self._idle: list[Worker[Request, Answer]] = []
        self._workers: list[Worker[Request, Answer]] = []
        self._end = weakref.finalize(self, _end, self._workers)

    def __enter__(self) -> WorkerPool[Request, Answer]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map(
        self, items: Iterable[Item], request: Callable[[Item], Request], *, size: Callable[[Item], int], most: int
    ) -> Iterator[tuple[Item, list[Answer]]]:
        """Yield every item with the answers to its `request`, in order.

        Items of a total `size` of `most` are read, or one larger item, before the answers to the first are taken.
        Raises what the function raises, PolysemeError if a worker ends before it has answered.
        """
        sent: deque[tuple[Item, Future[list[Answer]]]] = deque()
        ahead = 0
        try:
            for item in items:
                while sent and ahead + size(item) > most:
                    ahead -= size(sent[0][0])
                    yield sent[0][0], sent.popleft()[1].result()
                sent.append((item, self._threads.submit(self._answers, request(item))))
                ahead += size(item)
            while sent:
                yield sent[0][0], sent.popleft()[1].result()
        finally:
            for _, future in sent:
                future.cancel()

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        for worker in list(self._workers):
            worker.kill()
        self._threads.shutdown(cancel_futures=True)
        self._end()

    def _answers(self, request: Request) -> list[Answer]:
        """Return all answers of a free worker. At most `size` threads are in here."""
        worker = self._free()
        try:
            answers = list(worker.answers(request))
        except BaseException:
            # What is left in its pipes belongs to this request.
            self._remove(worker)
            raise
        self._idle.append(worker)
        return answers

    def _free(self) -> Worker[Request, Answer]:
        """Return an idle worker, or a new one if there is none."""
        with suppress(IndexError):  # no idle worker
            while not (worker := self._idle.pop()).running:
                self._remove(worker)
            return worker
        worker = Worker(self._setup, self._folder)
        self._workers.append(worker)
        return worker

    def _remove(self, worker: Worker[Request, Answer]) -> None:
        worker.end()
        self._workers.remove(worker)


def serve(module: str, setup: str, folder: str) -> None:
    """Answer requests from standard input until it closes: the main function of a worker."""
    # What a library prints must not get into the answers, native code included.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr
    function = getattr(import_module(module), setup)(Path(folder))
    try:
        while True:
            _answer(function, pickle.load(sys.stdin.buffer), answers)
    except (EOFError, BrokenPipeError, pickle.UnpicklingError):
        # The process that sent the requests has ended. A usual exit would flush, and complain of a broken pipe.
        os._exit(0)


def _answer(function: Callable[[Any], Iterable[object]], request: object, answers: IO[bytes]) -> None:
    """Write the answers to one request, then None, or an error."""
    found = iter(function(request))
    answer: object = ()
    while answer is not None and not isinstance(answer, _Failed):
        try:
            answer = next(found, None)
        except Exception as error:
            answer = _failed(error)
        pickle.dump(answer, answers, _PROTOCOL)
        answers.flush()


def _failed(error: Exception) -> _Failed:
    error.add_note("".join(["In a worker process: ", *traceback.format_exception(error)]))
    try:
        pickle.loads(pickle.dumps(error, _PROTOCOL))
    except Exception:
        # Not every exception can be pickled, or made again from its message alone.
        return _Failed(RuntimeError("".join(traceback.format_exception(error))))
    return _Failed(error)


def _end(workers: list[Worker[Any, Any]]) -> None:
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.end()
