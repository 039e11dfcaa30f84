"""Rows are copied from an object store only if fetching their parts is not dearer than encoding the documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import part_rows
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, Outputs
from polyseme.storage.stored.rows import stored_rows
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.shards import reuse
from tests.tasks.conftest import document
from tests.tasks.reused_lakes import embed, stored

STORY = ["It rains!", "Nobody came.", "The bank was steep."]
OUTPUTS = Outputs("words", None, nsp=False)


@pytest.fixture(scope="module")
def engine(foreign_folder: Path) -> Engine:
    return Engine(EngineConfig(model=str(foreign_folder), device="cpu"))


def corpus(*sentences: str) -> list[Document]:
    return [document("a", " ".join(sentences), "file:///a", "")]


def test_nothing_is_read_of_parts_with_more_bytes_than_allowed(engine: Engine, tmp_path: Path) -> None:
    embed(tmp_path, corpus(*STORY), engine, OUTPUTS)
    with Catalog.open(Lake(tmp_path)) as catalog:
        with catalog.reading() as connection:
            size = sum(part.bytes for part in part_rows.live_parts(connection))
        for most, documents in ((size, 1), (size - 1, 0), (None, 1)):
            with stored_rows(
                catalog, engine.spec.encoding_id, ["a"], tables=["words"], width=engine.spec.width, most_bytes=most
            ) as rows:
                assert len(rows.documents) == documents


def test_a_local_part_is_always_read(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed(tmp_path, corpus(*STORY), engine, OUTPUTS)
    monkeypatch.setattr(reuse, "FETCHED_A_TOKEN", 1)
    assert embed(tmp_path, corpus(*STORY, "Yes."), engine, OUTPUTS).reused_sentences == 3


@pytest.mark.servers
def test_a_part_of_an_object_store_is_fetched_if_the_document_has_tokens_enough(
    engine: Engine, s3_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    embed(s3_root, corpus(*STORY), engine, OUTPUTS, url)
    assert embed(s3_root, corpus(*STORY, "Yes."), engine, OUTPUTS, url).reused_sentences == 3
    monkeypatch.setattr(reuse, "FETCHED_A_TOKEN", 1)
    assert embed(s3_root, corpus(*STORY, "Yes.", "No."), engine, OUTPUTS, url).reused_sentences == 0
    embed(tmp_path / "fresh", corpus(*STORY, "Yes.", "No."), engine, OUTPUTS)
    assert stored(s3_root) == stored(tmp_path / "fresh")
