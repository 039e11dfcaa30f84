"""SQL functions that search: by an index what comparing all finds, and only among the documents that are named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.sql import indexed_rows, sentence_search, word_search
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.shared import Shared
from polyseme.tasks.sql.execution import Queries
from polyseme.tasks.sql.functions import ModelFunctions
from tests import embedded_lakes, lakes
from tests.tasks.sql.asked import rows


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return embedded_lakes.make(tmp_path_factory.mktemp("lake"), embedded_lakes.documents())


@pytest.fixture(scope="module")
def con(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(lake.root) as opened:
        yield opened


def test_nearest_finds_stored_sentences_best_first(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(con, "SELECT similarity, doc_id, title, text FROM nearest('The bank lent him the money.', k := 4)")
    assert found[0][1:] == ("money", "On money", "The bank lent him the money.")
    assert found[0][0] == pytest.approx(1, abs=1e-4)
    assert [f[0] for f in found] == sorted((f[0] for f in found), reverse=True)
    assert len(found) == 4


def test_nearest_agrees_with_plain_sql_over_parquet(con: duckdb.DuckDBPyConnection) -> None:
    plain = rows(
        con,
        "SELECT doc_id, d.title, sentence_index, s.text FROM sentences AS s JOIN documents AS d USING (doc_id) "
        "ORDER BY array_cosine_similarity(embedding, embed('deep water')) DESC LIMIT 6",
    )
    assert rows(con, "SELECT doc_id, title, sentence_index, text FROM nearest('deep water', k := 6)") == plain
    sql = "SELECT doc_id, title, sentence_index, text FROM nearest_to((SELECT embed('deep water')), k := 6)"
    assert rows(con, sql) == plain


@pytest.mark.servers
def test_in_an_object_store_they_are_found_with_titles_and_texts(s3_root: str, tmp_path: Path) -> None:
    lake, spec = Lake(s3_root, f"sqlite:///{tmp_path / 'catalog.sqlite'}"), lakes.make_spec()
    with Catalog.create_or_open(lake) as catalog:
        lakes.commit(catalog, spec, {"a": ["One.", "Two."], "b": ["Three."]})
        lakes.commit(catalog, spec, {"b": ["Four.", "Five."]})
    sql = "SELECT doc_id, title, sentence_index, text FROM nearest_to([1, 1, 1, 1], k := 9, exact := {exact})"
    with connect(lake, functions=ModelFunctions(device="cpu")) as con:
        found = [sorted(rows(con, sql.format(exact=exact))) for exact in ("false", "true")]
        title = {row[0]: row[1] for row in rows(con, "SELECT doc_id, title FROM documents")}
    texts = {("a", 0): "One.", ("a", 1): "Two.", ("b", 0): "Four.", ("b", 1): "Five."}
    assert found[0] == found[1] == [(doc, title[doc], index, text) for (doc, index), text in texts.items()]


@pytest.fixture
def indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where indexes of vectors are kept, of lakes however small."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(indexed_rows, "WORTH_AN_INDEX", 1)
    monkeypatch.setattr(sentence_search, "_shared", Shared(2))
    monkeypatch.setattr(word_search, "_shared", Shared(2))
    return tmp_path / "cache" / "polyseme" / "codes"


@pytest.mark.parametrize("docs", ["['*']", "['river', 'money']", "[]", "(SELECT list(doc_id) FROM documents LIMIT 2)"])
def test_by_an_index_and_exact_the_same_sentences_are_found(lake: Lake, indexed: Path, docs: str) -> None:
    with connect(lake, functions=ModelFunctions(device="cpu")) as con:
        found = [rows(con, f"FROM nearest('deep water', k := 6, docs := {docs}, exact := {exact})")
                 for exact in ("false", "true")]  # fmt: skip
    assert [row[1:] for row in found[0]] == [row[1:] for row in found[1]]
    assert [row[0] for row in found[0]] == pytest.approx([row[0] for row in found[1]], abs=1e-6)
    assert list(indexed.iterdir())


def test_occurrences_of_any_word_are_found_by_their_use(lake: Lake, indexed: Path) -> None:
    with connect(lake, functions=ModelFunctions(device="cpu")) as con:
        asked = "embed_word('The bank lent him the money.', 'bank')"
        found = [
            rows(con, f"FROM nearest_occurrences({asked}, k := 8, exact := {exact})") for exact in ("false", "true")
        ]
        here = rows(con, f"FROM nearest_occurrences({asked}, k := 8, docs := ['river'])")
    assert [row[1:] for row in found[0]] == [row[1:] for row in found[1]]
    assert found[0][0][1:3] == ("bank", "money")
    assert {row[2] for row in here} == {"river"}


def test_many_questions_of_one_query_are_each_answered(lake: Lake, indexed: Path) -> None:
    with connect(lake, functions=ModelFunctions(device="cpu")) as con:
        sql = """
SELECT s.doc_id, s.sentence_index,
       list_transform(
           nearest_rows(s.embedding, 1, CASE WHEN s.sentence_index = 0 THEN ['*'] ELSE [s.doc_id] END, false),
           lambda n: [n.doc_id, n.sentence_index::VARCHAR]
       )
FROM sentences AS s"""
        found = rows(con, sql)
    assert len(found) > 9
    assert all(neighbours == [[doc, str(index)]] for doc, index, neighbours in found)


def test_sql_that_can_write_no_files_has_the_index_made(lake: Lake, indexed: Path) -> None:
    with Queries(lake, ModelFunctions(device="cpu")) as queries:
        assert queries.ask("FROM nearest('deep water')")
        assert queries.progress[2] is None
    assert list(indexed.iterdir())


def test_nearest_searches_only_the_documents_named(con: duckdb.DuckDBPyConnection) -> None:
    wet = "(SELECT list(doc_id) FROM documents WHERE (metadata->>'n')::INTEGER < 3)"
    found = {doc_id for (doc_id,) in rows(con, f"SELECT doc_id FROM nearest('money', k := 99, docs := {wet})")}
    assert found == {"river", "canal", "brook"}
    none = "(SELECT list(doc_id) FROM documents WHERE false)"
    assert rows(con, f"FROM nearest('money', docs := {none})") == []
