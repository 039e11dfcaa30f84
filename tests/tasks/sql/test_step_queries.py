"""Steps have an order margin where the lake's view has one, and NULL where it does not."""

from __future__ import annotations

import duckdb
import pytest

from polyseme.tasks.sql.step_queries import cosine_scale, step_margins


@pytest.mark.parametrize(("column", "expected"), [("", None), (", 1.5::FLOAT AS order_margin", 1.5)])
def test_order_margins_are_read_where_there_are_any(column: str, expected: float | None) -> None:
    with duckdb.connect() as con:
        kinds = "unnest(['adjacent', 'random']) AS kind"
        names = "'a' AS doc_id, 0 AS sentence_index, 'b' AS next_doc_id"
        scores = "3::FLOAT AS nsp_logit_is_next, 1::FLOAT AS nsp_logit_not_next, 0.5 AS cosine"
        con.execute(f"CREATE VIEW transitions_x AS SELECT {names}, {kinds}, {scores} {column}")
        assert con.execute(step_margins("_x")).fetchall() == [("a", 0, 2.0, expected)]
        assert con.execute(cosine_scale("_x")).fetchall() == [(0.5, 0.5)]
