"""`polyseme senses` and `coherence`, and the macros below them, on a small real lake."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import duckdb
import pytest

from polyseme.flows.cli import main
from polyseme.storage.lake import Lake
from polyseme.storage.records import Outputs
from polyseme.storage.sql.connection import connect
from tests import embedded_lakes
from tests.extras import require
from tests.flows.explorer.reading import Reading, charts

KITCHEN = (
    "A sourdough starter is flour and water. The flour feeds the yeast in the jar. The yeast makes the dough rise. "
    "The dough is baked when it has risen. "
)
RAILWAY = (
    "The railway reached the town in 1864. Its first locomotive was met by a brass band. The trains carried coal to "
    "the harbour. The company closed the line in 1931."
)

BANKS = {
    "river": "The river left its bank in spring. Willows grew on the bank of the stream. He sat on the muddy bank and "
    "fished. The boat drifted to the far bank.",
    "canal": "We moored at the bank of the canal. Reeds grew along the bank. The dog climbed up the steep bank from "
    "the water. The path follows the bank of the river.",
    "money": "The bank lent him the money. He paid it back to the bank within a year. The bank raised its interest "
    "rates. She works for a bank in London.",
    "loan": "She asked the bank for a loan. The bank refused to pay. He opened an account at the bank. The bank sold "
    "its shares in the company.",
}
"""Four occurrences of one word in each, in two senses."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    texts = embedded_lakes.TEXTS | {"spliced": KITCHEN + RAILWAY}
    return embedded_lakes.make(tmp_path_factory.mktemp("lake"), embedded_lakes.documents(texts))


@pytest.fixture(scope="module")
def con(made: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(made.root) as opened:
        yield opened


def polyseme(capfd: pytest.CaptureFixture[str], made: Lake, *words: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main([*(str(word) for word in words), "--lake", str(made.root)])
    out, err = capfd.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


def one(con: duckdb.DuckDBPyConnection, sql: str) -> Any:
    return con.execute(sql).fetchall()[0][0]


def test_senses_gives_every_occurrence_once_with_its_own_context(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute("SELECT doc_id, text_before, word, text_after, size, rank FROM senses('Bank')").fetchall()
    assert len(rows) == one(con, "SELECT count(*) FROM occurrences('bank')")
    for doc_id, before, word, after, size, rank in rows:
        assert f"{before}{word}{after}" in embedded_lakes.TEXTS[doc_id]
        assert 1 <= rank <= size


def test_the_senses_of_bank_are_water_and_money(con: duckdb.DuckDBPyConnection) -> None:
    sql = "SELECT sense, doc_id IN ('river', 'canal', 'brook') AS wet, count(*) FROM senses('bank') GROUP BY ALL"
    counted = con.execute(sql).fetchall()
    assert {sense for sense, _, _ in counted} == {1, 2}
    assert len(counted) == 2, f"each sense holds one kind of bank: {counted}"


def test_polysemy_ranks_words_by_how_varied_their_use_is(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute("SELECT word, occurrences, distance FROM polysemy(at_least := 4)").fetchall()
    words = [word for word, _, _ in rows]
    assert "bank" in words
    assert all(word.isalpha() for word in words)
    assert all(count >= 4 for _, count, _ in rows)
    distances = [distance for _, _, distance in rows]
    assert distances == sorted(distances, reverse=True)
    pairs = """
    SELECT avg(1 - array_cosine_similarity(a.embedding, b.embedding)) FROM occurrences('bank') a, occurrences('bank') b
    WHERE (a.doc_id, a.sentence_index, a.word_index) <> (b.doc_id, b.sentence_index, b.word_index)"""
    assert dict(zip(words, distances, strict=True))["bank"] == pytest.approx(one(con, pairs), abs=1e-5)


def test_drift_is_larger_between_two_senses_than_within_one(tmp_path: Path) -> None:
    lake = embedded_lakes.make(tmp_path / "lake", embedded_lakes.documents({**BANKS, "none": KITCHEN}))
    with connect(lake.root) as con:

        def drift(these: list[str], those: list[str]) -> tuple[Any, ...]:
            return con.execute("FROM drift('bank', ?, ?)", [these, those]).fetchall()[0]

        across = drift(["river", "canal"], ["money", "loan"])
        assert across[:2] == (8, 8)
        for within in (drift(["river"], ["canal"]), drift(["money"], ["loan"])):
            assert within[:2] == (4, 4)
            assert across[2] > 1.4 * within[2], "mean distance of two occurrences"
            assert across[3] > 3 * within[3], "distance of their means"
        assert drift(["river"], ["none"])[2:] == (None, None)


def test_breaks_finds_the_join_of_a_spliced_text(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute("SELECT sentence_index, is_break FROM breaks('spliced')").fetchall()
    assert [index for index, is_break in rows if is_break] == [3]
    assert one(con, "SELECT count(*) FROM breaks('nothing')") == 0


def test_breaks_have_gains_above_0_and_need_no_nsp(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    gains = con.execute("SELECT is_break, gain FROM breaks('spliced')").fetchall()
    assert all((gain > 0) == is_break for is_break, gain in gains)
    found = embedded_lakes.documents({"spliced": KITCHEN + RAILWAY})
    lake = embedded_lakes.make(tmp_path / "lake", found, outputs=Outputs("sentences", None, nsp=False))
    with connect(lake.root) as bare:
        rows = bare.execute("SELECT sentence_index, margin, next_text IS NOT NULL FROM breaks('spliced')").fetchall()
    assert rows == [(i, None, True) for i in range(7)]


def test_z_scores_are_in_deviations_of_random_pairs(con: duckdb.DuckDBPyConnection) -> None:
    sql = """
    WITH chance AS (SELECT avg(nsp_logit_is_next::DOUBLE - nsp_logit_not_next) AS mean,
                           stddev_samp(nsp_logit_is_next::DOUBLE - nsp_logit_not_next) AS deviation
                    FROM transitions WHERE kind = 'random')
    SELECT max(abs(z_score - (margin - mean) / deviation)) FROM coherence, chance"""
    assert one(con, sql) < 1e-9


@pytest.mark.parametrize(
    "sql", ["FROM senses('nowhere')", "FROM senses(NULL)", "FROM breaks(NULL)", "FROM polysemy(at_least := 9999)"]
)
def test_what_is_not_there_is_an_empty_table(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert con.execute(sql).fetchall() == []


def test_a_lake_without_nsp_is_not_said_to_have_no_sentences(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = embedded_lakes.documents({"kitchen": KITCHEN})
    lake = embedded_lakes.make(tmp_path / "lake", found, outputs=Outputs("sentences", None, nsp=False))
    code, out, _ = polyseme(capfd, lake, "coherence")
    assert (code, out) == (
        0,
        "No text in the lake has scored steps: all are of one sentence, were embedded with --no-nsp, or by a model "
        "that has no head for it (polyseme doctor --model MODEL tells).\n",
    )  # fmt: skip


def test_the_command_shows_senses_and_draws_them(capfd: pytest.CaptureFixture[str], made: Lake, tmp_path: Path) -> None:
    plot = tmp_path / "bank.html"
    code, out, _ = polyseme(capfd, made, "senses", "bank", "-k", "2", "--plot", plot)
    assert code == 0
    assert out.count("[bank]") == 4
    (points,) = charts(plot.read_text("utf-8"))
    assert len(points) == len(re.findall(r"\bbank\b", " ".join(embedded_lakes.TEXTS.values())))
    assert {point["word"] for point in points} == {"bank"}
    groups = json.loads(polyseme(capfd, made, "senses", "BANK", "--json")[1])
    assert [group["sense"] for group in groups] == [1, 2]
    assert polyseme(capfd, made, "senses", "nowhere") == (1, "", "'nowhere' does not occur in the lake.\n")


@pytest.mark.extra
def test_a_figure_of_the_senses_has_a_mark_an_occurrence(
    capfd: pytest.CaptureFixture[str], made: Lake, tmp_path: Path
) -> None:
    require("matplotlib", "plot")
    assert polyseme(capfd, made, "senses", "bank", "--plot", tmp_path / "bank.svg")[0] == 0
    figure = ElementTree.parse(tmp_path / "bank.svg").getroot()
    axes = next(group for group in figure.iter() if group.get("id") == "axes_1")
    marks = [g for g in axes if g.get("id", "").startswith("PathCollection")]
    found = sum(len(list(group.iter("{http://www.w3.org/2000/svg}use"))) for group in marks)
    assert (len(marks), found) == (2, len(re.findall(r"\bbank\b", " ".join(embedded_lakes.TEXTS.values()))))


def test_the_command_ranks_documents_and_shows_where_one_breaks(
    capfd: pytest.CaptureFixture[str], made: Lake, tmp_path: Path
) -> None:
    ranking = json.loads(polyseme(capfd, made, "coherence", "--worst", "3", "--json")[1])
    assert [r["mean_margin"] for r in ranking] == sorted(r["mean_margin"] for r in ranking)
    assert len(ranking) == 3
    (spliced,) = [r for r in json.loads(polyseme(capfd, made, "coherence", "--json")[1]) if r["doc_id"] == "spliced"]
    assert (spliced["breaks"], spliced["deepest_break"]) == (1, 3)
    assert spliced["mean_order_margin"] > 0
    ordered = [r["order_score"] for r in json.loads(polyseme(capfd, made, "coherence", "--by", "order", "--json")[1])]
    scored = [score for score in ordered if score is not None]
    assert ordered == sorted(scored) + [None] * (len(ordered) - len(scored))
    curve = json.loads(polyseme(capfd, made, "coherence", "On spliced", "--json")[1])
    assert {k: curve[k] for k in ("breaks", "deepest_break", "order_score")} == {
        k: spliced[k] for k in ("breaks", "deepest_break", "order_score")
    }
    assert {"gain", "cosine", "order_margin"} <= set(curve["steps"][0])
    plot = tmp_path / "curve.html"
    code, out, _ = polyseme(capfd, made, "coherence", "On spliced", "--plot", plot)
    assert code == 0
    assert "Break after sentence 3 (deepest)" in out
    assert "standard deviations above a random order" in out
    assert "The railway reached" in out
    page = Reading(plot.read_text("utf-8"))
    assert ([*page.links, *page.loaded], page.open, page.stray) == (["#content"], [], [])
    assert [step["margin"] for step in charts(plot.read_text("utf-8"))[0]] == [
        step["margin"] for step in curve["steps"]
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["senses", "bank", "--plot", "x.jpg"], ".svg, .png, .pdf or .html"),
        (["senses", "bank", "-k", "0"], "at least 1"),
        (["coherence", "nowhere"], "No document"),
        (["coherence", "--plot", "x.svg"], "draws one document"),
        (["coherence", "spliced", "--plot", "no/such/folder/x.html"], "Cannot write"),
    ],
)
def test_options_that_make_no_sense_are_a_usage_error(
    capfd: pytest.CaptureFixture[str], made: Lake, words: list[str], message: str
) -> None:
    code, _, err = polyseme(capfd, made, *words)
    assert code == 2
    assert message in err
