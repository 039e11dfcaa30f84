"""Training text prepared in several processes: the same text, to the bit, as in one.

Documents are passed on in chunks of about equal length, one at a time to each process, and come back in order. Knows
nothing of sources or of what is in a text.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, cycle, islice
from pathlib import Path
from typing import TypeAlias

from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import Document
from polyseme.tasks.text.wordpiece import WordPiece
from polyseme.tasks.training.corpus import TrainingText, join, prepare

_CHUNK_CHARS = 500_000
"""Characters of a chunk, which take 0.6 s of a core."""
_LEAST_CHUNKS = 4
"""Text of fewer chunks is prepared in this process: another one takes half a second of a core to start."""
_PROGRAM = """\
import sys
sys.path[:] = sys.argv[2:]
from polyseme.tasks.training.corpus_processes import work
work(sys.argv[1])
"""

Worker: TypeAlias = "subprocess.Popen[bytes]"


def prepare_in_processes(documents: Iterable[Document], tokenizer: Path, processes: int) -> TrainingText:
    """Return what `prepare` returns, from the tokenizer in a folder, computed in as many as `processes` processes.

    Whatever ends this function or this process ends them too. Raises ModelError if the tokenizer cannot be loaded,
    PolysemeError if a process ends before its work.
    """
    wordpiece = WordPiece.load(tokenizer)
    chunks = _chunks(documents)
    first = list(islice(chunks, max(_LEAST_CHUNKS, processes)))
    chunks = chain(first, chunks)
    if processes == 1 or len(first) < _LEAST_CHUNKS:
        return join(prepare(chunk, wordpiece) for chunk in chunks)
    with _workers(tokenizer, min(processes, len(first))) as workers:
        return join(_prepared(chunks, workers))


def work(tokenizer: str) -> None:
    """Prepare chunks from standard input until it closes: the main function of a worker."""
    # The tokenizer's own threads would be as many as all cores in each of the processes.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # What a library prints must not get into the results.
    results, sys.stdout = sys.stdout.buffer, sys.stderr
    wordpiece = WordPiece.load(Path(tokenizer))
    try:
        while True:
            text = prepare(pickle.load(sys.stdin.buffer), wordpiece)
            pickle.dump(text, results)
            results.flush()
    except (EOFError, BrokenPipeError, pickle.UnpicklingError):
        # The process that gave the work has ended. Leaving the usual way would flush, and complain of a broken pipe.
        os._exit(0)


def _chunks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Yield consecutive documents in lists of `_CHUNK_CHARS` characters or slightly more."""
    chunk: list[Document] = []
    size = 0
    for document in documents:
        chunk.append(document)
        size += len(document.text)
        if size >= _CHUNK_CHARS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


@contextmanager
def _workers(tokenizer: Path, count: int) -> Iterator[list[Worker]]:
    # A fork could inherit a lock that a thread holds, and multiprocessing imports the main module of the caller again,
    # which a script need not be ready for. Ctrl-C reaches this session alone, and the closed pipes end the workers.
    command = [sys.executable, "-c", _PROGRAM, str(tokenizer), *sys.path]
    workers: list[Worker] = []
    try:
        for _ in range(count):
            workers.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            )
        yield workers
    finally:
        for worker in workers:
            worker.kill()
        for worker in workers:
            # Closes the pipes and waits. A chunk may be left in the buffer of one.
            with suppress(BrokenPipeError), worker:
                pass


def _prepared(chunks: Iterable[list[Document]], workers: Sequence[Worker]) -> Iterator[TrainingText]:
    """Yield the text of each chunk, in order. A worker has one chunk at a time, so that neither side fills a pipe."""
    busy: deque[Worker] = deque()
    for worker, chunk in zip(cycle(workers), chunks, strict=False):
        if len(busy) == len(workers):
            yield _received(busy.popleft())
        _send(worker, chunk)
        busy.append(worker)
    while busy:
        yield _received(busy.popleft())


def _send(worker: Worker, chunk: list[Document]) -> None:
    assert worker.stdin is not None
    try:
        pickle.dump(chunk, worker.stdin)
        worker.stdin.flush()
    except BrokenPipeError as error:
        raise _ended(worker) from error


def _received(worker: Worker) -> TrainingText:
    assert worker.stdout is not None
    try:
        text: TrainingText = pickle.load(worker.stdout)
    except (EOFError, pickle.UnpicklingError) as error:
        raise _ended(worker) from error
    return text


def _ended(worker: Worker) -> PolysemeError:
    return PolysemeError(
        f"A process that tokenizes the training text ended with exit code {worker.wait()} before it was done. Its "
        "error is printed above, unless the system killed it (code -9), as it does if memory runs out. Run again, with "
        "OMP_NUM_THREADS=1 to use one process."
    )
