"""Sources that are deep, have many files or much of nothing: bounded in time, and they end no run."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.coverage import Coverage
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.local_source import LocalSource
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources
from tests import processes
from tests.hostile.lakeside import Lakeside, corpus, lakeside, records

__all__ = ["corpus", "lakeside"]

MIB = 1 << 20


@pytest.fixture
def emptied(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed by `rm`, since pytest's own removal recurses and would end the session."""
    (tmp_path / "corpus").mkdir()
    yield tmp_path / "corpus"
    processes.run("rm", "-rf", tmp_path / "corpus")


def nested(folder: Path, depth: int) -> None:
    """Make a folder with a text in it, `depth` folders below `folder`: step by step, a path has 4,096 bytes at most."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    file = os.open("deep.txt", os.O_CREAT | os.O_WRONLY, dir_fd=here)
    os.write(file, b"The heron stood below all of it.")
    os.close(file)
    os.close(here)


def read(spec: object) -> list[Document | Reject]:
    return list(read_sources(resolve([str(spec)]), ReadOptions(), stdin=None))  # type: ignore[arg-type]


def test_a_tree_deeper_than_pythons_stack_is_read(emptied: Path) -> None:
    nested(emptied, 1_010)
    for spec in (emptied, emptied / "**" / "*.txt", emptied / "**" / "d" / "**" / "*.txt"):
        (found,) = read(spec)
        assert isinstance(found, Document)


def test_a_tree_deeper_than_a_path_can_be_is_refused_and_the_rest_is_read(emptied: Path) -> None:
    nested(emptied, 2_100)
    (emptied / "near.txt").write_text("The heron stood above it.")
    refused, good = sorted(read(emptied), key=lambda item: isinstance(item, Document))
    assert isinstance(refused, Reject)
    assert isinstance(good, Document)
    assert (refused.code, good.uri) == ("unreadable", (emptied / "near.txt").as_uri())


@pytest.mark.parametrize("name", ["lines.jsonl.gz", "rows.csv.gz", "spaces.jsonl.gz"])
def test_tens_of_millions_of_blank_lines_take_seconds(tmp_path: Path, name: str) -> None:
    line = b" \n" if name.startswith("spaces") else b"\r\n"
    head = b"id,text\r\n" if ".csv" in name else b""
    (tmp_path / name).write_bytes(gzip.compress(head + line * (4 * MIB), 6))
    begun = time.process_time()
    (found,) = read(tmp_path / name)
    assert isinstance(found, Reject)
    assert found.code == "empty-file"
    assert time.process_time() - begun < 1.5  # 4 to 6 s line by line


@pytest.mark.parametrize("blank", [1, 255, 256, 257, 400_000])
def test_the_line_behind_blank_ones_has_its_number(tmp_path: Path, blank: int) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "One."}\n' + b" \r\n" * blank + b'{"text": "Two."}\n\n')
    assert [item.locator for item in read(tmp_path / "a.jsonl")] == ["line 1", f"line {blank + 2}"]
    (tmp_path / "a.csv").write_bytes(b"text,n\r\nOne.,1\r\n" + b"\r\n" * blank + b"Two.,2\r\nThree\r\n")
    one, two, three = read(tmp_path / "a.csv")
    assert [one.locator, two.locator] == ["row 1", "row 2"]
    assert isinstance(three, Reject)
    assert f"(up to line {blank + 4})" in three.message


def test_blank_lines_in_quotes_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'text\n"One.' + b"\r\n" * 1000 + b'Two."\n')
    (found,) = read(tmp_path / "a.csv")
    assert isinstance(found, Document)
    assert found.text.count("\n") == 1000


def test_files_as_sources_are_looked_up_and_not_compared_with_each_address(
    lakeside: Lakeside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [records(tmp_path / f"{i}.jsonl", f"x{i}") for i in range(20)]
    lakeside.embed(*files)
    asked: list[str] = []
    covers = LocalSource.covers

    def counted(source: LocalSource, uri: str) -> bool:
        asked.append(uri)
        return covers(source, uri)

    monkeypatch.setattr(LocalSource, "covers", counted)
    for file in files:
        file.write_text("")
    scan = lakeside.embed(*files)
    assert (scan.tally.deleted, len(lakeside.documents()), len(lakeside.rejects())) == (0, 20, 20)
    assert len(asked) <= 20  # once, for the lake; each address and each source took 35 s for 2,000 files


def test_what_covers_an_address_is_what_each_source_says(corpus: Path, tmp_path: Path) -> None:
    (corpus / "sub").mkdir()
    (corpus / "sub" / "a.txt").write_text("One.")
    specs = [corpus, corpus / "03.txt", corpus / "*.txt", corpus / "sub", corpus / "sub" / "a.txt", corpus / "03.txt"]
    sources = resolve([str(spec) for spec in specs])
    coverage = Coverage(sources)
    paths = (corpus / "03.txt", corpus / "sub" / "a.txt", corpus / "sub" / "new.txt", tmp_path / "a.txt", corpus)
    for uri in (path.as_uri() for path in paths):
        assert coverage.of(uri) == tuple(i for i, source in enumerate(sources) if source.covers(uri))
        assert coverage.scans(uri) == any(source.scans(uri) for source in sources)


def test_each_of_several_rejects_shields_its_own_documents(lakeside: Lakeside, tmp_path: Path) -> None:
    root, mounted = tmp_path / "corpus", tmp_path / "mounted"
    (root / "sub" / "deeper").mkdir(parents=True)
    mounted.mkdir()
    (root / "linked").symlink_to(mounted)
    for name in ("a", "b", "sub/a", "sub/deeper/a", "sub2", "linked/a"):
        records(root / f"{name}.jsonl", name)
    lakeside.embed(root)
    (root / "a.jsonl").write_text("")
    (root / "b.jsonl").unlink()
    for folder in (root / "sub", mounted):
        folder.rename(tmp_path / f"{folder.name}-away")
    (root / "sub").symlink_to("nowhere")
    assert lakeside.embed(root).tally.deleted == 1
    assert sorted(lakeside.documents()) == ["a", "linked/a", "sub/a", "sub/deeper/a", "sub2"]
