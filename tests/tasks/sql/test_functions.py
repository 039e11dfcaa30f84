"""SQL functions that need the model, called through `polyseme.storage.sql.connection.connect` as in a notebook."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import ModelError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Outputs
from polyseme.storage.sql.connection import connect
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference import cached
from polyseme.tasks.sql.functions import ModelFunctions
from tests import embedded_lakes, lakes, processes
from tests.tasks.sql.asked import one, rows


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return embedded_lakes.make(tmp_path_factory.mktemp("lake"), embedded_lakes.documents())


@pytest.fixture(scope="module")
def con(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(lake.root) as opened:
        yield opened


def test_embed_returns_the_vector_that_the_lake_stores_for_a_sentence(con: duckdb.DuckDBPyConnection) -> None:
    sql = "SELECT min(array_cosine_similarity(embedding, embed(text))), count(*) FROM sentences"
    alike, count = rows(con, sql)[0]
    assert count == 18
    assert alike > 0.99999
    assert one(con, "SELECT typeof(embed('x'))") == "FLOAT[384]"


def test_the_vector_of_a_text_beyond_the_limit_is_of_all_its_tokens(con: duckdb.DuckDBPyConnection) -> None:
    long = "water and money " * 600
    assert one(con, "SELECT array_cosine_similarity(embed($1), embed($2))", long, long + "bank ") < 1


def test_embed_word_returns_the_vector_that_the_lake_stores_for_an_occurrence(con: duckdb.DuckDBPyConnection) -> None:
    sql = """
    WITH first AS (FROM occurrences('bank')
                   QUALIFY row_number() OVER (PARTITION BY doc_id, sentence_index ORDER BY word_index) = 1)
    SELECT min(array_cosine_similarity(embedding, embed_word(sentence, 'BANK'))), count(*) FROM first"""
    alike, count = rows(con, sql)[0]
    assert count >= 9
    assert alike > 0.999
    assert one(con, "SELECT embed_word('A heron.', 'bank')") is None


def test_the_senses_of_bank_separate_by_nearest_neighbours(con: duckdb.DuckDBPyConnection) -> None:
    sql = """
    WITH o AS (SELECT *, doc_id IN ('river', 'canal', 'brook') AS wet FROM occurrences('bank'))
    SELECT avg((a.wet = (SELECT arg_max(b.wet, array_cosine_similarity(a.embedding, b.embedding)) FROM o AS b
                         WHERE b.doc_id <> a.doc_id))::INTEGER) FROM o AS a"""
    assert one(con, sql) == 1


def test_next_sentence_prefers_a_continuation(con: duckdb.DuckDBPyConnection) -> None:
    fits = one(con, "SELECT nsp('He went to the store.', 'He bought some milk.')")
    other = one(con, "SELECT nsp('He went to the store.', 'Penguins are flightless birds.')")
    assert 0 <= other < 0.5 < fits <= 1
    margin = one(con, "SELECT nsp_margin('He went to the store.', 'He bought some milk.')")
    assert one(con, "SELECT 1 / (1 + exp(-$1))", margin) == pytest.approx(fits)


def test_a_phrase_has_the_mean_of_all_its_tokens_as_stored_and_as_embedded(con: duckdb.DuckDBPyConnection) -> None:
    pairs = rows(
        con,
        """
        SELECT a.doc_id, a.sentence_index, a.word_index, a.word || ' ' || b.word, s.text,
               a.embedding, len(a.tokens), b.embedding, len(b.tokens)
        FROM words AS a JOIN words AS b ON b.doc_id = a.doc_id AND b.sentence_index = a.sentence_index
            AND b.word_index = a.word_index + 1 AND b.char_start = a.char_end + 1
        JOIN sentences AS s ON s.doc_id = a.doc_id AND s.sentence_index = a.sentence_index
        WHERE len(a.tokens) <> len(b.tokens)
        """,
    )
    assert pairs
    for doc_id, sentence, word, phrase, text, first, m, second, n in pairs:
        mean = [(m * x + n * y) / (m + n) for x, y in zip(first, second, strict=True)]
        found = rows(con, "SELECT doc_id, sentence_index, word_index, embedding FROM occurrences(?)", phrase.upper())
        (stored,) = [vector for *place, vector in found if place == [doc_id, sentence, word]]
        assert stored == pytest.approx(mean, abs=1e-6)
        assert one(con, "SELECT embed_word(?, ?)", text, phrase) == pytest.approx(mean, abs=2e-3)


def test_wordpiece_returns_the_tokens(con: duckdb.DuckDBPyConnection) -> None:
    assert one(con, "SELECT wordpiece('Unbelievableness!')") == ["unbelievable", "##ness", "!"]
    assert one(con, "SELECT wordpiece('')") == []


def test_fill_mask_returns_the_most_likely_words_for_every_mask(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(con, "SELECT mask, rank, token, probability FROM fill_mask('He paid [MASK] [MASK] the bank.', k := 3)")
    assert [(mask, rank) for mask, rank, *_ in found] == [(m, r) for m in (0, 1) for r in range(3)]
    assert found[3][2] == "to"
    assert all(a[3] >= b[3] for a, b in itertools.pairwise(found[:3]))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT embed(NULL)", "SELECT embed_word(NULL, 'x')", "SELECT embed_word('x', NULL)", "SELECT nsp(NULL, 'x')",
        "SELECT nsp_margin('x', NULL)", "SELECT wordpiece(NULL)",
    ],
)  # fmt: skip
def test_null_in_null_out(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert one(con, sql) is None


@pytest.mark.parametrize("sql", ["FROM nearest(NULL)", "FROM nearest_to(NULL)", "FROM fill_mask(NULL)"])
def test_a_table_about_null_is_empty(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert rows(con, sql) == []


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("FROM fill_mask('no mask')", "There is no"),
        ("FROM fill_mask('[MASK]', k := 0)", "at least 1"),
        ("FROM nearest('x', k := 0)", "at least 1"),
        ("FROM fill_mask(repeat('word ', 600) || '[MASK]')", "Shorten it"),
        ("FROM nearest_to([1.0, 2.0])", "length"),
    ],
)
def test_the_error_for_a_bad_argument_says_what_is_wrong(con: duckdb.DuckDBPyConnection, sql: str, says: str) -> None:
    with pytest.raises(duckdb.Error, match=says):
        rows(con, sql)


def test_the_same_text_in_many_rows_is_encoded_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    text_vectors = cached.text_vectors

    def counting(engine: Any, texts: Any, **more: Any) -> Any:
        encoded.extend(texts)
        return text_vectors(engine, texts, **more)

    monkeypatch.setattr(cached, "text_vectors", counting)
    with connect(lake.root) as con:
        assert (
            one(con, "SELECT count(embed(CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END)) FROM range(9999) r(i)")
            == 9999
        )
    assert sorted(encoded) == ["even", "odd"]


def test_every_encoding_has_its_own_functions(tmp_path: Path) -> None:
    lake = embedded_lakes.make(tmp_path, embedded_lakes.documents(), outputs=Outputs(level="sentences"))
    config = EngineConfig(layers="last4")
    embedded_lakes.make(
        tmp_path, embedded_lakes.documents(), config=config, outputs=Outputs(level="sentences"), run_id="two"
    )
    with connect(lake.root) as con:
        names = [name for (name,) in rows(con, "SELECT name FROM encodings ORDER BY created_at")]
        for name in names:
            sql = f"SELECT min(array_cosine_similarity(embedding, embed_{name}(text))) FROM sentences_{name}"
            assert one(con, sql) > 0.99999
        other = f"SELECT min(array_cosine_similarity(embedding, embed_{names[0]}(text))) FROM sentences_{names[1]}"
        assert one(con, other) < 0.999
        assert one(con, f"SELECT text FROM nearest_{names[1]}('She asked the bank for a loan.', k := 1)")


def test_functions_work_on_a_lake_without_any_encoding(tmp_path: Path) -> None:
    with Catalog.create_or_open(Lake(tmp_path)):
        pass
    with connect(tmp_path) as con:
        assert one(con, "SELECT wordpiece('banks')") == ["banks"]
        assert one(con, "SELECT typeof(embed('x'))") == "FLOAT[384]"
        assert rows(con, "FROM nearest('x')") == []
        assert rows(con, "FROM occurrences('bank')") == []


def test_the_error_for_a_lake_of_another_model_says_how_to_name_it(tmp_path: Path) -> None:
    with Catalog.create_or_open(Lake(tmp_path)) as catalog:
        lakes.commit(catalog, lakes.make_spec(model="polyseme-mini", model_sha256="f00d" * 16), {"d": ["The bank."]})
    functions = ModelFunctions()
    with connect(tmp_path, functions=functions) as con:
        assert one(con, "SELECT count(*) FROM sentences") == 1
        with pytest.raises(duckdb.Error, match="--model FOLDER"):
            one(con, "SELECT embed('x')")
    assert isinstance(functions.failure, ModelError)
    assert "f00df00df00d" in str(functions.failure)


def test_the_error_for_a_model_that_is_not_available_says_how_to_name_it(tmp_path: Path) -> None:
    with Catalog.create_or_open(Lake(tmp_path)) as catalog:
        lakes.commit(catalog, lakes.make_spec(model="my-folder"), {"d": ["The bank."]})
    with connect(tmp_path) as con, pytest.raises(duckdb.Error, match=r"not available.*--model FOLDER"):
        one(con, "SELECT embed('x')")


def test_a_usage_error_keeps_its_type(lake: Lake) -> None:
    functions = ModelFunctions()
    with connect(lake.root, functions=functions) as con, pytest.raises(duckdb.Error):
        rows(con, "FROM fill_mask('no mask')")
    assert isinstance(functions.failure, UsageError)


def test_opening_a_lake_loads_no_torch_and_leaving_it_open_prints_nothing(lake: Lake) -> None:
    code = (
        "import sys; from polyseme.storage.sql.connection import connect; con = connect(sys.argv[1]); "
        "print(con.execute('SELECT count(*) FROM sentences').fetchall()); assert 'torch' not in sys.modules"
    )
    done = processes.run(sys.executable, "-c", code, lake.root)
    assert (done.stdout, done.stderr) == ("[(18,)]\n", "")
