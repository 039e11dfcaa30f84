"""Steps have an order margin if the checkpoint had an order head, and NULL in parts of versions without the column."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from polyseme.storage.sql.connection import connect
from polyseme.tasks.sql.step_queries import cosine_scale, step_margins
from tests.repository import ROOT

OLD = ROOT / "tests" / "fixtures" / "format3"


def test_margins_are_log_odds_of_the_steps_alone() -> None:
    with duckdb.connect() as con:
        kinds = "unnest(['adjacent', 'random']) AS kind"
        names = "'a' AS doc_id, 0 AS sentence_index, 'b' AS next_doc_id"
        scores = "3::FLOAT AS nsp_logit_is_next, 1::FLOAT AS nsp_logit_not_next, 0.5 AS cosine, 1.5 AS order_margin"
        con.execute(f"CREATE VIEW transitions_x AS SELECT {names}, {kinds}, {scores}")
        assert con.execute(step_margins("_x")).fetchall() == [("a", 0, 2.0, 1.5)]
        assert con.execute(cosine_scale("_x")).fetchall() == [(0.5, 0.5)]


def test_a_lake_of_the_version_before_has_margins_and_no_order_margins(tmp_path: Path) -> None:
    with connect(shutil.copytree(OLD, tmp_path / "lake")) as con:
        rows = con.execute(step_margins("")).fetchall()
    assert len(rows) == 5
    assert all(margin is not None and order is None for *_, margin, order in rows)
