"""A lake made by the last version that installed `flows`, `tasks` and `storage` as packages goes on as it was.

`tests/fixtures/format3` holds two runs of `polyseme embed` over four documents: one document was replaced, one deleted,
one record refused.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from polyseme import EmbedRequest, Engine, EngineConfig, Lake, ModelFunctions, connect, embed_corpus
from polyseme.flows.backfill import BackfillRequest, backfill
from polyseme.storage.catalog import Catalog
from polyseme.storage.maintenance.verification import verify
from tests.repository import ROOT

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]


@pytest.fixture
def old(tmp_path: Path) -> Lake:
    return Lake(shutil.copytree(ROOT / "tests" / "fixtures" / "format3", tmp_path / "old"))


def rows(lake: Lake, sql: str) -> list[tuple[object, ...]]:
    with connect(lake.root) as con:
        return con.execute(sql).fetchall()


def test_it_opens_whole_and_answers_with_its_model(old: Lake) -> None:
    assert rows(old, "SELECT doc_id, n_sentences FROM documents ORDER BY doc_id") == [
        ("file:///corpus/money.txt", 2),
        ("file:///corpus/river.txt", 4),
        ("j1", 2),
    ]
    assert rows(old, "SELECT count(*) FROM words WHERE word_lower = 'bank'") == [(2,)]
    assert rows(old, "SELECT code FROM rejects") == [("bad-json",)]
    with connect(old.root, functions=ModelFunctions()) as con:
        found = con.execute("SELECT text FROM nearest('The meadows were flooded.', k := 1)").fetchall()
    assert found == [("The fields were under water for a week.",)]
    with Catalog.open(old) as catalog:
        assert verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings == ()


def test_the_same_encoding_goes_on_in_it(old: Lake, tmp_path: Path) -> None:
    with Catalog.open(old) as catalog:
        (encoding,) = catalog.encodings()
    engine = EngineConfig(device="cpu")
    assert Engine(engine).spec.encoding_id == encoding.encoding_id

    (tmp_path / "more.txt").write_text("The heron stood in the reeds.")
    report = embed_corpus(EmbedRequest(sources=[str(tmp_path / "more.txt")], lake=str(old.root), engine=engine))
    assert (report.tally.new, report.tally.deleted) == (1, 0)
    assert rows(old, "SELECT count(*) FROM documents") == [(4,)]
    again = backfill(BackfillRequest(lake=str(old.root), engine=engine))
    assert (again.tally.unchanged, again.counts.documents) == (4, 0)
