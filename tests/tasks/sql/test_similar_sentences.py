"""`similar_sentences`: the pairs of sentences whose vectors have a cosine, as comparing each with each finds them."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.schemas import embedding_type
from polyseme.storage.sql.connection import connect
from polyseme.tasks.sql import similar_sentences as searched
from polyseme.tasks.sql.functions import ModelFunctions
from tests import lakes

WIDTH = 64
PAIRS = "SELECT doc_id, sentence_index, other_doc_id, other_sentence_index FROM similar_sentences(at_least := {})"
BY_EACH = """
SELECT a.doc_id, a.sentence_index, b.doc_id, b.sentence_index FROM sentences AS a JOIN sentences AS b
ON (a.doc_id, a.sentence_index) < (b.doc_id, b.sentence_index)
WHERE array_cosine_similarity(a.embedding, b.embedding) >= {}
"""


@pytest.fixture
def catalog(lake: Lake) -> Iterator[Catalog]:
    """A catalog that has no encoding yet."""
    with Catalog.create_or_open(lake) as opened:
        yield opened


@pytest.fixture
def clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors that are written lie about a few others: three, a little apart."""
    random = np.random.default_rng(5)
    centres = random.standard_normal((3, WIDTH))

    def made(count: int, width: int) -> pa.Array:
        numbers = centres[random.integers(0, 3, count)] + 0.12 * random.standard_normal((count, width))
        flat = pa.array(numbers.astype(np.float16).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, type=embedding_type(width))

    monkeypatch.setattr(lakes, "vectors", made)


def commit(catalog: Catalog, texts: dict[str, list[str]]) -> None:
    lakes.commit(catalog, lakes.make_spec(width=WIDTH), texts)


def ask(lake: Lake, query: str) -> list[tuple[object, ...]]:
    with connect(lake, functions=ModelFunctions()) as con:
        return con.execute(query).fetchall()


@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize("at_least", [0.95, 0.98])
def test_pairs_are_those_of_each_with_each(catalog: Catalog, lake: Lake, at_least: float) -> None:
    commit(catalog, {f"d{n}": [f"Sentence {n} {i}." for i in range(4)] for n in range(12)})
    commit(catalog, {"d3": ["Another one.", "And one more."]})
    found, right = (set(ask(lake, query.format(at_least))) for query in (PAIRS, BY_EACH))
    assert len(right) > 20
    assert found <= right
    assert len(found) / len(right) > 0.9
    assert {doc for pair in found for doc in pair[::2]} >= {"d3"}


@pytest.mark.usefixtures("clusters")
def test_the_most_similar_come_first_and_have_their_texts(catalog: Catalog, lake: Lake) -> None:
    commit(catalog, {f"d{n}": [f"Sentence {n}."] for n in range(9)})
    rows = ask(lake, "SELECT similarity, doc_id, text, other_doc_id, other_text FROM similar_sentences()")
    assert rows == sorted(rows, key=lambda row: -row[0])  # type: ignore[operator]
    assert all((text, other_text) == (f"Sentence {a[1:]}.", f"Sentence {b[1:]}.") for _, a, text, b, other_text in rows)  # type: ignore[index]


@pytest.mark.usefixtures("clusters")
def test_a_text_is_in_no_pair_with_itself_and_marks_are_in_none(catalog: Catalog, lake: Lake) -> None:
    commit(catalog, {"a": ["The same.", "Other.", "====="], "b": ["The  same.", "==="], "c": ["The same."]})
    assert set(ask(lake, PAIRS.format(0.8))) <= {("a", 0, "a", 1)}


@pytest.mark.usefixtures("clusters")
def test_of_sentences_with_the_same_text_the_first_stands_for_all(catalog: Catalog, lake: Lake) -> None:
    for name in "zam":  # not in the order in which they were written
        commit(catalog, {name: ["The same."], f"{name}2": [f"Other {n} of {name}." for n in range(6)]})
    found = ask(lake, PAIRS.format(0.8))
    said = {(row[at], row[at + 1]) for row in found for at in (0, 2) if row[at] in ("z", "a", "m")}
    assert said == {("a", 0)}


@pytest.mark.usefixtures("clusters")
def test_only_documents_that_are_asked_for_are_compared(catalog: Catalog, lake: Lake) -> None:
    commit(catalog, {f"d{n}": [f"Sentence {n}."] for n in range(12)})
    every = set(ask(lake, PAIRS.format(0.95)))
    some = set(ask(lake, PAIRS.format("0.95, docs := ['d1', 'd2', 'd3', 'd4', 'gone']")))
    assert some == {pair for pair in every if {pair[0], pair[2]} <= {"d1", "d2", "d3", "d4"}}
    assert ask(lake, PAIRS.format("0.95, docs := []")) == []
    assert ask(lake, PAIRS.format("0.95, docs := (SELECT list(doc_id) FROM documents WHERE doc_id = 'gone')")) == []


def test_a_lake_without_a_sentence_has_no_pair(catalog: Catalog, lake: Lake) -> None:
    catalog.register_encoding(lakes.make_spec(width=WIDTH))
    assert ask(lake, PAIRS.format(0.95)) == []
    assert ask(lake, PAIRS.format("NULL")) == []


@pytest.mark.parametrize("at_least", [0.5, 1.1, -1])
def test_what_is_no_similarity_is_refused(catalog: Catalog, lake: Lake, at_least: float) -> None:
    commit(catalog, {"a": ["One."]})
    functions = ModelFunctions()
    with connect(lake, functions=functions) as con, pytest.raises(duckdb.Error, match=r"cosine of their vectors"):
        con.execute(PAIRS.format(at_least)).fetchall()
    assert isinstance(functions.failure, UsageError)


@pytest.mark.usefixtures("clusters")
def test_more_pairs_than_fit_into_memory_are_refused(
    catalog: Catalog, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searched, "MOST_PAIRS", 3)
    commit(catalog, {f"d{n}": [f"Sentence {n}."] for n in range(12)})
    functions = ModelFunctions()
    with connect(lake, functions=functions) as con, pytest.raises(duckdb.Error, match=r"More than 3 pairs"):
        con.execute(PAIRS.format(0.9)).fetchall()
    assert isinstance(functions.failure, PolysemeError)
    assert "--at-least 0.95), or of some documents (docs := ['…'], --where CONDITION)" in str(functions.failure)


@pytest.mark.usefixtures("clusters")
def test_a_query_finds_the_pairs_as_it_runs_and_not_while_it_is_planned(catalog: Catalog, lake: Lake) -> None:
    """What is found while planning is a constant, of which DuckDB keeps 700 bytes a pair."""
    commit(catalog, {f"d{n}": [f"Sentence {n}."] for n in range(9)})
    functions = ModelFunctions()
    with connect(lake, functions=functions) as con:
        con.execute("EXPLAIN FROM similar_sentences()")
        assert functions.doing is None
        con.execute("FROM similar_sentences()")
        assert functions.doing is not None
