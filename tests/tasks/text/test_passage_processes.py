"""Passages made in processes are those of one process, for every caller, and no process outlives its engine."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import Document, Outputs
from polyseme.tasks import worker_processes
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model.checkpoint import embedded_folder
from polyseme.tasks.text import passage_processes
from polyseme.tasks.text.passage_processes import PassageProcesses, processes_beside_a_gpu
from polyseme.tasks.text.passages import Passage, passages
from polyseme.tasks.text.sentences import Splitting, split_by
from polyseme.tasks.text.tokenizer import TextTokenizer
from tests import processes

ARRAYS = ("spans", "lengths", "ids", "char_start", "char_end", "word")
SENTENCE = (
    "It rains. The unaffordable bank is 東京! 東京は大きい。雨が降る。 Did it? 😀👩‍👩‍👧 Yes.\n\nZürich never floods. "
)
TEXTS = ["", SENTENCE * 20, " \n ", "\ufffd", "One.", SENTENCE * 3000, "", "Two.\n\nThree.", SENTENCE * 30, "\ufffd"]
"""The sixth is large, and longer than what is tokenized in one call."""
BARE = """
import sys
from pathlib import Path
from polyseme.tasks import worker_processes
from polyseme.tasks.text.passage_processes import tokenizing
from polyseme.tasks.text.sentences import Splitting
(group,) = tokenizing(Path(sys.argv[1]))((Splitting(), "", [("It rains.", "file:///a.txt")]))
assert len(group.tokens.ids) == 3
assert not {"torch", "transformers", "pyarrow", "prefect"} & sys.modules.keys()
"""
ENDLESS = """
import sys
from itertools import cycle
from pathlib import Path
from polyseme.storage.records import Document
from polyseme.tasks.text import passage_processes
from polyseme.tasks.text.sentences import Splitting
from polyseme.tasks.text.tokenizer import TextTokenizer
passage_processes._REQUEST_CHARS = 1000
folder = Path(sys.argv[1])
pool = passage_processes.PassageProcesses(TextTokenizer.load(folder), folder, 2, Splitting())
for number, passage in enumerate(pool.passages(cycle([Document("d", "file:///d", "It rains. " * 150)]))):
    if number == 20:
        print("under way", flush=True)
"""
"""Without a guard for `__main__`, as a script may be."""


def documents(texts: list[str] = TEXTS) -> list[Document]:
    return [Document(str(number), f"file:///{number}", text) for number, text in enumerate(texts)]


def small() -> Iterator[Document]:
    return islice(cycle(documents(TEXTS[:5])), 50)


@pytest.fixture(autouse=True)
def _small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage_processes, "_REQUEST_CHARS", 1500)
    monkeypatch.setattr(passage_processes, "_LARGE_CHARS", 100_000)


@pytest.fixture(scope="module")
def wordpiece() -> TextTokenizer:
    return TextTokenizer.load(embedded_folder())


@pytest.fixture(scope="module")
def shared(wordpiece: TextTokenizer) -> PassageProcesses:
    return PassageProcesses(wordpiece, embedded_folder(), 2, Splitting())


def assert_same(found: list[Passage], expected: list[Passage]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.document is other.document
        assert (one.first, one.last) == (other.first, other.last)
        for name in ARRAYS:
            assert getattr(one, name).dtype == getattr(other, name).dtype
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_the_passages_are_those_of_one_process(shared: PassageProcesses, wordpiece: TextTokenizer) -> None:
    mixed = documents()
    expected = list(passages(mixed, wordpiece, split_by(Splitting())))
    assert len(expected) > len(mixed)
    assert_same(list(shared.passages(iter(mixed))), expected)


def test_threads_share_the_processes(shared: PassageProcesses, wordpiece: TextTokenizer) -> None:
    given = [list(small()) for _ in range(5)]
    with ThreadPoolExecutor(5) as threads:
        found = threads.map(lambda some: list(shared.passages(some)), given)
    for some, own in zip(given, found, strict=True):
        assert_same(own, list(passages(some, wordpiece, split_by(Splitting()))))


def test_callers_that_wait_do_not_hold_up_others(shared: PassageProcesses) -> None:
    waiting = [shared.passages(documents([SENTENCE * 3000, "One."])) for _ in range(3)]
    assert [len(next(iterator)) > 0 for iterator in waiting] == [True] * 3
    assert len(list(shared.passages(small()))) == 50


@pytest.mark.parametrize("text", [SENTENCE, "", "a"])
def test_a_bounded_part_of_the_documents_is_read_ahead(shared: PassageProcesses, text: str) -> None:
    read: list[Document] = []

    def reading() -> Iterator[Document]:
        for document in cycle(documents([text])):
            read.append(document)
            yield document

    iterator = shared.passages(reading())
    next(iterator)
    assert sum(len(document.text) for document in read) < 7 * 1500
    assert len(read) < 7 * 15 + 7


@pytest.mark.parametrize("texts", [[], ["", SENTENCE, ""]])
def test_a_small_text_starts_no_process(
    wordpiece: TextTokenizer, monkeypatch: pytest.MonkeyPatch, texts: list[str]
) -> None:
    monkeypatch.setattr(worker_processes, "PROGRAM", "raise SystemExit(3)")
    given = documents(texts)
    found = list(PassageProcesses(wordpiece, embedded_folder(), 2, Splitting()).passages(given))
    assert_same(found, list(passages(given, wordpiece, split_by(Splitting()))))


def test_an_error_of_tokenizing_reaches_the_caller(shared: PassageProcesses) -> None:
    wrong = Document("wrong", "file:///wrong", ["not", "text"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected string") as raised:
        list(shared.passages([*small(), wrong]))
    assert "In a worker process" in raised.value.__notes__[0]
    assert len(list(shared.passages(small()))) == 50


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
def test_a_killed_process_is_an_error_and_the_next_call_works(
    wordpiece: TextTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = uuid4().hex
    monkeypatch.setenv("PASSAGES", mark)
    pool = PassageProcesses(wordpiece, embedded_folder(), 1, Splitting())
    assert len(list(pool.passages(small()))) == 50
    (idle,) = processes.marked(mark)
    os.kill(idle, signal.SIGKILL)
    # It loses its mark a moment before it has ended.
    processes.wait_until(lambda: not any(worker.running for worker in pool._pool._workers), "the idle process ended")
    assert len(list(pool.passages(small()))) == 50
    (busy,) = processes.marked(mark)
    os.kill(busy, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as threads:
        found = threads.submit(lambda: list(pool.passages(small())))
        processes.wait_until(lambda: not pool._pool._idle, "the process has a request")
        os.kill(busy, signal.SIGKILL)
        with pytest.raises(PolysemeError, match="exit code -9 before it was done"):
            found.result(processes.DEADLINE_SECONDS)
    assert len(list(pool.passages(small()))) == 50
    pool._pool.close()  # the error above refers to it


def test_no_process_outlives_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = uuid4().hex
    monkeypatch.setenv("PASSAGES", mark)
    given = documents([SENTENCE * 20] * 2)
    tables = []
    for count in (0, 2):
        engine = Engine(EngineConfig(device="cpu"), passage_processes=count)
        now = datetime(2026, 1, 1, tzinfo=UTC)
        tables.append([chunk.tables for chunk in engine.run(given, Outputs(), version=1, seed=0, ingested_at=now)])
        assert bool(processes.marked(mark)) == (Path("/proc").is_dir() and count > 0)
        del engine
        gc.collect()
        assert processes.marked(mark) == {}
    assert tables[0] == tables[1]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_one_that_started_it(how: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(ENDLESS)
    _, errors = processes.signalled(tmp_path / "script.py", embedded_folder(), how=how, count=3)
    # Nothing but the traceback of Ctrl-C itself: the workers end in silence.
    assert errors.count("Traceback") == (how is signal.SIGINT)


def test_a_worker_loads_neither_torch_nor_transformers() -> None:
    processes.run(sys.executable, "-c", BARE, embedded_folder())


def test_some_cores_are_left_to_the_run_and_few_cores_have_no_processes() -> None:
    counts = {cores: processes_beside_a_gpu(cores) for cores in (1, 2, 3, 4, 8, 16, 64)}
    assert counts == {1: 0, 2: 0, 3: 2, 4: 3, 8: 6, 16: 12, 64: 12}
