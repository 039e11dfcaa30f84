"""A lake made by an earlier version stays readable, and its texts can be encoded with the present embedded model.

`tests/fixtures/format3` holds two runs of `polyseme embed` over four documents: one document was replaced, one deleted,
one record refused.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from polyseme import EmbedRequest, EngineConfig, Lake, ModelFunctions, connect, embed_corpus
from polyseme.flows.backfill import BackfillRequest, backfill
from polyseme.storage.catalog import Catalog
from polyseme.storage.maintenance.verification import verify
from tests.flows.test_cli import polyseme
from tests.repository import ROOT

REPLACED = r"earlier version of polyseme-mini.* polyseme backfill --model polyseme-mini"
NEAREST = "SELECT text FROM nearest('The meadows were flooded.', k := 1)"

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]


@pytest.fixture
def old(tmp_path: Path) -> Lake:
    return Lake(shutil.copytree(ROOT / "tests" / "fixtures" / "format3", tmp_path / "old"))


def rows(lake: Lake, sql: str) -> list[tuple[object, ...]]:
    with connect(lake.root) as con:
        return con.execute(sql).fetchall()


def at(lake: Lake) -> tuple[str, str]:
    return "--lake", str(lake.root)


def test_it_opens_whole_and_says_that_its_model_was_replaced(old: Lake) -> None:
    assert rows(old, "SELECT doc_id, n_sentences FROM documents ORDER BY doc_id") == [
        ("file:///corpus/money.txt", 2),
        ("file:///corpus/river.txt", 4),
        ("j1", 2),
    ]
    assert rows(old, "SELECT count(*) FROM words WHERE word_lower = 'bank'") == [(2,)]
    assert rows(old, "SELECT count(order_margin), count(*) > 0 FROM transitions") == [(0, True)]
    assert rows(old, "SELECT code FROM rejects") == [("bad-json",)]
    with (
        connect(old.root, functions=ModelFunctions()) as con,
        pytest.raises(duckdb.Error, match=REPLACED),
    ):
        con.execute(NEAREST)
    with Catalog.open(old) as catalog:
        assert verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings == ()


def test_its_texts_are_encoded_with_the_present_model_beside_the_old_vectors(
    old: Lake, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "polyseme backfill --model polyseme-mini --from polyseme_mini " in polyseme(capfd, "status", *at(old))[1]
    request = BackfillRequest(lake=str(old.root), engine=EngineConfig(device="cpu"), name="present")
    assert backfill(request).counts.documents == 3
    assert backfill(request).tally.unchanged == 3
    assert rows(old, "SELECT count(order_margin) FROM transitions") == [(0,)]
    assert "With the present one:\n    polyseme status --default present " in polyseme(capfd, "status", *at(old))[1]
    assert "earlier version" not in polyseme(capfd, "status", "--default", "present", *at(old))[1]
    with connect(old.root, functions=ModelFunctions()) as con:
        assert con.execute(NEAREST).fetchall() == [("The fields were under water for a week.",)]
        assert con.execute("SELECT count(*) = count(order_margin) FROM transitions").fetchall() == [(True,)]


def test_a_run_with_the_present_model_adds_an_encoding_of_its_own(
    old: Lake, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "more.txt").write_text("The heron stood in the reeds.")
    engine = EngineConfig(device="cpu")
    report = embed_corpus(EmbedRequest(sources=[str(tmp_path / "more.txt")], lake=str(old.root), engine=engine))
    assert (report.tally.new, report.tally.deleted) == (1, 0)
    with Catalog.open(old) as catalog:
        assert len(catalog.encodings()) == 2
    assert rows(old, "SELECT count(*) FROM documents") == [(3,)]
    shown = polyseme(capfd, "status", *at(old))[1]
    assert "--default" not in shown, "it would hide three documents"
    assert "polyseme backfill --model polyseme-mini --from polyseme_mini " in shown
