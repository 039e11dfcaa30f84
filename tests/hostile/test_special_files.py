"""Pipes, sockets and devices in the place of files: nothing waits for them, and no document goes because of one."""

from __future__ import annotations

import io
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.readers import read_file
from polyseme.tasks.reading.regular_files import NotAFileError, open_file
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.skipped import Skipped
from polyseme.tasks.reading.sources import read_sources, shields
from tests import processes
from tests.hostile.lakeside import Lakeside, lakeside, records

__all__ = ["lakeside"]


def bound(at: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(at))


SPECIAL = {
    "a pipe": os.mkfifo,
    "a socket": bound,
    "a device": lambda at: at.symlink_to("/dev/zero"),
    "a link to a pipe": lambda at: (os.mkfifo(at.with_name("pipe")), at.symlink_to("pipe")),
}


@pytest.fixture(params=SPECIAL, ids=str)
def special(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    monkeypatch.chdir(tmp_path)  # the path of a socket has at most 107 bytes

    def made(name: str) -> Path:
        SPECIAL[request.param](Path(name))
        return tmp_path / name

    return made


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl.gz", "a.parquet", "a.fifo", "a"])
def test_one_that_is_named_as_a_source_is_a_usage_error_with_the_mend(
    special: Callable[[str], Path], name: str
) -> None:
    with pytest.raises(
        UsageError, match=r"is a (pipe|socket|device), not a file or a folder; pipe what it gives into -"
    ):
        resolve([str(special(name))])


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.jsonl", "a.csv.zst", "a.parquet"])
def test_one_that_takes_the_place_of_a_file_after_the_listing_is_a_protecting_reject(
    special: Callable[[str], Path], name: str
) -> None:
    (reject,) = read_file(at := special(name), at.as_uri(), ReadOptions())
    assert isinstance(reject, Reject)
    assert (reject.code, reject.locator) == ("unreadable", "")
    assert "pipe what it gives into -" in reject.message
    assert shields(reject, at.as_uri())


def test_a_pipe_that_takes_the_place_of_a_file_before_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("text")
    seen = os.stat(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    monkeypatch.setattr("polyseme.tasks.reading.regular_files.os.stat", lambda path: seen)
    descriptors = len(os.listdir("/dev/fd"))
    with pytest.raises(NotAFileError, match="a pipe"):
        open_file(tmp_path / "pipe.txt")
    assert len(os.listdir("/dev/fd")) == descriptors


@pytest.mark.parametrize("name", ["a.jsonl", "folder"])
def test_a_pipe_in_the_place_of_a_known_source_deletes_nothing(lakeside: Lakeside, tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    if name == "folder":
        source.mkdir()
        records(source / "a.jsonl", "x", "y")
    else:
        records(source, "x", "y")
    other = records(tmp_path / "other.jsonl", "z")
    lakeside.embed(source, other)
    source.rename(tmp_path / "away")
    os.mkfifo(source)
    scan = lakeside.embed(source, other)
    assert (scan.tally.unchanged, scan.tally.deleted, len(lakeside.documents())) == (1, 0, 3)
    assert lakeside.rejects() == (["unreadable"] if name == "a.jsonl" else [])


def test_the_files_beside_a_pipe_are_read(tmp_path: Path) -> None:
    def items() -> Iterator[Document | Reject | Skipped]:
        return read_sources(resolve([str(tmp_path)]), ReadOptions(), stdin=io.BytesIO())

    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("text")
    stream = items()
    assert isinstance(next(stream), Document)
    (tmp_path / "b.txt").unlink()
    os.mkfifo(tmp_path / "b.txt")
    refused, last = stream
    assert isinstance(refused, Reject)
    assert isinstance(last, Document)
    kinds = {"a.txt": Document, "b.txt": Skipped, "c.txt": Document}
    assert [(item.uri, type(item)) for item in items()] == [((tmp_path / n).as_uri(), k) for n, k in kinds.items()]


@pytest.mark.parametrize("name", ["/dev/stdin", "<(echo text)"])
def test_pipes_of_the_shell_are_a_usage_error_that_names_standard_input(name: str) -> None:
    script = "import sys; from polyseme.tasks.reading.resolving import resolve; resolve(sys.argv[1:])"
    command = f"echo text | {sys.executable} -c '{script}' {name}"
    done = processes.run("bash", "-c", command, check=False)
    assert done.returncode == 1
    assert "is a pipe, not a file or a folder; pipe what it gives into -" in done.stderr
