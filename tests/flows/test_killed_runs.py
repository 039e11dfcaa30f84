"""A run that is killed without a word: what it committed counts, and whoever looks next sees that it died."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.schema import runs
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from polyseme.storage.wording import many
from tests import processes
from tests.flows.conftest import write_records
from tests.flows.test_cli import polyseme

LEAN = ("--level", "sentences", "--no-nsp")

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]


def kill_when(lake: Path, source: Path, due: Callable[[], bool]) -> int:
    """Embed in a process of its own, send it SIGKILL as soon as that is due, and return its number."""
    command = [sys.executable, "-m", "polyseme", "embed", source, "--lake", lake, *LEAN]
    with processes.started(*command, stderr=processes.DEVNULL) as running:
        processes.wait_until(lambda: due() or running.poll() is not None, "the run is under way")
        running.send_signal(signal.SIGKILL)
        assert running.wait(processes.DEADLINE_SECONDS) == -signal.SIGKILL
    return running.pid


def rows(lake: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask the catalog: a killed run has not published what it committed."""
    with connect(lake) as con:
        return con.execute(sql).fetchall()


def committed(lake: Path) -> bool:
    try:
        with Catalog.open(Lake(lake)) as catalog:
            return any(catalog.snapshot().runs["documents"].to_pylist())
    except LakeError:
        return False


def test_a_killed_embed_is_shown_as_died_with_its_documents_and_the_next_goes_on(
    capfd: pytest.CaptureFixture[str], lake: Path, tmp_path: Path
) -> None:
    # A word of so many letters is one token: shards, which are cut by characters, are many and quickly encoded.
    text = "The river rose again. " + f"{'x' * 4000} " * 5
    source = write_records(tmp_path / "in.jsonl", [{"id": i, "text": f"{i}. {text}"} for i in range(800)])
    pid = kill_when(lake, source, lambda: committed(lake))
    ((documents,),) = rows(lake, "SELECT count(*) FROM documents")
    assert isinstance(documents, int)
    assert documents > 0
    assert rows(lake, "SELECT state, documents, tokens = (SELECT sum(n_tokens) FROM documents) FROM runs") == [
        ("died", documents, True)
    ]

    _, out, _ = polyseme(capfd, "status", "--lake", lake, "--json")
    (run,) = json.loads(out)["runs"]
    assert (run["state"], run["documents"]) == ("died", documents)
    assert run["tokens_per_second"] > 0
    with Catalog.open(Lake(lake)) as catalog, catalog.reading() as connection:
        assert connection.execute(runs.select()).mappings().one()["state"] == "died", "status recorded it"
    _, out, _ = polyseme(capfd, "status", "--lake", lake)
    assert f"died: process {pid} on " in out
    assert f"It committed {many(documents, 'documents')}." in out

    few = write_records(tmp_path / "few.jsonl", [{"id": "few", "text": "A short one."}])
    code, _, err = polyseme(capfd, "embed", few, "--lake", lake, *LEAN)
    assert code == 0, err
    assert rows(lake, "SELECT state, documents FROM runs ORDER BY ordinal") == [("died", documents), ("completed", 1)]
