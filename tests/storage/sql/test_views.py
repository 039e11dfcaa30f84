"""Views of a lake: live rows only, typed, by encoding; queried through `connect`, on real parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import Counts, PrecisionLoss
from polyseme.storage.schemas import TABLES
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.views import statements
from tests import lakes

Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def ask(lake: Lake) -> Ask:
    """Return a function that runs one query on a new connection."""

    def run(sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        with connect(lake) as con:
            return con.execute(sql, parameters).fetchall()

    return run


class TestLiveRows:
    def test_a_commit_shows_in_every_table(self, catalog: Catalog, ask: Ask) -> None:
        lakes.commit(catalog, lakes.make_spec(), {"d": ["The river bank.", "A bank robbed."]})
        assert ask("SELECT doc_id, title, n_sentences, version FROM documents") == [("d", "About d", 2, 1)]
        assert ask("SELECT text FROM sentences ORDER BY sentence_index") == [("The river bank.",), ("A bank robbed.",)]
        assert ask("SELECT word FROM words WHERE word_lower LIKE 'bank%'") == [("bank",), ("bank.",)]
        assert ask("SELECT kind, next_sentence_index FROM transitions") == [("adjacent", 1)]
        assert ask("SELECT count(*) FROM tokens") == [(0,)]
        assert ask("SELECT state, documents FROM runs") == [("running", 0)]
        assert ask("SELECT name, width, is_default FROM encodings") == [("polyseme_mini", 4, True)]

    def test_an_encoding_shows_what_was_measured_of_it_and_nulls_if_nothing_was(
        self, catalog: Catalog, ask: Ask
    ) -> None:
        exact, rounded = lakes.make_spec(), lakes.make_spec(precision="int8")
        lakes.commit(catalog, exact, {"d": ["The river bank."]})
        lakes.commit(catalog, rounded, {"d": ["The river bank."]})
        found = PrecisionLoss(sentences=9, token_cosine=0.998, least_token_cosine=0.995, recall_at_10=0.97)
        catalog.record_precision_loss(rounded.encoding_id, found)
        catalog.record_precision_loss(rounded.encoding_id, replace(found, token_cosine=0.5))
        assert [e.fidelity for e in catalog.encodings()] == [None, found]
        sql = "SELECT precision, token_cosine, least_token_cosine, recall_at_10 FROM encodings ORDER BY created_at"
        assert ask(sql) == [("fp32", None, None, None), ("int8", 0.998, 0.995, 0.97)]

    def test_only_the_newest_version_of_a_document_shows(self, catalog: Catalog, ask: Ask) -> None:
        spec = lakes.make_spec()
        lakes.commit(catalog, spec, {"d": ["Old text.", "More."], "e": ["Kept."]})
        lakes.commit(catalog, spec, {"d": ["New text."]})
        assert ask("SELECT doc_id, text FROM sentences ORDER BY ALL") == [("d", "New text."), ("e", "Kept.")]
        assert ask("SELECT doc_id, version FROM documents ORDER BY ALL") == [("d", 2), ("e", 1)]
        assert ask("SELECT word FROM words WHERE doc_id = 'd' ORDER BY word_index") == [("New",), ("text.",)]
        assert ask("SELECT * FROM transitions") == []

    def test_rows_fenced_by_a_newer_run_never_show(self, catalog: Catalog, ask: Ask, lake: Lake) -> None:
        spec = lakes.make_spec()
        catalog.register_encoding(spec)
        slow = catalog.begin_run("slow", spec.encoding_id, [])
        lakes.commit(catalog, spec, {"d": ["Newer."]})
        catalog.commit_shard(lakes.encode(lake, spec, {"d": ["Older."], "e": ["Other."]}, run_id="slow", version=slow))
        assert ask("SELECT doc_id, text FROM sentences ORDER BY ALL") == [("d", "Newer."), ("e", "Other.")]

    def test_a_deleted_document_vanishes_from_every_table(self, catalog: Catalog, ask: Ask) -> None:
        spec = lakes.make_spec()
        version = lakes.commit(catalog, spec, {"d": ["One.", "Two."], "e": ["Kept.", "Too."]})
        catalog.delete_documents(spec.encoding_id, ["d"], version=version + 1)
        for table in ("documents", "sentences", "words", "transitions", "coherence"):
            assert ask(f"SELECT DISTINCT doc_id FROM {table}") == [("e",)]

    def test_a_part_that_was_written_and_never_committed_is_invisible(
        self, catalog: Catalog, ask: Ask, lake: Lake
    ) -> None:
        spec = lakes.make_spec()
        lakes.commit(catalog, spec, {"d": ["Committed."]})
        lakes.encode(lake, spec, {"ghost": ["Killed before its commit."]}, run_id="r", version=2)
        assert len(list(lake.data.glob("sentences/*/*.parquet"))) == 2
        assert ask("SELECT doc_id FROM sentences") == [("d",)]

    def test_a_moved_document_shows_its_new_uri_until_it_is_replaced(self, catalog: Catalog, ask: Ask) -> None:
        spec = lakes.make_spec()
        lakes.commit(catalog, spec, {"d": ["Text."], "e": ["Other."]})
        catalog.move_documents(spec.encoding_id, [("d", "file:///it's/elsewhere")])
        shown = "SELECT doc_id, uri FROM documents ORDER BY ALL"
        assert ask(shown) == [("d", "file:///it's/elsewhere"), ("e", lakes.uri_of("e"))]
        lakes.commit(catalog, spec, {"d": ["New text."]})
        assert ask(shown) == [("d", lakes.uri_of("d")), ("e", lakes.uri_of("e"))]


class TestEncodings:
    def test_widths_never_mix_and_the_default_has_the_plain_names(self, catalog: Catalog, ask: Ask) -> None:
        narrow, wide = lakes.make_spec(), lakes.make_spec(width=6, layers="last4")
        lakes.commit(catalog, narrow, {"d": ["Narrow text."]})
        lakes.commit(catalog, wide, {"d": ["Wide text."], "e": ["Wider."]})
        types = "SELECT DISTINCT typeof(embedding), count(*) FROM {} GROUP BY ALL"
        assert ask(types.format("sentences")) == [("FLOAT[4]", 1)]
        assert ask(types.format("sentences_polyseme_mini")) == [("FLOAT[4]", 1)]
        assert ask(types.format("sentences_polyseme_mini_last4")) == [("FLOAT[6]", 2)]
        assert ask("SELECT text FROM documents_polyseme_mini_last4 WHERE doc_id = 'd'") == [("Wide text.",)]

    def test_hiding_a_version_in_one_encoding_leaves_the_other_alone(self, catalog: Catalog, ask: Ask) -> None:
        first, second = lakes.make_spec(), lakes.make_spec(context="pair")
        version = lakes.commit(catalog, first, {"d": ["Text."]})
        lakes.commit(catalog, second, {"d": ["Text."]})
        catalog.delete_documents(first.encoding_id, ["d"], version=version + 9)
        assert ask("SELECT count(*) FROM sentences") == [(0,)]
        assert ask("SELECT count(*) FROM sentences_polyseme_mini_pair") == [(1,)]

    def test_empty_views_have_the_types_of_full_ones(self, catalog: Catalog) -> None:
        empty, full = lakes.make_spec(), lakes.make_spec(context="pair")
        catalog.register_encoding(empty)
        lakes.commit(catalog, full, {"d": ["One bank.", "Two banks."]}, random_margins=[0.0])
        with connect(catalog.lake) as con:
            for table in (*TABLES, "coherence"):
                described = [con.execute(f"DESCRIBE {table}_polyseme_mini{end}").fetchall() for end in ("", "_pair")]
                assert described[0] == described[1]
                assert con.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)

    def test_a_lake_without_encodings_answers_with_no_rows(self, catalog: Catalog) -> None:
        with connect(catalog.lake) as con:
            for table in (*TABLES, "coherence", "runs", "rejects", "skipped", "encodings", "occurrences('bank')"):
                assert con.execute(f"FROM {table}").fetchall() == []

    def test_a_run_shows_the_share_of_it_that_the_model_was_busy(self, catalog: Catalog, ask: Ask) -> None:
        version = lakes.commit(catalog, lakes.make_spec(), {"d": ["Text."]})
        assert version == 1
        assert ask("SELECT wall_seconds, lane_busy FROM runs") == [(None, None)]
        ((run_id,),) = ask("SELECT run_id FROM runs")
        counts = Counts(seconds={"encode": 6.0, "nsp": 3.0, "pll": 1.0, "tokenize": 50.0, "wait": 70.0})
        catalog.finish_run(str(run_id), "completed", counts, skipped=0, deleted=0, rejected=0)
        ((wall, busy, lasted),) = ask(
            "SELECT wall_seconds, lane_busy, epoch(finished_at) - epoch(started_at) FROM runs"
        )
        assert wall == pytest.approx(lasted, abs=1e-5)
        assert busy == pytest.approx(10.0 / wall)

    def test_without_superseded_rows_a_view_joins_nothing(self, catalog: Catalog) -> None:
        spec = lakes.make_spec()
        lakes.commit(catalog, spec, {"d": ["One.", "Two."]})

        def joins() -> int:
            return sum(
                "JOIN" in s for s in statements(catalog.snapshot(), catalog.lake).parts if ' "sentences_' in s[:25]
            )

        assert joins() == 0
        lakes.commit(catalog, spec, {"d": ["One."]})
        assert joins() == 1


class TestCoherence:
    def test_every_step_has_margin_probability_and_texts(self, catalog: Catalog, ask: Ask) -> None:
        lakes.commit(catalog, lakes.make_spec(), {"d": ["A.", "B.", "C."]}, margins=[2.0, -900.0])
        first, second = ask(
            "SELECT doc_id, sentence_index, margin, probability, percentile, cosine, text, next_text "
            "FROM coherence ORDER BY sentence_index"
        )
        assert first == ("d", 0, 2.0, pytest.approx(1 / (1 + math.exp(-2))), None, 0.5, "A.", "B.")
        assert second == ("d", 1, -900.0, pytest.approx(0.0), None, 0.5, "B.", "C.")

    def test_the_percentile_is_the_share_of_random_pairs_below(self, catalog: Catalog, ask: Ask) -> None:
        spec = lakes.make_spec()
        lakes.commit(catalog, spec, {"d": list("ABCDE")}, margins=[-9, 1, 2, 99], random_margins=[0, 1, 1])
        lakes.commit(catalog, spec, {"e": ["A.", "B."]}, margins=[1.5], random_margins=[5])
        assert ask("SELECT doc_id, margin, percentile FROM coherence ORDER BY ALL") == [
            ("d", -9.0, 0.0),
            ("d", 1.0, 0.25),
            ("d", 2.0, 0.75),
            ("d", 99.0, 1.0),
            ("e", 1.5, 0.75),
        ]

    def test_percentiles_of_a_large_lake_do_not_take_quadratic_time(self) -> None:
        from polyseme.storage.sql.views import _coherence_view

        with duckdb.connect() as con:
            con.execute(
                "CREATE TABLE transitions AS SELECT 'd' AS doc_id, i AS sentence_index, "
                "if(i % 2 = 0, 'adjacent', 'random') AS kind, 'd' AS next_doc_id, i + 1 AS next_sentence_index, "
                "(hash(i) / 2.0 ** 64)::FLOAT AS nsp_logit_is_next, 0::FLOAT AS nsp_logit_not_next, 0 AS cosine, "
                "0 AS order_margin FROM range(200_000) r(i)"
            )
            con.execute("CREATE TABLE sentences (doc_id VARCHAR, sentence_index BIGINT, text VARCHAR)")
            con.execute(_coherence_view(""))
            found = con.execute("SELECT count(*), max(abs(percentile - margin)) FROM coherence").fetchone()
        assert found is not None
        assert found[0] == 100_000
        assert found[1] < 0.01


class TestText:
    def test_offsets_are_code_points_and_cut_the_words_out_of_the_text(self, catalog: Catalog, ask: Ask) -> None:
        sentences = ["😀 Ünï 👨‍👩‍👧 naïve cafe\u0301 end.", "\U00020000 e\u0301e\u0301 🇩🇪 last."]
        lakes.commit(catalog, lakes.make_spec(), {"d": sentences})
        cut = "d.text[w.char_start + 1 : w.char_end]"
        rows = ask(
            f"SELECT w.word, {cut}, substring(d.text, w.char_start + 1, w.char_end - w.char_start) FROM words AS w "
            "JOIN documents AS d USING (doc_id) ORDER BY w.char_start"
        )
        assert [word for word, _, _ in rows] == " ".join(sentences).split()
        assert all(word == sliced == part for word, sliced, part in rows)
        assert ask("SELECT n_chars = length(text) FROM documents") == [(True,)]

    def test_occurrences_are_found_in_any_case_with_their_sentence(self, catalog: Catalog, ask: Ask) -> None:
        lakes.commit(catalog, lakes.make_spec(), {"d": ["The bank closed.", "No match."], "e": ["Bank on it."]})
        found = ask("SELECT doc_id, title, word, sentence, char_start FROM occurrences('BANK') ORDER BY doc_id")
        assert found == [("d", "About d", "bank", "The bank closed.", 4), ("e", "About e", "Bank", "Bank on it.", 0)]
        assert len(ask("FROM occurrences_polyseme_mini(word := 'bank')")) == 2

    def test_vectors_read_as_they_were_written(self, catalog: Catalog, ask: Ask) -> None:
        lakes.commit(catalog, lakes.make_spec(), {"d": ["One.", "Two.", "Three."]})
        expected = lakes.vectors(3, 4).to_pylist()
        rows = ask("SELECT embedding, array_cosine_similarity(embedding, embedding) FROM sentences")
        assert [list(vector) for vector, _ in rows] == expected
        assert [similarity for _, similarity in rows] == pytest.approx([1.0] * 3)

    def test_names_with_quotes_reach_sql_as_names(self, tmp_path: Path) -> None:
        lake = Lake(tmp_path / "o'lake; DROP --]{a}\"")
        bad = "d'); DROP VIEW words; --"
        with Catalog.create_or_open(lake) as catalog:
            spec = lakes.make_spec(model="it's\"; DROP")
            version = lakes.commit(catalog, spec, {bad: ["One bank.", "Two."], "e": ["Kept."]})
            lakes.commit(catalog, spec, {bad: ["New."]})
            catalog.delete_documents(spec.encoding_id, ["e"], version=version + 5)
            catalog.move_documents(spec.encoding_id, [(bad, "'uri'")])
        with connect(lake) as con:
            assert con.execute("SELECT doc_id, uri FROM documents").fetchall() == [(bad, "'uri'")]
            assert con.execute("SELECT doc_id, word FROM words").fetchall() == [(bad, "New.")]
