"""Which process a run is: neither its number alone nor /proc decides whether it still exists."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from polyseme.storage import checks
from polyseme.storage.database import run_process
from polyseme.storage.database.run_process import RunProcess, exists, host_name, parse, this_process
from polyseme.storage.errors import LakeError
from tests import processes

ORIGIN = checks.Origin("The catalog here")

pytestmark = pytest.mark.skipif(this_process().numbering is None, reason="needs /proc of Linux")


def of(pid: int) -> RunProcess:
    stat = run_process._stat(pid)
    assert stat is not None
    return RunProcess(pid=pid, started=stat[1], numbering=this_process().numbering)


def test_a_process_exists_until_it_ends_asked_about_or_not() -> None:
    with processes.started("sleep", "600") as running:
        found = of(running.pid)
        assert exists(found) is True
        running.kill()
        processes.wait_until(lambda: exists(found) is False, "a zombie has ended")
        running.wait()
        assert exists(found) is False


def test_a_number_that_was_given_again_is_not_the_process() -> None:
    mine = this_process()
    assert exists(mine) is True
    assert exists(replace(mine, started=(mine.started or 0) - 1)) is False


def test_a_process_that_others_number_is_not_known_here() -> None:
    mine = this_process()
    for numbering in ("0" * 16, None):
        assert exists(replace(mine, numbering=numbering, started=1)) is None


def test_without_a_proc_of_ones_own_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = this_process()
    monkeypatch.setattr(run_process.os, "readlink", lambda path: "1")
    assert exists(mine) is None
    assert this_process() == RunProcess(pid=mine.pid, started=None, numbering=None)


def test_a_process_that_proc_hides_is_not_taken_for_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, signal: int) -> None:
        raise PermissionError

    mine = this_process()
    monkeypatch.setattr(run_process.os, "kill", refuse)
    assert exists(mine) is True
    monkeypatch.setattr(run_process, "_stat", lambda pid: None)
    assert exists(mine) is None


def test_a_process_is_stored_as_json_and_comes_back() -> None:
    assert parse(ORIGIN, this_process().to_json()) == this_process()
    assert checks.LINE.fullmatch(host_name())


@pytest.mark.parametrize(
    "changes",
    [{"pid": 0}, {"pid": -1}, {"pid": 2**31}, {"pid": "1"}, {"pid": True}, {"started": -1}, {"started": "1"},
     {"numbering": "x"}, {"numbering": 1}, {"more": 1}],
)  # fmt: skip
def test_what_is_no_process_is_refused(changes: dict[str, object]) -> None:
    good = {"pid": 1, "started": None, "numbering": None}
    assert parse(ORIGIN, json.dumps(good)).pid == 1
    with pytest.raises(LakeError, match=r"runs\.process"):
        parse(ORIGIN, json.dumps(good | changes))
