"""Confinement: what a thread, and every thread that it starts, can no longer write."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from polyseme.storage.sql import confinement
from polyseme.storage.sql.confinement import ConfinedThread
from tests.system import landlock

ATTEMPTS: dict[str, Callable[[Path], object]] = {
    "write": lambda there: (there / "file").write_text("pwned"),
    "append": lambda there: (there / "file").open("a"),
    "new": lambda there: (there / "new").touch(),
    "remove": lambda there: (there / "file").unlink(),
    "rename": lambda there: (there / "file").rename(there / "other"),
    "folder": lambda there: (there / "new").mkdir(),
    "link": lambda there: (there / "new").symlink_to(there / "file"),
    "hard link": lambda there: (there / "new").hardlink_to(there / "file"),
    "truncate": lambda there: (there / "file").open("r+").truncate(1),
}


@pytest.fixture
def there(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("content")
    return tmp_path


@pytest.mark.skipif(not landlock(), reason="this kernel has no Landlock")
@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_a_confined_thread_cannot_change_files(there: Path, attempt: Callable[[Path], object]) -> None:
    with ConfinedThread() as thread, pytest.raises(PermissionError):
        thread.call(attempt, there)
    assert [(path.name, path.read_text()) for path in there.iterdir()] == [("file", "content")]


@pytest.mark.parametrize("name", ["file", "other"])
def test_without_landlock_a_read_only_file_stays_as_it_is_even_for_root(
    there: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confinement, "_landlock_version", lambda libc: 0)
    (there / "file").chmod(0o444)
    (there / "other").symlink_to(there / "file")
    with ConfinedThread() as thread:
        with pytest.raises(PermissionError):
            thread.call((there / name).write_text, "pwned")
        thread.call((there / "mine").write_text, "x")
    assert (there / "file").read_text() == "content"


@pytest.mark.skipif(not landlock(), reason="this kernel has no Landlock")
def test_a_link_in_a_folder_that_it_was_given_leads_nowhere_else(there: Path) -> None:
    (there / "given").mkdir()
    (there / "given" / "link").symlink_to(there / "file")
    with ConfinedThread([there / "given"]) as thread, pytest.raises(PermissionError):
        thread.call((there / "given" / "link").write_text, "pwned")


@pytest.mark.skipif(not landlock(), reason="this kernel has no Landlock")
def test_threads_that_it_starts_are_confined_too(there: Path) -> None:
    caught: list[Exception] = []

    def attempt() -> None:
        try:
            (there / "new").touch()
        except PermissionError as error:
            caught.append(error)

    def start() -> None:
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()

    with ConfinedThread() as thread:
        thread.call(start)
    assert len(caught) == 1


def test_it_reads_everything_and_writes_in_the_folders_that_it_was_given(there: Path) -> None:
    (there / "given").mkdir()
    with ConfinedThread([there / "given"]) as thread:
        assert thread.call((there / "file").read_text) == "content"
        thread.call((there / "given" / "new").write_text, "x")
        thread.call((there / "given" / "new").rename, there / "given" / "newer")
        thread.call((there / "given" / "newer").unlink)
        thread.call(Path("/dev/null").write_text, "x")


def test_the_rest_of_the_program_and_threads_that_are_not_confined_write_as_before(there: Path) -> None:
    with ConfinedThread() as confined, ConfinedThread(None) as free:
        confined.call(int)
        (there / "file").write_text("mine")
        free.call((there / "file").write_text, "also mine")
    assert (there / "file").read_text() == "also mine"


def test_a_folder_that_does_not_exist_is_an_error_and_not_a_thread_that_may_write(tmp_path: Path) -> None:
    with ConfinedThread([tmp_path / "nowhere"]) as thread, pytest.raises(Exception, match="initializer"):
        thread.call(int)
