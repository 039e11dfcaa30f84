"""One Prefect API for all flow tests, and a small corpus to embed."""

from __future__ import annotations

import json
import runpy
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb
import pytest

from polyseme.flows.settings import prepare_prefect
from tests import session
from tests.processes import DEADLINE_SECONDS
from tests.repository import ROOT

EXAMPLES = ROOT / "examples"
Ask = Callable[..., list[tuple[object, ...]]]
_DRAIN_SECONDS = 60

TEXTS = {
    "river": "The river left its bank in spring. The fields were under water for a week. Nobody was hurt.",
    "money": "The bank lent him the money. He paid it back within a year.",
    "tennis": "She served from the far court. The ball was out by a hand.",
}


@pytest.fixture(scope="session")
def prefect_api(request: pytest.FixtureRequest) -> Iterator[None]:
    """A real Prefect server on loopback with a database of its own, for the whole session."""
    prepare_prefect(verbose=False)
    from prefect.testing.utilities import prefect_test_harness

    harness = prefect_test_harness(server_startup_timeout=int(DEADLINE_SECONDS))
    harness.__enter__()
    yield
    _leave(harness, request.config)


def _leave(harness: AbstractContextManager[None], config: pytest.Config) -> None:
    """Stop the server. Prefect sends what it has not sent yet first, and waits without end for a server that is gone.

    That server is one that a test stopped; nothing of the test is lost. Prefect would wait again when Python exits.
    """
    from prefect.server.api.server import SubprocessASGIServer

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(_DRAIN_SECONDS)
    try:
        harness.__exit__(None, None, None)
    except TimeoutError:
        SubprocessASGIServer._instances[None].stop()
        config.stash[session.EXIT_AT_ONCE] = True
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder of three text files."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def ask(lake: Path) -> Ask:
    """Ask the lake as a reader does: through the published file."""

    def answer(sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(lake / "catalog.duckdb"), read_only=True) as con:
            return con.execute(sql).fetchall()

    return answer


def write_records(path: Path, records: list[dict[str, object]]) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def example_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of the example corpus, made as the tutorial makes it: with the command, in a process of its own."""
    folder = tmp_path_factory.mktemp("example")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        runpy.run_path(str(EXAMPLES / "tutorial.py"))["embed"](folder / "lake")
    return folder / "lake"
