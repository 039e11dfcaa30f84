"""Runs over one lake and real files without Prefect, and a corpus to remove, rename and damage."""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import HeldBack, Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.reading import local_file
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.patterns import ALL, Patterns
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import list_sources
from polyseme.tasks.shards.deletion_guard import DeletionLimit
from polyseme.tasks.shards.known_sources import known_to
from polyseme.tasks.shards.scan import Scan
from polyseme.tasks.shards.stages import commit_shard, encode_shard
from tests.tasks.conftest import LEAN

MANY = 30
SETTLED_SECONDS = 0.03
"""After which a file counts as settled here: a few ticks of the file system's clock."""


class Lakeside:
    """Runs over one lake and real files, as the flow does them, with a small model."""

    def __init__(self, catalog: Catalog, engine: Engine, *, first: int = 0) -> None:
        self.catalog, self.engine = catalog, engine
        self._runs = first

    def embed(
        self, *sources: object, limit: str | None = None, stdin: bytes = b"", engine: Engine | None = None,
        stdin_name: str | None = None, patterns: Patterns = ALL, outputs: Outputs = LEAN, by_source: bool = False,
        **options: object,
    ) -> Scan:  # fmt: skip
        """Bring the lake up to date with `sources`, as `polyseme embed` does."""
        time.sleep(SETTLED_SECONDS)  # so that the next run need not open what this one reads
        lake, engine = self.catalog.lake, engine or self.engine
        self._runs += 1
        specs = [str(s) for s in sources]
        found = resolve(specs, lake=lake, known=known_to(lake), stdin_name=stdin_name, patterns=patterns)
        self.catalog.register_encoding(engine.spec)
        encoding_id, run_id = engine.spec.encoding_id, f"run{self._runs}"
        version = self.catalog.begin_run(run_id, encoding_id, [])
        scan = Scan(self.catalog, lake, run_id, version, encoding_id, outputs, found, by_source=by_source)
        items = list_sources(found, ReadOptions(**options), stdin=io.BytesIO(stdin))  # type: ignore[arg-type]
        for shard in list(scan.shards(items)):
            commit_shard(encode_shard(shard, lake, self.catalog, engine), self.catalog)
        scan.retire_rejects(found)
        scan.record_skipped(found)
        scan.delete_gone(found, DeletionLimit.parse(limit))
        scan.close()
        return scan

    def documents(self, engine: Engine | None = None) -> dict[str, str]:
        """Return the uris of the live documents by id."""
        encoding_id = (engine or self.engine).spec.encoding_id
        return {d: uri for page in self.catalog.documents_under(encoding_id) for d, uri in page}

    def rejects(self) -> list[str]:
        codes: list[str] = self.catalog.snapshot().rejects["code"].to_pylist()
        return codes

    def held(self) -> list[HeldBack]:
        return list(self.catalog.held_back())


@pytest.fixture
def lakeside(tmp_path: Path, foreign: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lakeside]:
    monkeypatch.setattr(local_file, "SETTLED_NS", int(SETTLED_SECONDS * 1e9) - 5_000_000)
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as catalog:
        yield Lakeside(catalog, foreign)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    fill(folder)
    return folder


def fill(folder: Path, count: int = MANY) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"{i:02}.txt").write_text(f"The heron stood in reed {i}.")


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def records(path: Path, *ids: str, text: str = "The heron stood in the reeds.") -> Path:
    path.write_text("".join(json.dumps({"id": id_, "text": text}) + "\n" for id_ in ids))
    return path


def small_engine(folder: Path) -> Engine:
    """Make a random checkpoint of a few kilobytes in a folder, and return an engine with it."""
    from tests.conftest import FOREIGN, SHAPE, save_cased_tokenizer, save_random

    save_random(folder, "BertForPreTraining", SHAPE | FOREIGN)
    save_cased_tokenizer(folder)
    return Engine(EngineConfig(model=str(folder), device="cpu"))
