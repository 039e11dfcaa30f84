"""A checkpoint to modify, and runs over a real lake without Prefect: scan, encode and commit as the flow does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, Outputs, Reject, Shard, ShardResult
from polyseme.storage.sql.connection import connect
from polyseme.tasks.engine import Engine
from polyseme.tasks.shards.scan import Scan
from polyseme.tasks.shards.stages import commit_shard, encode_shard

LEAN = Outputs("sentences", None, False)


@pytest.fixture
def copied(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "copied"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def catalog(lake: Lake, foreign: Engine) -> Iterator[Catalog]:
    with Catalog.create_or_open(lake) as opened:
        opened.register_encoding(foreign.spec)
        yield opened


class Runs:
    """Runs over one lake with a small model."""

    def __init__(self, lake: Lake, catalog: Catalog, engine: Engine) -> None:
        self.lake, self.catalog, self.engine = lake, catalog, engine
        self._scans: list[Scan] = []

    def scan(self, outputs: Outputs = LEAN) -> Scan:
        run_id = f"run{len(self._scans)}"
        version = self.catalog.begin_run(run_id, self.engine.spec.encoding_id, [])
        scan = Scan(self.catalog, self.lake, run_id, version, self.engine.spec.encoding_id, outputs)
        self._scans.append(scan)
        return scan

    def shard(self, *documents: Document, outputs: Outputs = LEAN) -> Shard:
        """Stage documents as one shard of a run of their own."""
        (shard,) = self.scan(outputs).shards(documents)
        return shard

    def encode(self, shard: Shard) -> ShardResult:
        return encode_shard(shard, self.lake, self.catalog, self.engine)

    def embed(self, *items: Document | Reject, outputs: Outputs = LEAN) -> Scan:
        """One whole run."""
        scan = self.scan(outputs)
        for shard in list(scan.shards(items)):
            commit_shard(self.encode(shard), self.catalog)
        return scan

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """What a reader sees."""
        con = connect(self.lake.root)
        try:
            return con.execute(sql).fetchall()
        finally:
            con.close()

    def close(self) -> None:
        for scan in self._scans:
            scan.close()


@pytest.fixture
def runs(lake: Lake, catalog: Catalog, foreign: Engine) -> Iterator[Runs]:
    opened = Runs(lake, catalog, foreign)
    yield opened
    opened.close()


def document(
    doc_id: str, text: str = "Some text. More of it.", uri: str = "file:///a", title: str | None = None
) -> Document:
    return Document(doc_id, uri, text, title=title)
