"""Looking words up: whatever DuckDB opens a lake finds every spelling of a word, and reads only its row groups."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish
from polyseme.storage.sql.word_lookup import key_macros
from polyseme.storage.word_keys import word_key, word_keys
from tests import lakes

TEXTS = {
    "ferry": ["We left İzmir early.", "İZMİR lay behind us."],
    "shop": ["A ΛΟΓΟΣ hung there.", "The λογος was red."],
    "inn": ["Das Floß lag fest.", "Ein FLOSS ist kein Boot."],
    "bar": ["The ba\u0301r was shut.".replace("a\u0301", "á"), "No bár was open."],
    "bird": ["A wood\u00adpecker came.", "The woodpecker left."],
}
ASKED = {
    "İzmir": 1, "I\u0307ZMIR": 1, "izmir": 0, "ΛΟΓΟΣ": 2, "λογος": 2, "λογοσ": 2, "floß": 2, "FLOSS": 2,
    "flo\u00adß": 2,
    "bár": 2, "ba\u0301r": 2, "BÁR": 2, "bar": 0, "woodpecker": 2, "wood\u00adpecker": 2, "wood": 0, "'": 0, "": 0,
}  # fmt: skip
"""How many occurrences each has in TEXTS."""
ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
JOINING = st.text(st.sampled_from("aαß\u0301\u0345کیا\u064eखक\u094dn\u200c\u200d\u00ad👩❤\ufe0f"), max_size=12)

Keys = Callable[[list[str]], list[str]]


@pytest.fixture(scope="module")
def keys() -> Keys:
    con = duckdb.connect()
    for statement in key_macros():
        con.execute(statement)

    def keys_of(words: list[str]) -> list[str]:
        found = con.register("words", pa.table({"word": words})).execute("SELECT word_key(word) FROM words").fetchall()
        return [key for (key,) in found]

    return keys_of


def counts(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    return {
        word: len(con.execute("SELECT word_index, embedding FROM occurrences(?)", [word]).fetchall()) for word in ASKED
    }


def test_sql_has_the_same_key_for_every_character(keys: Keys) -> None:
    words = [chr(point) for point in range(1, 0x20000) if not 0xD800 <= point < 0xE000]
    words += [chr(point) for point in range(0xE0000, 0xE0200)]
    assert keys(words) == [word_key(word) for word in words]


@given(st.lists(ANY | JOINING, min_size=1, max_size=20))
def test_sql_has_the_same_key_for_every_word(keys: Keys, words: list[str]) -> None:
    assert keys(words) == [word_key(word) for word in words]


def test_sql_has_the_same_words_around_every_character() -> None:
    # DuckDB's own classes may know later characters than Python does.
    assigned = [c for c in map(chr, range(1, 0x30000)) if unicodedata.category(c) not in ("Cs", "Cn")]
    texts = [f"aB{c}c" for c in assigned]
    texts += ["", " ", " the  Supreme\tCourt ", "don't", "東京タワー", "a—b", "x\u2028y"]
    with duckdb.connect() as con:
        for statement in key_macros():
            con.execute(statement)
        con.register("texts", pa.table({"text": texts}))
        found = con.execute("SELECT word_keys(text) FROM texts").fetchall()
    assert [words for (words,) in found] == [word_keys(text) for text in texts]


def test_every_spelling_is_found_in_any_duckdb(catalog: Catalog, lake: Lake) -> None:
    lakes.commit(catalog, lakes.make_spec(), TEXTS)
    publish(catalog)
    with connect(lake) as con:
        assert counts(con) == ASKED
        assert con.execute("SELECT count(*) FROM occurrences(NULL)").fetchone() == (0,)
    with duckdb.connect(str(lake.published_path), read_only=True) as con:
        assert counts(con) == ASKED
        assert con.execute("SELECT count(*) FROM words WHERE word_lower = word_key('FLOß')").fetchone() == (2,)


class TestOlderParts:
    """Parts of releases before word keys, with words in lower case."""

    @pytest.fixture
    def older(self, catalog: Catalog, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Catalog:
        with monkeypatch.context() as before:
            before.setattr(lakes, "word_key", str.lower)
            lakes.commit(catalog, lakes.make_spec(), TEXTS)
        with catalog.writing() as connection:
            for column in ("unknown_tokens", "unknown_documents"):
                connection.execute(text(f"ALTER TABLE runs DROP COLUMN {column}"))
            connection.execute(text("DROP TABLE skipped_files"))
            connection.execute(text("DROP TABLE files"))
            connection.execute(text("UPDATE meta SET value = '6' WHERE key = 'format_version'"))
        catalog.close()
        return Catalog.open(lake)

    def test_every_spelling_is_found_in_parts_of_both_ages_merged_or_not(self, older: Catalog, lake: Lake) -> None:
        twice = {word: 2 * count for word, count in ASKED.items()}
        publish(older)
        with duckdb.connect(str(lake.published_path), read_only=True) as con:
            assert counts(con) == ASKED
        lakes.commit(older, lakes.make_spec(), {f"new-{doc_id}": sentences for doc_id, sentences in TEXTS.items()})
        publish(older)
        with connect(lake) as con:
            assert con.execute("SELECT count(DISTINCT word_lower) FROM words WHERE word = 'Floß'").fetchone() == (2,)
            assert counts(con) == twice
        with duckdb.connect(str(lake.published_path), read_only=True) as con:
            assert counts(con) == twice
        assert [m.outcome for m in compact(older).merges if m.table == "words"] == ["merged"]
        publish(older)
        with duckdb.connect(str(lake.published_path), read_only=True) as con:
            assert counts(con) == twice
        older.close()

    def test_a_lake_without_them_looks_for_no_forms(self, older: Catalog, catalog: Catalog, tmp_path: Path) -> None:
        made = (
            "SELECT DISTINCT contains(macro_definition, 'read_parquet') FROM duckdb_functions() WHERE function_name = "
        )
        with connect(older.lake) as con:
            assert con.execute(f"{made} 'occurrences'").fetchall() == [(True,)]
        older.close()
        with Catalog.create_or_open(Lake(tmp_path / "fresh")) as fresh:
            lakes.commit(fresh, lakes.make_spec(), TEXTS)
            with connect(fresh.lake) as con:
                assert con.execute(f"{made} 'occurrences'").fetchall() == [(False,)]


class TestPhrases:
    """`lakes.commit` makes words of what is between spaces, each of one token with another vector."""

    SENTENCES: ClassVar = {
        "a": ["Supreme Court rulings and the supreme", "court of appeal", "the court supreme", "SUPREME COURT"],
        "b": ["so so so it goes", "Die Straße lang", "die STRASSE lang"],
    }

    def rows(self, lake: Lake, phrase: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(lake.published_path), read_only=True) as con:
            query = """
                SELECT o.doc_id, sentence_index, word_index, word, text[char_start + 1 : char_end]
                FROM occurrences(?) AS o JOIN documents AS d ON d.doc_id = o.doc_id ORDER BY ALL
            """
            return con.execute(query, [phrase]).fetchall()

    @pytest.fixture
    def published(self, catalog: Catalog, lake: Lake) -> Lake:
        lakes.commit(catalog, lakes.make_spec(), self.SENTENCES)
        publish(catalog)
        return lake

    def test_a_phrase_is_words_in_a_row_within_one_sentence(self, published: Lake) -> None:
        assert self.rows(published, " supreme  COURT ") == [
            ("a", 0, 0, "Supreme Court", "Supreme Court"),
            ("a", 3, 0, "SUPREME COURT", "SUPREME COURT"),
        ]
        assert self.rows(published, "die strasse lang") == [
            ("b", 1, 0, "Die Straße lang", "Die Straße lang"),
            ("b", 2, 0, "die STRASSE lang", "die STRASSE lang"),
        ]
        assert [row[2] for row in self.rows(published, "so so")] == [0, 1]
        assert self.rows(published, "so so so so") == self.rows(published, "rulings court") == []


def test_a_look_up_reads_only_the_row_groups_of_its_word(catalog: Catalog, lake: Lake) -> None:
    words = [f"w{number:05}ß" for number in range(30_000)]
    lakes.commit(catalog, lakes.make_spec(), {"d": [" ".join(words[at : at + 100]) for at in range(0, 30_000, 100)]})
    with connect(lake) as con:
        plan = con.execute("EXPLAIN ANALYZE SELECT word FROM occurrences('W00007SS')").fetchall()[0][1]
        scanned = [(int(a), int(b)) for a, b in re.findall(r"Row Groups Scanned: (\d+) / (\d+)", plan)]
        assert (1, 4) in scanned
        assert "word_lower = 'w00007ss'" in plan
