"""A batch that does not fit is halved and nothing is lost; the error for a device that cannot run says which can."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from polyseme.storage.errors import ModelError
from polyseme.tasks.arrays import Ints
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model import devices, linear
from polyseme.tasks.model.devices import resolve_device, token_budget
from polyseme.tasks.model.memory import DeviceMemory, run_in_halves
from polyseme.tasks.model.packed import PackedBatch
from polyseme.tasks.text.windows import batches, sentence_windows
from tests.frames import CASED
from tests.processes import DEADLINE_SECONDS


def fits(most: int) -> Callable[[Ints], list[int]]:
    """Return the work of a device whose memory holds at most `most` windows."""

    def run(numbers: Ints) -> list[int]:
        if len(numbers) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        found: list[int] = numbers.tolist()
        return found

    return run


@pytest.mark.parametrize("most", [1, 2, 3, 10, 11])
def test_halves_are_in_order_and_leave_out_nothing(most: int) -> None:
    numbers = np.arange(11)[::-1].copy()
    done = run_in_halves(fits(most), numbers, lambda _: None)
    assert [n for part in done for n in part] == numbers.tolist()
    assert all(len(part) <= most for part in done)


def test_one_window_that_does_not_fit_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ModelError, match="--max-tokens"):
        run_in_halves(fits(0), np.arange(3), lambda _: None)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 7.64 GiB, max allowed: 9.07 GiB)."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_full_memory_is_recognised_on_every_device(error: RuntimeError) -> None:
    def run(numbers: Ints) -> int:
        if len(numbers) > 2:
            raise error
        return len(numbers)

    assert run_in_halves(run, np.arange(5), lambda _: None) == [2, 1, 2]


def test_a_batch_that_does_not_fit_beside_another_fits_when_that_one_is_done() -> None:
    """One window may need all memory; halving it further while the other batch holds the memory would fail."""
    memory, holding, refused = DeviceMemory(2), threading.Event(), threading.Event()
    space = threading.Semaphore(1)

    def run(numbers: Ints) -> int:
        if not space.acquire(blocking=False):
            refused.set()
            raise torch.OutOfMemoryError("CUDA out of memory")
        try:
            if numbers[0] == 0:
                holding.set()
                assert refused.wait(DEADLINE_SECONDS)
            return int(numbers[0])
        finally:
            space.release()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(memory.run_or_halve, run, np.array([0]), lambda _: None)
        assert holding.wait(DEADLINE_SECONDS)
        second = threads.submit(memory.run_or_halve, run, np.array([1]), lambda _: None)
        assert (first.result(DEADLINE_SECONDS), second.result(DEADLINE_SECONDS)) == ([0], [1])


def test_batches_that_do_not_fit_do_not_wait_for_each_other() -> None:
    memory, run = DeviceMemory(2), fits(3)
    with ThreadPoolExecutor(2) as threads:
        parts = threads.map(
            lambda first: memory.run_or_halve(run, np.arange(first, first + 9), lambda _: None), range(0, 90, 9)
        )
        assert [n for part in parts for half in part for n in half] == list(range(90))


def test_other_errors_are_not_taken_for_full_memory() -> None:
    def run(numbers: Ints) -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        run_in_halves(run, np.arange(3), lambda _: None)


def test_an_encoder_with_too_little_memory_gives_the_same_vectors_in_smaller_batches(
    foreign: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Engine(EngineConfig(model=foreign.config.model, device="cpu", budget=1000)).encoder
    ids = np.random.default_rng(0).integers(5, 140, 2400).astype(np.int32)
    windows = sentence_windows(np.arange(0, 2401, 20), range(120), 37, CASED)
    expected = foreign.encoder.encode(ids, windows, sentences=120)
    forward, ran = small.network.vector_states, list[int]()

    def in_little_memory(batch: PackedBatch) -> torch.Tensor:
        if len(batch.ids) > 200:
            raise torch.OutOfMemoryError("CUDA out of memory")
        ran.append(len(batch.ids))
        return forward(batch)

    monkeypatch.setattr(small.network, "vector_states", in_little_memory)
    found = small.encode(ids, windows, sentences=120)
    assert (found.tokens == expected.tokens).all()
    assert sum(ran) == windows.lengths.sum()
    assert small.budget <= 400
    # The next call starts with about the batch size that fitted.
    ran.clear()
    assert (small.encode(ids, windows, sentences=120).tokens == expected.tokens).all()


def test_the_budget_is_read_before_each_batch() -> None:
    budgets = iter([40, 20, 20, 10, 10, 10])
    sizes = [len(numbers) for numbers in batches(np.full(9, 10), lambda: next(budgets))]
    assert sizes == [4, 2, 2, 1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is available")
def test_a_device_that_is_not_available_is_an_error() -> None:
    with pytest.raises(ModelError, match="--device cpu"):
        resolve_device("cuda", "auto")
    if not torch.backends.mps.is_available():
        with pytest.raises(ModelError, match="Metal"):
            resolve_device("mps", "auto")
        assert resolve_device("auto", "auto") == (torch.device("cpu"), "fp32")


def test_auto_takes_metal_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto", "auto") == (torch.device("mps"), "fp32")


@pytest.mark.parametrize(("ampere", "precision"), [(True, "bf16"), (False, "fp32")])
def test_auto_takes_bf16_on_gpus_that_multiply_it(
    ampere: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: ampere or including_emulation)
    assert resolve_device("auto", "auto") == (torch.device("cuda"), precision)


@pytest.mark.parametrize(("kind", "instead"), [("cuda", "bf16"), ("mps", "fp32")])
def test_the_error_for_int8_on_an_accelerator_names_what_runs_there(
    kind: devices.Device, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ModelError, match=f"--precision {instead}"):
        resolve_device(kind, "int8")


def test_int8_on_another_kind_of_cpu_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear.platform, "machine", lambda: "aarch64")
    with pytest.raises(ModelError, match="x86"):
        resolve_device("cpu", "int8")


@pytest.mark.parametrize(("free_gb", "expected"), [(80, 65_536), (1, 10_893), (0.001, 512)])
def test_the_first_budget_follows_the_free_memory(
    free_gb: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(free_gb * 1e9), int(80e9)))
    found = token_budget(torch.device("cuda"), hidden=768, intermediate=3072)
    assert found == pytest.approx(expected, rel=0.2)
    assert token_budget(torch.device("cpu"), hidden=768, intermediate=3072) == 1024


def test_a_process_asks_what_its_processor_is_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = devices.device_kind(torch.device("cpu"))
    monkeypatch.setattr(Path, "read_text", lambda *_: pytest.fail("asked for a document"))
    assert devices.device_kind(torch.device("cpu")) == first
