"""The device's memory: a batch that does not fit runs again alone, then in halves. On CPU every batch fits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from polyseme.storage.errors import ModelError
from polyseme.tasks.arrays import Ints

Result = TypeVar("Result")


class DeviceMemory:
    """The device's memory, shared by the `batches` that run in parallel. One that does not fit runs again alone."""

    def __init__(self, batches: int) -> None:
        self._batches = batches
        self._slots = threading.Semaphore(batches)
        self._alone = threading.Lock()

    def run_or_halve(
        self, run: Callable[[Ints], Result], numbers: Ints, on_halve: Callable[[Ints], None]
    ) -> list[Result]:
        """Return the result of `run` for the windows `numbers`, or the results for parts of them if they do not fit.

        `on_halve` is called with the windows that did not fit. Raises ModelError if a single window does not fit.
        """
        with self._slots:
            result = _attempt(run, numbers)
        if isinstance(result, _OutOfMemory):
            on_halve(numbers)
            # The slot was released first, so that two batches that do not fit never wait for each other.
            with self._alone, self._all_slots():
                return run_in_halves(run, numbers, on_halve)
        return [result]

    @contextmanager
    def _all_slots(self) -> Iterator[None]:
        for _ in range(self._batches):
            self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release(self._batches)


def run_in_halves(run: Callable[[Ints], Result], numbers: Ints, on_halve: Callable[[Ints], None]) -> list[Result]:
    """Return the result of `run` for the windows `numbers`, halved until the parts fit the device's memory, in order.

    `on_halve` is called with the windows that did not fit. Raises ModelError if a single window does not fit.
    """
    result = _attempt(run, numbers)
    if not isinstance(result, _OutOfMemory):
        return [result]
    if len(numbers) == 1:
        raise ModelError(
            "The device's memory cannot hold one window beside the model. Use --max-tokens, --device cpu, or end "
            f"other processes that use it. ({result.message})"
        )
    on_halve(numbers)
    middle = len(numbers) // 2
    return run_in_halves(run, numbers[:middle], on_halve) + run_in_halves(run, numbers[middle:], on_halve)


@dataclass(frozen=True, slots=True)
class _OutOfMemory:
    """The device's message. Not the error itself: its traceback holds the tensors of the batch that failed."""

    message: str


def _attempt(run: Callable[[Ints], Result], numbers: Ints) -> Result | _OutOfMemory:
    try:
        return run(numbers)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        failure = _OutOfMemory(str(error).split("\n")[0])
    # Only after the handler are the batch's tensors freed.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
    return failure


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether the device's memory is full. Metal, cuBLAS and pinned memory report it in the message only."""
    words = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)
