"""A pool keeps the order, uses all its threads, stays a few items ahead of the caller, and stops cleanly."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from polyseme.tasks.model.batch_pool import BatchPool
from tests.processes import DEADLINE_SECONDS, run


def test_results_are_in_the_order_of_the_items_whichever_is_done_first() -> None:
    done = [threading.Event() for _ in range(41)]
    done[40].set()

    def work(item: int) -> int:
        if item % 3 == 0:
            assert done[item + 1].wait(DEADLINE_SECONDS)
        done[item].set()
        return item * item

    assert list(BatchPool(3).map(work, range(40))) == [i * i for i in range(40)]


def test_all_threads_work_at_the_same_time_and_on_one_core_each() -> None:
    all_threads = threading.Barrier(3, timeout=DEADLINE_SECONDS)

    def work(_: int) -> int:
        all_threads.wait()
        return torch.get_num_threads()

    assert list(BatchPool(3).map(work, range(3))) == [1, 1, 1]


def test_items_are_taken_only_a_few_ahead_of_the_caller() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    results = BatchPool(2).map(lambda i: i, items())
    next(results)
    assert len(taken) < 10
    results.close()


def test_a_failure_reaches_the_caller_and_nothing_starts_after_it() -> None:
    pool, started = BatchPool(1), []

    def work(item: int) -> int:
        started.append(item)
        if item == 2:
            raise ValueError("item 2")
        return item

    with pytest.raises(ValueError, match="item 2"):
        list(pool.map(work, range(100)))
    count = len(started)
    # Its one thread would come to anything left over before it comes to this.
    assert list(pool.map(lambda i: i, [7])) == [7]
    assert len(started) == count < 10


def test_closing_waits_for_the_work_that_has_started() -> None:
    pool, running = BatchPool(2), threading.Semaphore(2)

    def work(_: int) -> None:
        with running:
            time.sleep(0.02)

    results = pool.map(work, range(50))
    next(results)
    results.close()
    assert running.acquire(blocking=False)
    assert running.acquire(blocking=False)


def test_a_pool_of_a_given_size_does_not_change_the_number_of_cores() -> None:
    read = "before = torch.get_num_threads(); list(BatchPool(2).map(abs, [1, 2])); assert cores() == before"
    run(sys.executable, "-c", f"import torch; from polyseme.tasks.model.batch_pool import BatchPool, cores; {read}")
