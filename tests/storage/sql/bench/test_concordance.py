"""Concordances: every occurrence with its context, in any DuckDB, whether the lake has words or sentences alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.sql.bench.text_words import in_text_macro, matches_macro
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish
from polyseme.storage.sql.word_lookup import key_macros
from polyseme.storage.word_keys import word_keys
from tests import lakes

TEXTS = {
    "a": ["The river bank .", "Straße und STRASSE", "a Bank", "é日本 bank !"],
    "b": ["no such word", "the bank the river Bank"],
}
Row = tuple[Any, ...]
_PLACES = "SELECT doc_id, sentence_index, char_start, char_end FROM {} ORDER BY ALL"


def rows(con: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> list[Row]:
    return con.execute(sql, parameters).fetchall()


@pytest.fixture
def con(catalog: Catalog, lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    lakes.commit(catalog, lakes.make_spec(), TEXTS)
    publish(catalog)
    with duckdb.connect(str(lake.published_path), read_only=True) as opened:
        yield opened


@pytest.mark.parametrize("width", [0, 1, 7, 100])
def test_context_is_cut_to_the_width_across_the_borders_of_sentences(
    con: duckdb.DuckDBPyConnection, width: int
) -> None:
    found = rows(con, "SELECT doc_id, char_start, char_end, text_before, keyword, text_after FROM kwic(?, ?)",
                 "bank", width)  # fmt: skip
    assert len(found) == 5
    for doc_id, start, end, before, keyword, after in found:
        text = " ".join(TEXTS[doc_id])
        assert (before, keyword, after) == (
            text[max(0, start - width) : start],
            text[start:end],
            text[end : end + width],
        )


def test_a_pattern_is_matched_in_any_case_unless_it_says_so(con: duckdb.DuckDBPyConnection) -> None:
    def found(pattern: str) -> list[str]:
        return [word for (word,) in rows(con, "SELECT keyword FROM kwic(?, regex := true)", pattern)]

    assert found("b(a)nk") == ["bank", "Bank", "bank", "bank", "Bank"]
    assert found("(?-i)B.nk") == ["Bank", "Bank"]
    assert found("(?-i)b.nk$") == found("x*") == []
    assert found(r"^the\s+\w+") == ["The river", "the bank"]


def test_a_word_with_signs_of_a_pattern_is_a_word(con: duckdb.DuckDBPyConnection) -> None:
    assert rows(con, "SELECT keyword FROM kwic('(bank')") == []
    assert rows(con, "SELECT keyword FROM kwic('.')") == [(".",)]
    assert rows(con, "SELECT keyword FROM kwic(NULL)") == []


def test_sentences_alone_have_the_same_concordance(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with Catalog.create_or_open(Lake(tmp_path / "bare")) as bare:
        lakes.commit_sentences(bare, lakes.make_spec(), TEXTS)
        with connect(bare.lake) as other:
            assert rows(other, "SELECT count(*) FROM words") == [(0,)]
            for asked in ("bank", "STRASSE", "the river", "river bank .", "a bank", "nowhere"):
                wanted = rows(con, "FROM kwic(?)", asked)
                assert rows(other, "FROM kwic(?)", asked) == wanted
                assert rows(con, _PLACES.format("in_text(?)"), asked) == [(row[0], *row[2:5]) for row in wanted]


SENTENCE = st.text(st.sampled_from("aAbB ß\u00ad.\u0301日ſK"), max_size=12)


@given(st.lists(SENTENCE, min_size=1, max_size=5), st.text(st.sampled_from("aAbß.日s "), min_size=1, max_size=3))
def test_words_in_text_are_those_that_python_finds(texts: list[str], asked: str) -> None:
    with _sentences(texts) as con:
        found = rows(con, "SELECT sentence_index, word_index FROM in_text(?) ORDER BY ALL", asked)
    keys = word_keys(asked)
    assert found == [
        (i, at)
        for i, text in enumerate(texts)
        for at in range(len(word_keys(text)))
        if keys and word_keys(text)[at : at + len(keys)] == keys
    ]


@given(st.lists(st.text(st.sampled_from("abé日 "), max_size=9), min_size=1, max_size=4),
       st.sampled_from(["a", "a*", "(a)|b", "a??b", "\\bab?", "^a|b$", "é+", "[^a]", ".*?b"]))  # fmt: skip
def test_matches_have_the_places_that_python_finds(texts: list[str], pattern: str) -> None:
    with _sentences(texts) as con:
        found = rows(con, "SELECT sentence_index, char_start, char_end FROM matches(?) ORDER BY ALL", pattern)
    # RE2 has \\b by ASCII; and where a search ended, it takes no match of nothing and then one of something.
    compiled = re.compile(pattern, re.IGNORECASE | re.ASCII)
    wanted = [
        (i, m.start() + 100 * i, m.end() + 100 * i) for i, t in enumerate(texts) for m in compiled.finditer(t) if m[0]
    ]
    assert found == wanted


def _sentences(texts: list[str]) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    columns = {
        "doc_id": ["d"] * len(texts),
        "sentence_index": list(range(len(texts))),
        "char_start": [100 * i for i in range(len(texts))],
        "text": texts,
    }
    con.register("sentences", pa.table(columns))
    for statement in [*key_macros(), in_text_macro(""), matches_macro("")]:
        con.execute(statement)
    return con
