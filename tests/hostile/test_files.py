"""Hostile files: each is read or refused with its code, in bounded time and memory, and a good file beside it is in."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests import processes
from tests.hostile.hostile_files import FILES, READ
from tests.repository import ROOT

SECONDS = 20
"""CPU time; the slowest takes two on the machine that measured them."""
MEGABYTES = 1_500
"""The most of the table takes 700: a row of CSV at the limit of 64 MiB, all of it commas."""
GOOD = "The good file beside it."

_READ = """
import json, resource, sys
from pathlib import Path
from polyseme.storage.records import Document
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources
for folder in sys.argv[2:]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    texts, codes, rows = 0, [], 0
    good = False
    for item in read_sources(resolve([folder]), ReadOptions(), stdin=sys.stdin.buffer):
        rows += 1
        if isinstance(item, Document):
            good = good or item.text == sys.argv[1]
            texts += item.text != sys.argv[1]
        elif len(codes) < 100:
            codes.append(item.code)
    seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    # Not ru_maxrss, which begins at that of the process that started this one.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    found = {"texts": texts, "codes": codes, "good": good, "seconds": seconds}
    print(json.dumps(found | {"megabytes": int(peak.split()[1]) // 1024}), flush=True)
"""


def folder_of(name: str, at: Path) -> Path:
    suffix, made, _ = FILES[name]
    at.mkdir(parents=True)
    (at / f"hostile{suffix}").write_bytes(made())
    (at / "z-good.txt").write_text(GOOD)
    return at


def read(*folders: Path) -> list[dict[str, object]]:
    """Read folders one after another in a process of its own, whose memory is measured."""
    done = processes.run(sys.executable, "-c", _READ, GOOD, *folders, cwd=ROOT)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """All files, read in one process: what one takes is not given back before the next."""
    root = tmp_path_factory.mktemp("hostile")
    folders = [folder_of(name, root / str(i)) for i, name in enumerate(FILES)]
    return dict(zip(FILES, read(*folders), strict=True))


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 60


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_read_or_refused_with_its_code_and_the_good_one_is_in(
    name: str, found: dict[str, dict[str, object]]
) -> None:
    expected, result = FILES[name][2], found[name]
    assert result["good"]
    if expected == READ:
        assert (result["texts"], result["codes"]) == (1, [])
    else:
        assert expected in result["codes"]  # type: ignore[operator]
    assert "unforeseen" not in result["codes"]  # type: ignore[operator]
    assert result["seconds"] < SECONDS  # type: ignore[operator]
    assert result["megabytes"] < MEGABYTES  # type: ignore[operator]


@pytest.mark.slow
def test_a_run_over_hostile_files_ends_well_and_names_each(tmp_path: Path) -> None:
    chosen = [
        "the zone tzutc()", "a list of 30 million zeros", "a deep object", "a zstd window of 1 TiB", "garbage",
        "a header of equal names",
    ]  # fmt: skip
    for i, name in enumerate(chosen):
        folder_of(name, tmp_path / "in" / str(i))
    (tmp_path / "in" / "caf\udce9.txt").write_text("A name that is not UTF-8.")
    polyseme = (sys.executable, "-m", "polyseme")
    lake = ("--lake", str(tmp_path / "lake"))
    odd = str(tmp_path / "in" / "caf\udce9.txt")
    for source in (str(tmp_path / "in"), odd):
        processes.run(*polyseme, "embed", source, *lake, "--level", "sentences", "--no-nsp", cwd=ROOT)
    refused = json.loads(processes.run(*polyseme, "rejects", *lake, "--json", cwd=ROOT).stdout)
    assert {row["code"] for row in refused} == {FILES[name][2] for name in chosen} - {READ}
    uris = json.loads(processes.run(*polyseme, "sql", "SELECT uri FROM documents", *lake, "--format", "json").stdout)
    # The good files are the same text, under one address each.
    assert len(uris) == len(chosen) + 2
