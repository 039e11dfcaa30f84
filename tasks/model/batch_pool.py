"""A crew: threads that run batches side by side, each on one core.

On CPU this replaces PyTorch's own threads, which share every matrix product between the cores: a batch is too small
for that, and whoever finishes first burns its core waiting (measured: docs/performance.md). Knows no model.
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
    """Return how many threads PyTorch was given, by the machine or by OMP_NUM_THREADS."""
    # Asked once and before any crew works: a crew's own setting becomes PyTorch's default for later threads.
    return torch.get_num_threads()


class BatchPool:
    """`size` threads (default: one a core). They end with the process, or when nobody holds the crew."""

    def __init__(self, size: int | None = None) -> None:
        self.size = size or cores()
        self._pool = ThreadPoolExecutor(self.size, "polyseme-batch", initializer=torch.set_num_threads, initargs=(1,))

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        """Yield `work(item)` in the order of `items`, a few ahead of the caller.

        When the work fails or the iterator is closed, nothing new begins and what had begun is waited for.
        """
        begun: deque[Future[Result]] = deque()
        try:
            for item in items:
                begun.append(self._pool.submit(work, item))
                if len(begun) > 2 * self.size:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
            wait(begun)
