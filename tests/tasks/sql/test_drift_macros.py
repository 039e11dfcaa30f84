"""Change of meaning in SQL: slices of one word, and the whole vocabulary, agree with the measures computed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from polyseme.storage.lake import Lake
from polyseme.storage.records import Document
from polyseme.storage.sql.connection import connect
from polyseme.tasks.analysis.drift import pairwise_distance, prototype_distance, spread
from polyseme.tasks.analysis.permutation import change_test
from polyseme.tasks.sql import vocabulary_scan
from polyseme.tasks.sql.functions import ModelFunctions
from tests import embedded_lakes

WET = (
    "The river left its bank in spring. Willows grew on the bank of the stream.",
    "We moored at the bank of the canal. Reeds grew along the bank.",
    "The brook has cut into its bank. Below the bank the water is deep.",
    "He sat on the muddy bank and fished. The boat drifted to the far bank.",
)
DRY = (
    "The bank lent him the money. He paid it back to the bank within a year.",
    "She asked the bank for a loan. The bank refused to pay.",
    "The bank keeps its gold in a vault. The clerk of the bank has the key.",
    "The bank raised its interest rates. She works for a bank in London.",
)
YEARS = dict(zip((1801, 1815, 1834, 1849, 1950, 1962, 1977, 1993), (*WET, *DRY), strict=True))
EARLY = "(SELECT list(doc_id) FROM documents WHERE (metadata->>'year')::INTEGER < 1900)"
LATE = "(SELECT list(doc_id) FROM documents WHERE (metadata->>'year')::INTEGER >= 1900)"


def documents() -> list[Document]:
    """Return eight documents of a year each, early ones about rivers, late ones about money, and one without."""
    found = [
        Document(doc_id=f"d{year}", uri=f"file:///{year}", text=text, title=str(year), metadata=f'{{"year": {year}}}')
        for year, text in YEARS.items()
    ]
    return [*found, Document(doc_id="undated", uri="file:///u", text="A bank of fog.", title="u", metadata="{}")]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return embedded_lakes.make(tmp_path_factory.mktemp("lake"), documents())


@pytest.fixture(scope="module")
def con(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(lake.root) as opened:
        yield opened


def rows(con: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> list[dict[str, Any]]:
    result = con.execute(sql, list(parameters))
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def occurrences(con: duckdb.DuckDBPyConnection, word: str, docs: str) -> tuple[np.ndarray, np.ndarray]:
    found = rows(con, f"SELECT doc_id, embedding FROM occurrences(?) WHERE list_contains({docs}, doc_id)", word)
    _, numbers = np.unique([row["doc_id"] for row in found], return_inverse=True)
    return np.array([row["embedding"] for row in found], np.float32), numbers


def test_the_slices_of_a_word_have_the_measures_of_their_occurrences(con: duckdb.DuckDBPyConnection) -> None:
    early, late = rows(con, "FROM drift_by('bank', metadata->>'year', bins := [1900])")
    one, docs = occurrences(con, "bank", EARLY)
    other, other_docs = occurrences(con, "bank", LATE)
    assert (early["slice"], late["slice"]) == ("before 1900", "from 1900")
    assert (early["occurrences"], early["documents"]) == (len(one), 4)
    assert early["spread"] == pytest.approx(spread(one), abs=1e-6)
    assert late["apd"] == pytest.approx(pairwise_distance(one, other), abs=1e-6)
    assert late["prt"] == pytest.approx(prototype_distance(one, other), abs=1e-6)
    test = change_test(one, other, docs, other_docs)
    assert (late["p"], late["exchanged"]) == (test.p, "documents")
    assert late["apd_corrected"] == pytest.approx(test.corrected_distance, abs=1e-6)
    assert late["p"] < 0.05
    assert sum(early["shares"]) == pytest.approx(1)
    assert early["apd"] is None


def test_without_bins_years_are_four_slices_of_equal_counts(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(con, "FROM drift_by('bank', metadata->>'year')")
    assert [row["occurrences"] for row in found] == [4, 4, 4, 4]
    assert [row["slice"] for row in found] == ["1801–1815", "1834–1849", "1950–1962", "1977–1993"]
    largest = max(found[1:], key=lambda row: row["apd_corrected"])
    assert largest["slice"] == "1950–1962"
    assert all(row["first_apd"] >= found[1]["first_apd"] for row in found[2:])


def test_any_expression_over_documents_makes_slices(con: duckdb.DuckDBPyConnection) -> None:
    for by in ("doc_id > 'd19'", "documents.title > '19'", "CASE WHEN doc_id IN (SELECT d.doc_id FROM documents AS d "
               "WHERE d.title > '19') THEN 'b' ELSE 'a' END"):  # fmt: skip
        first, second = rows(con, f"FROM drift_by('bank', {by})")
        assert (first["occurrences"], second["occurrences"]) == (8, 9)
    decades = rows(con, "FROM drift_by('BANK', metadata->>'year', bins := 'decade', permutations := 0)")
    assert [row["slice"] for row in decades][:3] == ["1800s", "1810s", "1830s"]
    assert all(row["p"] is None for row in decades)


@pytest.mark.parametrize(
    "sql",
    [
        "FROM drift_by('nothing', title)", "FROM drift_by('bank', metadata->>'nothing')", "FROM drift_by(NULL, title)",
        f"FROM drift_rank({EARLY}, [])", "FROM drift_rank(NULL, ['x'])",
    ],
)  # fmt: skip
def test_what_does_not_occur_has_no_rows(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert rows(con, sql) == []


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("FROM drift_by('bank', title, bins := '5')", "is neither"),
        ("FROM drift_by('bank', n_tokens, bins := 'many')", "say no slices"),
        ("FROM drift_by('bank', title, permutations := -1)", "0 or more"),
        (f"FROM drift_rank({EARLY}, {EARLY})", "in both lists"),
        (f"FROM drift_rank({EARLY}, {LATE}, at_least := 0)", "at least 1"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(con: duckdb.DuckDBPyConnection, sql: str, says: str) -> None:
    with pytest.raises(duckdb.Error, match=says):
        rows(con, sql)


def test_the_ranking_agrees_with_drift_for_every_word(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(con, f"FROM drift_rank({EARLY}, {LATE}, at_least := 2)")
    assert {"bank", "the"} <= {row["word"] for row in found}
    for row in found:
        (one,) = rows(con, f"FROM drift(?, {EARLY}, {LATE})", row["word"])
        assert (row["occurrences"], row["other_occurrences"]) == (one["occurrences"], one["other_occurrences"])
        assert row["apd"] == pytest.approx(one["pairwise_distance"], abs=1e-5)
        assert row["prt"] == pytest.approx(one["prototype_distance"], abs=1e-5)
    tested = {row["word"]: row for row in found}
    _, late = rows(con, "FROM drift_by('bank', metadata->>'year', bins := [1900])")
    assert tested["bank"]["p"] == late["p"]
    assert tested["bank"]["apd_corrected"] == pytest.approx(late["apd_corrected"], abs=1e-5)
    assert tested["bank"]["documents"] == 4
    ranked = [row["apd_corrected"] for row in found if row["apd_corrected"] is not None]
    assert ranked == sorted(ranked, reverse=True)
    assert all(row["p_adjusted"] >= row["p"] for row in found if row["p"] is not None)


def test_the_ranking_is_the_same_in_small_batches(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def ranked() -> list[dict[str, Any]]:
        with connect(lake.root) as con:
            return rows(con, f"FROM drift_rank({EARLY}, {LATE}, at_least := 2)")

    whole = ranked()
    monkeypatch.setattr(vocabulary_scan, "_SUMS_AT_ONCE", 5)
    monkeypatch.setattr(vocabulary_scan, "_ROWS_A_BLOCK", 3)
    in_batches = ranked()
    assert [row["word"] for row in in_batches] == [row["word"] for row in whole]
    for one, other in zip(whole, in_batches, strict=True):
        assert list(one.values())[1:] == pytest.approx(list(other.values())[1:], abs=1e-6)


def test_documents_beyond_the_groups_share_one(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary_scan, "GROUPS", 2)
    with connect(lake.root) as con:
        (bank,) = rows(con, f"FROM drift_rank({EARLY}, {LATE}, at_least := 8) WHERE word = 'bank'")
    assert (bank["documents"], bank["other_documents"]) == (4, 4)
    assert bank["p"] > 0.05, "of two groups a side no shuffling is rare"
    with connect(lake.root) as con:
        (again,) = rows(con, f"FROM drift('bank', {EARLY}, {LATE})")
    assert bank["apd"] == pytest.approx(again["pairwise_distance"], abs=1e-5)


def test_an_encoding_and_a_lake_without_any_have_the_macros_too(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert len(rows(con, "FROM drift_by_polyseme_mini('bank', metadata->>'year', bins := '2')")) == 2
    assert rows(con, f"FROM drift_rank_polyseme_mini({EARLY}, {LATE}, at_least := 8)")


def test_a_ranking_can_be_stopped_while_it_runs_and_after(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    functions = ModelFunctions()
    summed = vocabulary_scan._summed

    def stopping(*given: Any) -> Iterator[Any]:
        functions.stop()
        yield from summed(*given)

    with connect(lake.root, functions=functions) as con:
        monkeypatch.setattr(vocabulary_scan, "_summed", stopping)
        with pytest.raises(duckdb.Error, match="stopped"):
            rows(con, f"FROM drift_rank({EARLY}, {LATE}, at_least := 3)")
        monkeypatch.undo()
        functions.go_on()
        assert rows(con, f"FROM drift_rank({EARLY}, {LATE}, at_least := 3)")
        functions.stop()
