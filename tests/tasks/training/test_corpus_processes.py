"""Training text prepared in processes is that of one process, and no process is left, whatever ends the preparation."""

from __future__ import annotations

import signal
from dataclasses import fields
from itertools import cycle
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import Document
from polyseme.tasks import worker_processes
from polyseme.tasks.model.checkpoint import embedded_folder
from polyseme.tasks.text.tokenizer import TextTokenizer
from polyseme.tasks.training import corpus_processes
from polyseme.tasks.training.corpus import TrainingText, prepare
from polyseme.tasks.training.corpus_processes import prepare_in_processes
from tests import processes
from tests.tasks.training.training_corpus import documents

NO_TOKEN = Document("none", "file:///none", "\ufffd")
ENDLESS = """
import sys
from itertools import cycle
from pathlib import Path
from polyseme.tasks.training import corpus_processes
from tests.tasks.training.training_corpus import documents

def endless():
    for number, document in enumerate(cycle(documents(4))):
        if number == 40:
            print("under way", flush=True)
        yield document

corpus_processes._CHUNK_CHARS = 1000
corpus_processes.prepare_in_processes(endless(), Path(sys.argv[1]), 2)
"""
"""Without a guard for `__main__`, as a script may be."""


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_processes, "_CHUNK_CHARS", 1000)


def assert_same(text: TrainingText, expected: TrainingText) -> None:
    for column in (field.name for field in fields(TrainingText)):
        found, wanted = getattr(text, column), getattr(expected, column)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted, err_msg=column)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_text_does_not_depend_on_the_number_of_processes(count: int) -> None:
    plain = documents(24)
    mixed = [
        NO_TOKEN, *plain[:5], NO_TOKEN, NO_TOKEN, Document("long", "file:///long", plain[5].text * 9), *plain[6:],
        # The first paragraph has no token.
        Document("late", "file:///late", "\ufffd\n\nThe bank was wet. A crane stood on it."), NO_TOKEN,
    ]  # fmt: skip
    text = prepare_in_processes(iter(mixed), embedded_folder(), count)
    assert text.n_documents == 25
    assert_same(text, prepare(mixed, TextTokenizer.load(embedded_folder())))


@pytest.mark.parametrize("given", [[], [NO_TOKEN], [NO_TOKEN] * 2000], ids=["none", "one", "chunks"])
def test_documents_without_a_token_are_an_empty_text(given: list[Document]) -> None:
    text = prepare_in_processes(given, embedded_folder(), 2)
    assert (text.n_documents, text.n_tokens, text.sentence_ptr.tolist()) == (0, 0, [0])
    assert_same(text, prepare([], TextTokenizer.load(embedded_folder())))


def test_a_small_text_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_processes, "PROGRAM", "raise SystemExit(3)")
    monkeypatch.setattr(corpus_processes, "_CHUNK_CHARS", 500_000)
    assert prepare_in_processes(documents(24), embedded_folder(), 2).n_documents == 24


def test_a_process_that_fails_is_an_error_and_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = uuid4().hex
    monkeypatch.setenv("PREPARATION", mark)
    monkeypatch.setattr(worker_processes, "PROGRAM", "raise SystemExit(3)")
    with pytest.raises(PolysemeError, match="exit code 3 before it was done"):
        prepare_in_processes(cycle(documents(4)), embedded_folder(), 2)
    # This process itself was started without the mark.
    assert processes.marked(mark) == {}


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_by_a_preparation_that_is_ended(how: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(ENDLESS)
    code, errors = processes.signalled(tmp_path / "script.py", embedded_folder(), how=how, count=3)
    assert code == -how
    # Nothing but the traceback of Ctrl-C itself: the workers end in silence.
    assert errors.count("Traceback") == (how is signal.SIGINT)
    assert "corpus_processes" in errors or not errors
