"""Rows of skipped files over random runs: no file is counted twice, and a scan of everything counts each."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from polyseme.storage.database.skipped_files import SkippedFiles
from polyseme.tasks.reading.coverage import Coverage
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.patterns import Patterns
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.skipped import Skipped
from polyseme.tasks.reading.sources import read_sources
from polyseme.tasks.shards import skipped_tally
from polyseme.tasks.shards.skipped_rows import SkippedRows
from polyseme.tasks.shards.skipped_tally import SkippedTally
from tests import document_files

FILES = (
    "a.txt", "a.png", "b.png", ".x", "sub/a.txt", "sub/b.png", "sub/c.PNG", "sub/.k/a.txt", "sub/.k/d.png",
    "sub/deep/e.png", "sub/deep/f.zzz", "sub/deep/a.txt",
)  # fmt: skip
SPECS = (
    "", "", "*", "**", "[ab].*", "*/*", "sub", "sub/*", "sub/**", "sub/deep", "sub/.k", "sub/.k/*", "a.txt",
    "sub/e.zip", "sub/[bae]*",
)  # fmt: skip
PATTERNS = (Patterns(), Patterns(), Patterns(exclude=("deep/",)), Patterns(exclude=("*.png",)))


class Runs:
    """Runs over one folder that only record what they skip."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: dict[int, SkippedFiles] = {}
        self.skipped: set[str] = set()
        self._next = 0

    def run(self, specs: list[str], patterns: Patterns) -> None:
        sources = resolve([f"{self.root}/{spec}" for spec in specs], patterns=patterns)
        coverage, tally = Coverage(sources), SkippedTally()
        for item in read_sources(sources, ReadOptions(), stdin=io.BytesIO()):
            if isinstance(item, Skipped):
                self.skipped.add(item.uri)
                tally.add(item, coverage.skipping(item.uri))
        found = tally.rows([source.name for source in sources])
        retired, new = SkippedRows(sources, lambda uri: False).settle(found, self.rows, ())
        self.rows = {number: row for number, row in self.rows.items() if number not in retired}
        for row in new:
            self._next += 1
            self.rows[self._next] = row

    @property
    def files(self) -> int:
        return sum(row.files for row in self.rows.values())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("in")
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("A text.")
    (root / "sub" / "e.zip").write_bytes(document_files.zipped({"g.png": "", "h/i.png": "", "j.txt": "A reed."}))
    return root


@example(runs=[([""], Patterns(exclude=("*.png",))), (["**"], Patterns())], most=2)
@given(
    runs=st.lists(st.tuples(st.lists(st.sampled_from(SPECS), min_size=1, max_size=3), st.sampled_from(PATTERNS))),
    most=st.sampled_from([2, 100]),
)
@settings(max_examples=200, deadline=None)
def test_no_file_is_counted_twice_and_a_whole_scan_counts_each(
    root: Path, runs: list[tuple[list[str], Patterns]], most: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(skipped_tally, "MOST_ROWS", most)
        over = Runs(root)
        for specs, patterns in runs:
            over.run(specs, patterns)
            assert over.files <= len(over.skipped), (specs, patterns)
        over.run([""], Patterns())
        over.run(["sub/.k"], Patterns())
        # Its folder is hidden to the first, and what is in it read by the second.
        whole = {".x", "a.png", "b.png", "sub/.k/", "sub/b.png", "sub/c.PNG", "sub/.k/d.png", "sub/deep/e.png"}
        whole |= {"sub/deep/f.zzz", "sub/e.zip!/g.png", "sub/e.zip!/h/i.png"}
        assert over.files == len(whole) or (most == 2 and over.files <= len(whole)), over.rows
