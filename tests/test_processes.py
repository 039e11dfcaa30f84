"""The tests of the tests: no process outlives the test that started it, and Ctrl-C reaches it however pytest began."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests import processes
from tests.repository import ROOT

FAMILY = ("sh", "-c", "setsid sleep 1000 & sleep 1000 & echo begun; trap '' TERM; wait; wait; sleep 1000")
"""A group of two that do not end when asked to, and a process in a session of its own."""

needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="marks are read in /proc (Linux)")


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> str:
    """A mark that everything carries which the test starts."""
    mark = uuid4().hex
    monkeypatch.setenv(processes.MARK, f"{os.environ.get(processes.MARK, '')} {mark}")
    monkeypatch.setattr(processes, "_ENDING_SECONDS", 0.2)
    return mark


@needs_proc
def test_a_command_ends_with_everything_it_started_whatever_becomes_of_the_test(mine: str) -> None:
    def fail() -> None:
        with processes.started(*FAMILY, stdout=-1) as family:
            assert family.stdout is not None
            assert family.stdout.readline() == "begun\n"
            assert len(processes.marked(mine)) == 3
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert processes.marked(mine) == {}


@needs_proc
def test_a_command_that_hangs_is_ended_at_its_deadline(mine: str) -> None:
    with pytest.raises(AssertionError, match="did not end within 1 s"):
        processes.run(*FAMILY, seconds=1)
    assert processes.marked(mine) == {}


def test_a_command_that_fails_is_an_error_that_shows_what_it_wrote() -> None:
    with pytest.raises(AssertionError, match="ended with 3: out\nerr"):
        processes.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert processes.run("false", check=False).returncode == 1


def test_calls_that_hang_are_ended_at_their_deadline() -> None:
    assert processes.run_together(signal.pause, [()], seconds=1) == [None]
    assert processes.run_together(sys.exit, [(3,), (0,)]) == [3, 0]


def pytest_in(folder: Path, code: str, *options: str, before: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Write a file of tests; return the command that runs it as these tests are run."""
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    far\n")
    (folder / "test_it.py").write_text(code)
    plugin = ("-p", "tests.session", "-p", "no:cacheprovider")
    return (*before, "env", f"PYTHONPATH={ROOT}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1", "PYTEST_ADDOPTS=",
            sys.executable, "-m", "pytest", "-q", "--rootdir", str(folder), *plugin, *options, str(folder))  # fmt: skip


@needs_proc
def test_a_killed_pytest_leaves_nothing(mine: str, tmp_path: Path) -> None:
    code = f"""
from tests import processes
def test_it():
    with processes.started(*{FAMILY}) as family:
        family.wait()
"""
    with processes.started(*pytest_in(tmp_path, code)) as running:
        processes.wait_until(lambda: len(processes.marked(mine)) == 5, "pytest, its watcher and three commands run")
        running.kill()
        running.wait()
        processes.wait_until(lambda: not processes.marked(mine), "nothing runs")


@needs_proc
def test_a_process_that_is_left_at_the_end_fails_the_session_and_is_ended(mine: str, tmp_path: Path) -> None:
    code = """
import subprocess
from tests import processes
processes._ENDING_SECONDS = 0.2
def test_it():
    subprocess.Popen(["sleep", "1001"], start_new_session=True)
"""
    done = processes.run(*pytest_in(tmp_path, code), check=False)
    assert (done.returncode, processes.marked(mine)) == (1, {})
    assert "outlived the tests that started them and were killed: sleep 1001" in done.stdout


def test_ctrl_c_reaches_a_command_where_pytest_was_started_with_it_ignored(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from tests import processes
def test_it():
    os.kill(os.getpid(), signal.SIGINT)
    with processes.started(sys.executable, "-c", "print(1, flush=True); input()", stdin=-1, stdout=-1) as running:
        assert running.stdout.readline() == "1\\n"
        running.send_signal(signal.SIGINT)
        assert running.wait(processes.DEADLINE_SECONDS) == -signal.SIGINT
"""
    in_background = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
    assert "1 passed" in processes.run(*pytest_in(tmp_path, code, before=in_background)).stdout


def test_a_session_says_what_it_left_out_skipped_and_cost(tmp_path: Path) -> None:
    code = """
import pytest
@pytest.mark.far
def test_far(): pass
@pytest.mark.parametrize("i", range(9))
def test_it(i): pytest.importorskip("no_such_package", reason="this needs no_such_package")
"""
    said = processes.run(*pytest_in(tmp_path, code, "-m", "not far")).stdout
    assert "SKIPPED [9] this needs no_such_package\n" in said
    assert "LEFT OUT [1] by mark: 1 far;" in said
    assert "CPU seconds: " in said


def test_tests_start_processes_by_that_one_module() -> None:
    """A torture's processes are the subject of its own code; it runs in a process that is ended like any other."""
    imports = re.compile(r"^\s*(import|from) (subprocess|multiprocessing)\b", re.MULTILINE)
    paths = (ROOT / "tests").rglob("*.py")
    found = {path.relative_to(ROOT / "tests").as_posix() for path in paths if imports.search(path.read_text("utf-8"))}
    tortures = ("crowd.py", "crowd_processes.py", "crowd_searchers.py", "reuse_crowd.py", "week/__main__.py")
    assert found == {"processes.py", "test_processes.py", *(f"torture/{name}" for name in tortures)}
