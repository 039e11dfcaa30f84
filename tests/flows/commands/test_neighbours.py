"""Neighbours, and search by words and vectors together: the macros and their commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

from polyseme.flows.cli import main
from polyseme.storage.lake import Lake
from polyseme.storage.records import Outputs
from polyseme.storage.sql.connection import connect
from tests import embedded_lakes

QUERY = "the gold of the bank"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return embedded_lakes.make(tmp_path_factory.mktemp("lake"), embedded_lakes.documents())


@pytest.fixture(scope="module")
def con(made: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(made.root) as opened:
        yield opened


def polyseme(capfd: pytest.CaptureFixture[str], made: Lake, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main([*words, "--lake", str(made.root)])
    out, err = capfd.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


def test_a_fused_score_is_the_sum_of_reciprocal_ranks(con: duckdb.DuckDBPyConnection) -> None:
    found = con.execute("SELECT score, doc_id, sentence_index, vector_rank, text_rank FROM hybrid(?, k := 99)",
                        [QUERY]).fetchall()  # fmt: skip
    ranks = {}
    for macro in ("nearest", "bm25"):
        rows = con.execute(f"SELECT doc_id, sentence_index FROM {macro}(?, k := 100)", [QUERY]).fetchall()
        ranks[macro] = {row: rank for rank, row in enumerate(rows, 1)}
    assert {(d, i) for _, d, i, _, _ in found} == set(ranks["nearest"]) | set(ranks["bm25"])
    for score, doc_id, index, *both in found:
        expected = [ranks[macro].get((doc_id, index)) for macro in ("nearest", "bm25")]
        assert both == expected
        assert score == pytest.approx(sum(1 / (60 + rank) for rank in expected if rank))
    scores = [row[0] for row in found]
    assert scores == sorted(scores, reverse=True)
    assert (
        con.execute("FROM hybrid(?, k := 2)", [QUERY]).fetchall()
        == con.execute("FROM hybrid(?, k := 99) LIMIT 2", [QUERY]).fetchall()
    )


def test_late_interaction_sums_the_most_similar_word_of_each_word(con: duckdb.DuckDBPyConnection) -> None:
    found = con.execute("SELECT score, doc_id, sentence_index FROM maxsim(?, k := 99)", [QUERY]).fetchall()
    asked = con.execute("SELECT embed_word(?, unnest(['the', 'gold', 'of', 'bank']))", [QUERY]).fetchall()
    vectors = np.array([vector for (vector,) in asked])
    for score, doc_id, index in found:
        rows = con.execute(
            "SELECT embedding FROM words WHERE doc_id = ? AND sentence_index = ? AND word <> '.'", [doc_id, index]
        ).fetchall()
        words = np.array([vector for (vector,) in rows])
        cosines = vectors @ words.T / np.linalg.norm(vectors, axis=1)[:, None] / np.linalg.norm(words, axis=1)
        assert score == pytest.approx(cosines.max(axis=1).sum(), abs=1e-4)
    assert found[0][1] == "safe"
    assert con.execute("FROM maxsim(?, docs := [])", [QUERY]).fetchall() == []


def test_late_interaction_refuses_to_rank_by_some_of_the_words(tmp_path: Path) -> None:
    for name, outputs in (("none", Outputs("sentences")), ("some", Outputs(words=frozenset({"bank"})))):
        made = embedded_lakes.make(tmp_path / name, embedded_lakes.documents()[:2], outputs=outputs)
        with connect(made.root) as con:
            assert con.execute("SELECT count(*) FROM hybrid(?)", [QUERY]).fetchone() != (0,)
            with pytest.raises(duckdb.Error, match="backfill --level words"):
                con.execute("SELECT count(*) FROM maxsim(?)", [QUERY]).fetchall()


def test_neighbours_are_other_words_by_their_centred_means(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute("SELECT * FROM neighbours('Bank', k := 5, at_least := 2)").fetchall()
    assert len(rows) == 5
    assert "bank" not in {word for word, _, _ in rows}
    assert all(n >= 2 for _, n, _ in rows)
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)
    senses = [con.execute(f"FROM neighbours('bank', sense := {n}, at_least := 2)").fetchall() for n in (1, 2)]
    assert senses[0] != senses[1]
    assert con.execute("FROM neighbours('bank', sense := 9)").fetchall() == []
    assert con.execute("FROM neighbours(NULL)").fetchall() == con.execute("FROM neighbours('nowhere')").fetchall() == []


def test_the_command_lists_neighbours_and_says_why_there_are_none(
    capfd: pytest.CaptureFixture[str], made: Lake
) -> None:
    rows = json.loads(polyseme(capfd, made, "neighbours", "bank", "--at-least", "2", "-k", "3", "--json")[1])
    assert [set(row) for row in rows] == [{"word", "occurrences", "similarity"}] * 3
    assert polyseme(capfd, made, "neighbours", "nowhere", "--json") == (
        1,
        "[]\n",
        "'nowhere' does not occur in the lake.\n",
    )
    assert "No other word occurs 99 times" in polyseme(capfd, made, "neighbours", "bank", "--at-least", "99")[2]
    code, _, err = polyseme(capfd, made, "neighbours", "bank", "--sense", "7")
    assert (code, "has the senses 1 to 2, and no 7" in err) == (2, True)


def test_search_finds_by_words_and_by_both(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    text = json.loads(polyseme(capfd, made, "search", "heron", "--mode", "text", "--json")[1])
    assert [hit["text"] for hit in text] == ["A heron stood in the water."]
    both = json.loads(polyseme(capfd, made, "search", "heron", "--mode", "hybrid", "-k", "3", "--json")[1])
    assert both[0]["text"] == "A heron stood in the water."
    assert len(both) == 3
    rows = polyseme(capfd, made, "search", "heron", "--mode", "text", "--format", "csv")[1].splitlines()
    assert rows[0] == "score,uri,title,doc_id,sentence_index,text,text_before,text_after"
    assert len(rows) == 2
    where = ["--where", "title = 'On safe'"]
    assert polyseme(capfd, made, "search", "heron", "--mode", "text", *where)[1] == "Nothing found.\n"
    code, _, err = polyseme(capfd, made, "search", "heron", "--mode", "text", "--words")
    assert (code, "finds sentences" in err) == (2, True)
