"""Exact duplicates: what a lake shows several times, and nothing that is replaced, deleted or there once."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.duplicates import duplicate_views
from polyseme.storage.sql.publish import PUBLISHED, publish
from tests import lakes
from tests.repository import ROOT

SPEC = lakes.make_spec()
SENTENCES = "SELECT group_id, copies, doc_id, sentence_index FROM duplicate_sentences"
DOCUMENTS = "SELECT group_id, copies, doc_id, uri FROM duplicate_documents"

Ask = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def ask(lake: Lake) -> Ask:
    def run(sql: str) -> list[tuple[Any, ...]]:
        with connect(lake, functions=lambda *_: None) as con:
            return con.execute(sql).fetchall()

    return run


def test_sentences_are_grouped_within_and_across_documents_the_largest_group_first(catalog: Catalog, ask: Ask) -> None:
    lakes.commit(catalog, SPEC, {"a": ["Yes.", "Once.", "No.", "Yes."], "b": ["No.", "Yes.", "yes."]})
    assert ask(SENTENCES) == [(1, 3, "a", 0), (1, 3, "a", 3), (1, 3, "b", 1), (2, 2, "a", 2), (2, 2, "b", 0)]
    assert ask("SELECT place FROM duplicate_sentences") == [(1,), (2,), (3,), (1,), (2,)]


def test_space_between_words_makes_no_difference_and_the_text_is_shown_as_it_stands(catalog: Catalog, ask: Ask) -> None:
    texts = ["The river\nbank.", "The  river bank.", "The\u00a0river\u3000bank.", "The riverbank."]
    lakes.commit(catalog, SPEC, {"d": texts})
    assert ask("SELECT text FROM duplicate_sentences") == [(text,) for text in texts[:3]]


@given(st.lists(st.text(alphabet="ab \t\n\u000b\u001c\u0085\u00a0\u2003\u2028\u3000\u200b", max_size=6), max_size=8))
def test_sentences_are_the_same_if_python_splits_them_into_the_same_words(texts: list[str]) -> None:
    with duckdb.connect() as con:
        con.execute("CREATE TABLE sentences (doc_id VARCHAR, sentence_index INTEGER, text VARCHAR)")
        con.execute("CREATE TABLE documents (doc_id VARCHAR, uri VARCHAR, title VARCHAR, content_sha256 VARCHAR)")
        for statement in duplicate_views(""):
            con.execute(statement)
        for i, text in enumerate(texts):
            con.execute("INSERT INTO sentences VALUES ('d', ?, ?)", [i, text])
        found = con.execute("SELECT sentence_index FROM duplicate_sentences ORDER BY ALL").fetchall()
    words = [" ".join(text.split()) for text in texts]
    assert [i for (i,) in found] == [i for i, one in enumerate(words) if words.count(one) > 1]


def test_documents_with_the_same_text_are_shown_whatever_else_differs(catalog: Catalog, ask: Ask) -> None:
    lakes.commit(catalog, SPEC, {"a": ["Same."], "b": ["Same."], "c": ["Other."], "none": [], "nothing": []})
    catalog.move_documents(SPEC.encoding_id, [("b", "file:///elsewhere")])
    assert ask(DOCUMENTS) == [
        (1, 2, "a", lakes.uri_of("a")),
        (1, 2, "b", "file:///elsewhere"),
        (2, 2, "none", lakes.uri_of("none")),
        (2, 2, "nothing", lakes.uri_of("nothing")),
    ]
    assert ask("SELECT doc_id FROM duplicate_documents WHERE place > 1 ORDER BY ALL") == [("b",), ("nothing",)]


def test_what_is_replaced_or_deleted_is_no_duplicate(catalog: Catalog, ask: Ask) -> None:
    lakes.commit(catalog, SPEC, {"a": ["Same."], "b": ["Same."], "c": ["Same."]})
    version = lakes.commit(catalog, SPEC, {"b": ["New."]})
    catalog.delete_documents(SPEC.encoding_id, ["c"], version=version + 1)
    assert ask(SENTENCES) == ask(DOCUMENTS) == []


def test_a_document_that_is_redescribed_is_no_duplicate_of_itself(catalog: Catalog, ask: Ask, lake: Lake) -> None:
    texts = {"a": ["One."]}
    first = lakes.commit(catalog, SPEC, texts)
    version = lakes.begin(catalog, SPEC, "again")
    found = lakes.describe(lake, SPEC, texts, run_id="again", version=version, rows_version=first, title="New")
    catalog.commit_shard(found)
    assert ask("SELECT title FROM documents") == [("New",)]
    assert ask(SENTENCES) == ask(DOCUMENTS) == []


def test_each_encoding_has_its_own_and_an_empty_lake_none(catalog: Catalog, ask: Ask) -> None:
    assert ask(SENTENCES) == ask(DOCUMENTS) == []
    lakes.commit(catalog, SPEC, {"a": ["One."]})
    lakes.commit(catalog, lakes.make_spec(context="pair"), {"a": ["Two."], "b": ["Two."]})
    assert ask(SENTENCES) == []
    assert ask("SELECT doc_id FROM duplicate_sentences_polyseme_mini_pair") == [("a",), ("b",)]
    assert ask("SELECT doc_id FROM duplicate_documents_polyseme_mini_pair") == [("a",), ("b",)]


def test_plain_duckdb_has_them(catalog: Catalog, tmp_path: Path) -> None:
    lakes.commit(catalog, SPEC, {"a": ["Same."], "b": ["Same."]})
    publish(catalog)
    with duckdb.connect(str(tmp_path / "lake" / PUBLISHED), read_only=True) as con:
        assert con.execute(SENTENCES).fetchall() == [(1, 2, "a", 0), (1, 2, "b", 0)]
        assert con.execute("SELECT doc_id FROM duplicate_documents").fetchall() == [("a",), ("b",)]


@pytest.mark.parametrize("name", ["format3", "format5", "format6"])
def test_lakes_of_every_release_have_the_hash_of_the_text_that_documents_are_told_by(tmp_path: Path, name: str) -> None:
    old = Lake(shutil.copytree(ROOT / "tests" / "fixtures" / name, tmp_path / "old"))
    with connect(old, functions=lambda *_: None) as con:
        found = con.execute("SELECT content_sha256, text FROM documents").fetchall()
    assert found
    assert all(content == hashlib.sha256(text.encode()).hexdigest() for content, text in found)
