"""Documents that were deleted and come back copy the rows that they had, as long as these can be restored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.maintenance.vacuum import GRACE, vacuum
from polyseme.storage.records import Document, Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from tests.tasks.conftest import document
from tests.tasks.reused_lakes import embed, stored

STORY = ["It rains!", "Nobody came.", "The bank was steep.", "Was it cold?", "She left the house.", "Yes."]
EDITED = [*STORY[:3], "It snows.", *STORY[4:]]
OUTPUTS = Outputs("tokens", None, nsp=True, pll="original")
PURGE = CompactionPolicy(min_dead=0.0)


@pytest.fixture(scope="module")
def engine(foreign_folder: Path) -> Engine:
    return Engine(EngineConfig(model=str(foreign_folder), device="cpu"))


def corpus(**texts: list[str]) -> list[Document]:
    return [document(name, " ".join(found), f"file:///{name}", "") for name, found in texts.items()]


@pytest.fixture
def root(engine: Engine, tmp_path: Path) -> Path:
    """A lake of which `a` was deleted."""
    embed(tmp_path / "lake", corpus(a=STORY, b=["The end."]), engine, OUTPUTS)
    with Catalog.open(Lake(tmp_path / "lake")) as catalog:
        delete(catalog, engine)
    return tmp_path / "lake"


def delete(catalog: Catalog, engine: Engine) -> None:
    encoding_id = engine.spec.encoding_id
    version = catalog.begin_run(f"deleting{len(catalog.snapshot().runs)}", encoding_id, [])
    assert catalog.delete_documents(encoding_id, ["a"], version=version) == 1


@pytest.mark.parametrize("text", [STORY, EDITED], ids=["as it was", "edited"])
@pytest.mark.parametrize("after", ["nothing", "compaction", "vacuum in time"])
def test_it_copies_the_rows_it_had(engine: Engine, root: Path, tmp_path: Path, text: list[str], after: str) -> None:
    with Catalog.open(Lake(root)) as catalog:
        if after != "nothing":
            compact(catalog, PURGE)
        if after == "vacuum in time":
            vacuum(catalog, now=datetime.now(UTC) + GRACE - timedelta(minutes=1))
            compact(catalog, PURGE)
    counts = embed(root, corpus(a=text), engine, OUTPUTS)
    assert counts.reused_sentences == (6 if text is STORY else 5)
    assert (counts.forward_tokens == 0) == (text is STORY)
    embed(tmp_path / "fresh", corpus(a=text, b=["The end."]), engine, OUTPUTS)
    assert stored(root) == stored(tmp_path / "fresh")


def test_it_copies_them_if_only_its_description_changed_before(engine: Engine, root: Path, tmp_path: Path) -> None:
    """Its row of `documents` then lies in another part, under another version, than its other rows."""
    titled = [document("a", " ".join(STORY), "file:///a", "A title")]
    embed(root, corpus(a=STORY), engine, OUTPUTS)
    assert embed(root, titled, engine, OUTPUTS).redescribed == 1
    with Catalog.open(Lake(root)) as catalog:
        delete(catalog, engine)
    assert embed(root, titled, engine, OUTPUTS).forward_tokens == 0
    embed(tmp_path / "fresh", [*titled, *corpus(b=["The end."])], engine, OUTPUTS)
    assert stored(root) == stored(tmp_path / "fresh")


@pytest.mark.parametrize("is_forgotten", [True, False], ids=["forgotten", "not forgotten by a catalog that is wrong"])
def test_it_is_encoded_if_its_rows_were_dropped(
    engine: Engine, root: Path, tmp_path: Path, is_forgotten: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Catalog.open(Lake(root)) as catalog:
        before = catalog.restorable(engine.spec.encoding_id, ["a"])
        vacuum(catalog, now=datetime.now(UTC) + GRACE + timedelta(minutes=1))
        assert compact(catalog, PURGE).merges
        assert catalog.restorable(engine.spec.encoding_id, ["a"]) == {}
    if not is_forgotten:
        monkeypatch.setattr("polyseme.storage.database.versions.find_restorable", lambda *_: before)
    counts = embed(root, corpus(a=STORY), engine, OUTPUTS)
    assert counts.reused_sentences == 0
    assert counts.forward_tokens > 0
    embed(tmp_path / "fresh", corpus(a=STORY, b=["The end."]), engine, OUTPUTS)
    assert stored(root) == stored(tmp_path / "fresh")


def test_rows_of_another_device_are_not_copied(engine: Engine, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "device_kind", "cpu-another")
    assert embed(root, corpus(a=STORY), engine, OUTPUTS).reused_sentences == 0
