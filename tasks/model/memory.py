"""A device's memory: a batch that does not fit runs again alone, then in halves. On CPU nothing ever has to."""

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
    """The device's memory, shared by the batches that run side by side. One that does not fit runs again alone."""

    def __init__(self, batches: int) -> None:
        self._batches = batches
        self._places = threading.Semaphore(batches)
        self._alone = threading.Lock()

    def run_or_halve(self, run: Callable[[Ints], Result], numbers: Ints, full: Callable[[Ints], None]) -> list[Result]:
        """Return what `run` makes of the windows `numbers`, or of their halves where they do not fit.

        `full` is told which windows were too many. Raises ModelError when a single window does not fit.
        """
        with self._places:
            found = _tried(run, numbers)
        if isinstance(found, _Full):
            full(numbers)
            # Its place is given back first, so that two that do not fit never wait for each other.
            with self._alone, self._all_places():
                return run_in_halves(run, numbers, full)
        return [found]

    @contextmanager
    def _all_places(self) -> Iterator[None]:
        for _ in range(self._batches):
            self._places.acquire()
        try:
            yield
        finally:
            self._places.release(self._batches)


def run_in_halves(run: Callable[[Ints], Result], numbers: Ints, full: Callable[[Ints], None]) -> list[Result]:
    """Return what `run` makes of the windows `numbers`, of their halves where they do not fit the device's memory.

    `full` is told which windows were too many. Raises ModelError when a single window does not fit.
    """
    found = _tried(run, numbers)
    if not isinstance(found, _Full):
        return [found]
    if len(numbers) == 1:
        raise ModelError(
            "The device's memory cannot hold one window beside the model. Use --max-tokens, --device cpu, or end "
            f"what else runs there. ({found.message})"
        )
    full(numbers)
    middle = len(numbers) // 2
    return run_in_halves(run, numbers[:middle], full) + run_in_halves(run, numbers[middle:], full)


@dataclass(frozen=True, slots=True)
class _Full:
    """What the device said. Not the error itself: its traceback holds the tensors of the batch that failed."""

    message: str


def _tried(run: Callable[[Ints], Result], numbers: Ints) -> Result | _Full:
    try:
        return run(numbers)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        said = _Full(str(error).split("\n")[0])
    # Behind the handler, where the batch's tensors are gone.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
    return said


def is_out_of_memory(error: RuntimeError) -> bool:
    """Is it the device's memory? Metal, cuBLAS and a full pinned memory say so in words alone."""
    words = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)
