"""A file that hangs, crashes its parser or takes all memory costs one reject; all else is read, no process is left."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, RefusedError
from polyseme.tasks.reading.parsing.pool import Parsers
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources
from tests import document_files as made
from tests import processes
from tests.extras import require
from tests.repository import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")


def children(of: int | None = None) -> set[int]:
    """Return the parsers that this process, or another, has started and that have not ended."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:  # it has ended meanwhile
                continue
            if int(fields[1]) == (of or os.getpid()) and b"parsing.worker" in command:
                found.add(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


def slow_docx() -> bytes:
    """Return a document that takes ten seconds, of paragraphs without a text."""
    return made.docx("<w:p><w:r><w:t></w:t></w:r></w:p>" * 2_000_000)


def large_xlsx() -> bytes:
    """Return a workbook that takes 20 MB and more, in one row."""
    return made.xlsx({"S": f"<row>{'<c><v>1234567</v></c>' * 300_000}</row>"})


def codes(folder: Path, **options: int) -> dict[str, str]:
    """Read a folder; return what came of each file."""
    found = read_sources(resolve([str(folder)]), ReadOptions(**options), stdin=io.BytesIO())  # type: ignore[arg-type]
    return {item.uri.rpartition("/")[2]: getattr(item, "code", "read") for item in found}


def test_a_file_that_takes_too_long_is_one_reject(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(made.docx())
    (tmp_path / "b.docx").write_bytes(slow_docx())
    (tmp_path / "c.docx").write_bytes(made.docx())
    assert codes(tmp_path, parse_seconds=1) == {"a.docx": "read", "b.docx": "parser-timeout", "c.docx": "read"}


def test_a_file_that_takes_too_much_memory_is_one_reject(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(made.docx())
    (tmp_path / "b.xlsx").write_bytes(large_xlsx())
    (tmp_path / "c.docx").write_bytes(made.docx())
    assert codes(tmp_path, parse_mb=10) == {"a.docx": "read", "b.xlsx": "parser-memory", "c.docx": "read"}
    assert codes(tmp_path) == {"a.docx": "read", "b.xlsx": "read", "c.docx": "read"}


@pytest.mark.extra
@pytest.mark.parametrize("megabytes", [16, 64, 128])
def test_a_page_whose_tree_takes_too_much_memory_is_one_reject(tmp_path: Path, megabytes: int) -> None:
    """Its parser says then that it failed to parse it."""
    require("resiliparse", "documents")
    (tmp_path / "a.html").write_bytes(b"<p>a<b>" * 1_000_000)
    (tmp_path / "b.html").write_bytes(b"<p>The ferry left.")
    assert codes(tmp_path, parse_mb=megabytes) == {"a.html": "parser-memory", "b.html": "read"}


def request(content: bytes) -> ParseRequest:
    return ParseRequest(suffix=".docx", data=content, most_bytes=1 << 20, seconds=60, megabytes=1024)


def test_a_crash_is_one_reject_and_the_next_file_has_a_new_process() -> None:
    before = children()
    assert len(b"x" * (800 << 20)) > 0  # a crash in a run that takes much memory itself is no want of memory
    with Parsers(1) as parsers:
        answer = parsers.submit(request(slow_docx()))
        while not (started := children() - before):
            time.sleep(0.01)
        os.kill(started.pop(), signal.SIGSEGV)
        (refused,) = answer.result()
        assert isinstance(refused, RefusedError)
        assert refused.code == "parser-crashed"
        assert f"signal {signal.SIGSEGV:d}" in refused.message
        (read,) = parsers.parse(request(made.docx()))
        assert isinstance(read, Parsed)


def test_leaving_early_ends_what_is_being_parsed(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(made.docx())
    for name in ("b.docx", "c.docx", "d.docx"):
        (tmp_path / name).write_bytes(slow_docx())
    began = time.monotonic()
    stream = read_sources(resolve([str(tmp_path)]), ReadOptions(), stdin=io.BytesIO())
    assert isinstance(next(stream), Document)
    stream.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 10


def test_a_parser_whose_reader_was_killed_ends_by_itself(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(slow_docx())
    program = (
        "import io, sys; from polyseme.tasks.reading.resolving import resolve;"
        "from polyseme.tasks.reading.sources import read_sources;"
        "from polyseme.tasks.reading.documents import ReadOptions;"
        "list(read_sources(resolve(sys.argv[1:]), ReadOptions(parse_seconds=2), stdin=io.BytesIO()))"
    )
    with processes.started(sys.executable, "-c", program, str(tmp_path), cwd=ROOT) as reader:
        while not (parsers := children(reader.pid)):
            time.sleep(0.01)
        reader.kill()
        reader.wait()
        until = time.monotonic() + processes.DEADLINE_SECONDS
        while any(Path(f"/proc/{parser}").exists() for parser in parsers) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(Path(f"/proc/{parser}").exists() for parser in parsers)


@pytest.mark.slow
def test_ctrl_c_ends_a_reader_and_its_parsers(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.docx").write_bytes(slow_docx())
    embed = (sys.executable, "-m", "polyseme", "embed", tmp_path / "in", "--dry-run", "--lake", tmp_path / "lake")
    with processes.started(*embed, cwd=ROOT, stdout=processes.PIPE, stderr=processes.PIPE) as run:
        while not (parsers := children(run.pid)):
            assert run.poll() is None, run.stderr
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        assert run.wait(processes.DEADLINE_SECONDS) == 130
    assert not any(Path(f"/proc/{parser}").exists() for parser in parsers)


def test_rejects_of_parsers_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(slow_docx())
    (found,) = read_sources(resolve([str(tmp_path)]), ReadOptions(parse_seconds=1), stdin=io.BytesIO())
    assert isinstance(found, Reject)
    assert "--parse-seconds" in found.message
