"""A pool of threads that run batches in parallel, each on one core.

On CPU this replaces PyTorch's own threads, which split every matrix product between the cores: a batch is too small
for that, and a thread that is done spins until the others are (measured: docs/performance.md). Knows no model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


@cache
def cores() -> int:
    """Return PyTorch's number of threads: the machine's cores, or OMP_NUM_THREADS."""
    # Read once, before any pool works: a pool's own setting becomes PyTorch's default for later threads.
    return torch.get_num_threads()


class BatchPool:
    """`size` threads (default: one per core). They end with the process, or when the pool is garbage collected."""

    def __init__(self, size: int | None = None) -> None:
        available = cores()  # before the threads below change what it reads
        self.size = size or available
        self._pool = ThreadPoolExecutor(self.size, "polyseme-batch", initializer=torch.set_num_threads, initargs=(1,))

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        """Yield `work(item)` in the order of `items`, computed a few items ahead of the caller.

        If `work` fails or the iterator is closed, no new item starts, and the running ones are waited for.
        """
        started: deque[Future[Result]] = deque()
        try:
            for item in items:
                started.append(self._pool.submit(work, item))
                if len(started) > 2 * self.size:
                    yield started.popleft().result()
            while started:
                yield started.popleft().result()
        finally:
            for future in started:
                future.cancel()
            wait(started)
