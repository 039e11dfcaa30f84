"""A lake of a model with a sentence-order head and no NSP: what shows margins shows order margins, or does without."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from polyseme.flows.cli import main
from polyseme.flows.display.scores import without_missing_scores
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.records import Document, Outputs
from polyseme.storage.sql.connection import connect
from polyseme.tasks.sql.run_texts import read_run
from tests.flows.explorer.reading import charts
from tests.tasks.reused_lakes import embed
from tests.tasks.test_engine_families import engine, saved

TEXTS = {
    "fox": "The quick brown fox isn't naïve. It is a fox! Nobody knew it. The river left its bank in spring. It fell. "
    "The bank was gone. Nobody saw the fox again.",
    "hare": "The hare ran. The river rose. It is spring!",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    root = tmp_path_factory.mktemp("order")
    model = engine(saved(root / "model", "albert", "ForPreTraining"))
    for name, text in TEXTS.items():
        embed(root / "lake", [Document(name, f"file:///{name}.txt", text, title=name)], model, Outputs("words", None))
    return Lake(root / "lake")


def polyseme(capfd: pytest.CaptureFixture[str], made: Lake, *words: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        main([*words, "--lake", str(made.root)])
    out, err = capfd.readouterr()
    assert exit_.value.code == 0, err
    return out


def test_steps_are_scored_by_default(tmp_path: Path) -> None:
    model = engine(saved(tmp_path, "albert", "ForPreTraining"))
    assert without_missing_scores(model, Outputs(), asked=None) == Outputs()
    model.check(Outputs())


def test_the_view_has_order_margins_and_no_number_of_nsp(made: Lake) -> None:
    with connect(made.root) as con:
        counts = con.execute(
            "SELECT count(*), count(order_margin), count(cosine), count(margin), count(probability), "
            "count(percentile), count(z_score) FROM coherence"
        ).fetchall()
        breaks = con.execute("SELECT count(*), count(margin), count(gain) FROM breaks('fox')").fetchall()
    assert counts == [(8, 8, 8, 0, 0, 0, 0)]
    assert breaks == [(6, 0, 6)]


def test_documents_are_ranked_by_their_order_margins(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    ranking = json.loads(polyseme(capfd, made, "coherence", "--json"))
    margins = [row["mean_order_margin"] for row in ranking]
    assert margins == sorted(margins)
    assert [(row["mean_margin"], row["worst_after"], row["margins"]) for row in ranking] == [(None, None, [])] * 2
    table = polyseme(capfd, made, "coherence")
    assert "order margin" in table
    assert "mean margin" not in table
    assert "None" not in table


def test_the_curve_of_a_document_is_that_of_its_order_margins(
    capfd: pytest.CaptureFixture[str], made: Lake, tmp_path: Path
) -> None:
    shown = polyseme(capfd, made, "coherence", "fox", "--plot", str(tmp_path / "fox.html"))
    assert "Topic: mean cosine" in shown
    assert "mean order margin" in shown
    assert "None" not in shown
    page = (tmp_path / "fox.html").read_text("utf-8")
    assert "fox: order margin of each step" in page
    assert all(row["order_margin"] is not None for row in charts(page)[0])


def test_a_report_says_that_no_step_has_a_margin(capfd: pytest.CaptureFixture[str], made: Lake, tmp_path: Path) -> None:
    polyseme(capfd, made, "report", "-o", str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "No transitions were scored with NSP." in page
    with connect(made.root) as con:
        run_ids = con.execute("SELECT run_id FROM runs").fetchall()
        assert [read_run(con, run_id)[0] for (run_id,) in run_ids] == [[], []]


def test_the_lake_is_whole_and_stays_so_when_it_is_compacted(made: Lake) -> None:
    with connect(made.root) as con:
        before = con.execute("FROM coherence ORDER BY doc_id, sentence_index").fetchall()
    with Catalog.open(made) as catalog:
        assert [merge.outcome for merge in compact(catalog).merges if merge.table == "transitions"] == ["merged"]
        assert verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings == ()
    with connect(made.root) as con:
        assert con.execute("FROM coherence ORDER BY doc_id, sentence_index").fetchall() == before
