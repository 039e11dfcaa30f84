"""Reuse where other processes encode: workers of a cluster copy what threads copy, and make the rows of a new lake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from polyseme.storage.records import Counts, Outputs
from polyseme.tasks.engine_config import EngineConfig
from tests.extras import require
from tests.flows.conftest import TEXTS, write_records
from tests.tasks.reused_lakes import Rows, stored

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]

Documents = dict[str, dict[str, object]]
Counted = dict[str, int]

OUTPUTS = Outputs("tokens", None, nsp=True)
BEFORE: Documents = {
    f"d{i}{j}": {"text": f"{one} {other}", "views": 0}
    for i, one in enumerate(TEXTS.values())
    for j, other in enumerate(TEXTS.values())
}
AFTER: Documents = BEFORE | {
    "d00": {"text": f"{TEXTS['river']} It rained. {TEXTS['river']}", "views": 0},
    "d12": {"text": str(BEFORE["d12"]["text"]).replace("a year", "two years"), "views": 0},
    "d20": BEFORE["d20"] | {"views": 9},
    "copy": BEFORE["d21"],
    "new": {"text": "Nobody had seen that before.", "views": 0},
}


@pytest.fixture(scope="module", autouse=True)
def small_shards() -> Iterator[None]:
    """Two documents a shard: what is reused reaches several workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polyseme.tasks.shards.staging.SHARD_CHARS", 260)
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that is embedded by all: rows have its address."""
    return tmp_path_factory.mktemp("source") / "all.jsonl"


@pytest.fixture(scope="module")
def expected(
    source: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, prefect_api: None, small_shards: None
) -> tuple[Counted, Rows]:
    """What threads reuse of the edited documents, and the rows of a lake that one process makes of them at once."""
    folder = tmp_path_factory.mktemp("threads")
    counted = embedded_twice(source, folder / "lake", tiny_folder)
    embed(source, AFTER, folder / "fresh", tiny_folder)
    return counted, stored(folder / "fresh")


def embed(source: Path, documents: Documents, lake: Path, model: Path, **runner: object) -> Counts:
    """Embed documents from the file `source`, which then has these, and return what was done."""
    from polyseme.flows.embed import EmbedRequest, embed_corpus
    from polyseme.flows.runs.runners import Runner

    write_records(source, [{"id": name} | found for name, found in documents.items()])
    config = EngineConfig(model=str(model), device="cpu")
    where = Runner(**runner)  # type: ignore[arg-type]
    report = embed_corpus(
        EmbedRequest(sources=[str(source)], lake=str(lake), engine=config, outputs=OUTPUTS, runner=where)
    )
    assert report.state == "completed"
    assert report.shards > 2
    return report.counts


def embedded_twice(source: Path, lake: Path, model: Path, **runner: object) -> Counted:
    embed(source, BEFORE, lake, model, **runner)
    counts = embed(source, AFTER, lake, model, **runner)
    names = ("documents", "redescribed", "sentences", "reused_sentences", "reused_tokens", "forward_tokens")
    return {name: getattr(counts, name) for name in names}


@pytest.mark.cluster
@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_workers_copy_what_threads_copy_and_make_the_rows_of_a_new_lake(
    kind: str, source: Path, lake: Path, tiny_folder: Path, expected: tuple[Counted, Rows]
) -> None:
    """That the rows are equal, as often as they stand there, is what `EXCEPT ALL` empty both ways says."""
    require(f"prefect_{kind}", kind)
    counted = embedded_twice(source, lake, tiny_folder, kind=kind, workers=2)
    in_threads, fresh = expected
    assert counted == in_threads
    assert counted["redescribed"] == 1
    assert 0 < counted["reused_sentences"] < counted["sentences"]
    assert counted["reused_tokens"] > 0
    assert stored(lake) == fresh
