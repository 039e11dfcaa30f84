"""Rows have their position in the text, the order of the lake, and the vector of what they name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from polyseme.storage.records import Document
from polyseme.storage.schemas import SORT_KEYS, table_schema
from polyseme.tasks.arrays import Floats
from polyseme.tasks.encode.forward import ScoredTransitions
from polyseme.tasks.encode.tables import TableBuilder
from polyseme.tasks.encode.transitions import Transitions
from polyseme.tasks.encode.unknown import UnknownTokens
from polyseme.tasks.encode.words import chunk_words
from polyseme.tasks.engine import Engine
from polyseme.tasks.text.chunks import Chunk, chunks
from polyseme.tasks.text.passages import passages
from polyseme.tasks.text.windows import SentencePairs

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
WIDTH = 3
TEXTS = {
    "b": "Zürich floods. The unaffordable bank!",
    "a": "It rains.\r\n\r\nThe bank\r\nis 東京. \ufffd",
    "empty": "",
}


def chunks_of(mini: Engine, texts: dict[str, str], limit: int = 10_000) -> list[Chunk]:
    found = [Document(name, f"file:///{name}", text, title=name.upper()) for name, text in texts.items()]
    return list(chunks(passages(found, mini.wordpiece, mini.split), limit))


@pytest.fixture(scope="module")
def chunk(mini: Engine) -> Chunk:
    (only,) = chunks_of(mini, TEXTS)
    return only


@pytest.fixture(scope="module")
def builder(chunk: Chunk) -> TableBuilder:
    return TableBuilder(chunk, version=7, width=WIDTH)


def documents(builder: TableBuilder) -> pa.Table:
    return builder.documents(NOW, UnknownTokens(None).ended(builder.chunk))


def numbered(count: int) -> Floats:
    """Vectors that contain their position: [i, 1, 0]."""
    rows = np.zeros((count, WIDTH), dtype=np.float32)
    rows[:, 0], rows[:, 1] = np.arange(count), 1
    return rows


def places(table: pa.Table) -> list[float]:
    return [vector[0] for vector in table["embedding"].to_pylist()]


def text_of(row: dict[str, Any]) -> str:
    return TEXTS[row["doc_id"]][row["char_start"] : row["char_end"]]


def scored(chunk: Chunk, pairs: Sequence[tuple[int, int]], adjacent: int) -> ScoredTransitions:
    first, second = np.array(pairs).T
    count = len(pairs)
    order = np.where(np.arange(count) == 1, np.nan, np.arange(count) / 2)
    logits = np.stack([np.arange(count), -np.arange(count), order], axis=1).astype(np.float32)
    return ScoredTransitions(Transitions(SentencePairs(first, second), adjacent), logits, 100 + np.arange(count))


def test_every_document_has_a_row_with_its_counts(builder: TableBuilder) -> None:
    rows = {row["doc_id"]: row for row in documents(builder).to_pylist()}
    assert list(rows) == ["a", "b", "empty"]
    assert {name: row["text"] for name, row in rows.items()} == TEXTS
    assert [row["n_sentences"] for row in rows.values()] == [3, 2, 0]
    assert [row["n_tokens"] for row in rows.values()] == [3 + 6, 3 + 7, 0]
    assert rows["a"]["n_chars"] == len(TEXTS["a"])
    assert (rows["b"]["uri"], rows["b"]["title"], rows["b"]["ingested_at"]) == ("file:///b", "B", NOW)
    assert rows["b"]["content_sha256"] == Document("b", "", TEXTS["b"]).content_sha256


def test_sentences_are_their_characters_in_document_order(builder: TableBuilder, chunk: Chunk) -> None:
    table = builder.sentences(numbered(chunk.sentences))
    rows = table.to_pylist()
    assert [(r["doc_id"], r["sentence_index"]) for r in rows] == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]
    assert [r["text"] for r in rows] == [text_of(r) for r in rows]
    assert [r["text"] for r in rows][1:3] == ["The bank\r\nis 東京.", "\ufffd"]
    assert [r["n_tokens"] for r in rows] == [3, 6, 0, 3, 7]
    # `b` was read first: its sentences are 0 and 1 of the chunk.
    assert places(table) == [2, 3, 4, 0, 1]


def test_words_are_their_characters_sorted_by_form(builder: TableBuilder, chunk: Chunk, mini: Engine) -> None:
    table = builder.words(chunk_words(chunk, None), numbered(len(chunk.ids)), mini.vocabulary)
    rows = table.to_pylist()
    assert [r["word"] for r in rows] == [text_of(r) for r in rows]
    assert [r["word_lower"] for r in rows] == sorted(r["word"].lower() for r in rows)
    assert [r["doc_id"] for r in rows if r["word_lower"] == "bank"] == ["a", "b"]
    assert {r["word"] for r in rows} >= {"Zürich", "東", "京", "unaffordable", "!"}


def test_a_word_of_several_tokens_is_their_mean_and_names_them(
    builder: TableBuilder, chunk: Chunk, mini: Engine
) -> None:
    table = builder.words(chunk_words(chunk, frozenset({"unaffordable"})), numbered(len(chunk.ids)), mini.vocabulary)
    (row,) = table.to_pylist()
    assert row["tokens"] == ["una", "##ff", "##ord", "##able"]
    assert row["word_index"] == 1
    assert places(table) == [(4 + 5 + 6 + 7) / 4]


def test_only_the_words_requested_are_kept_and_unchanged(builder: TableBuilder, chunk: Chunk, mini: Engine) -> None:
    vectors = numbered(len(chunk.ids))
    every, some, none = (
        builder.words(chunk_words(chunk, only), vectors, mini.vocabulary)
        for only in (None, frozenset({"the", "bank"}), frozenset({"nope"}))
    )
    wanted = pa.compute.is_in(every["word_lower"], value_set=pa.array(["the", "bank"]))
    assert some == every.filter(wanted)
    assert some.num_rows == 4
    assert none.num_rows == 0
    assert none.schema == every.schema


def test_tokens_are_their_characters_sorted_by_form(builder: TableBuilder, chunk: Chunk, mini: Engine) -> None:
    table = builder.tokens(numbered(len(chunk.ids)), mini.vocabulary, "last4")
    rows = table.to_pylist()
    assert len(rows) == len(chunk.ids)
    assert [r["token"] for r in rows] == sorted(r["token"] for r in rows)
    assert [r["token_id"] for r in rows] == chunk.ids[[int(place) for place in places(table)]].tolist()
    assert {r["layer"] for r in rows} == {"last4"}
    for row in rows:
        letters = row["token"].removeprefix("##")
        assert text_of(row).lower().replace("ü", "u") == letters
    first = [r for r in rows if (r["doc_id"], r["sentence_index"]) == ("b", 1)]
    assert sorted(r["token_index"] for r in first) == list(range(7))


def test_a_transition_names_both_ends(builder: TableBuilder, chunk: Chunk) -> None:
    vectors = np.eye(5, WIDTH, dtype=np.float32)
    vectors[3] = [3, 0, 4]
    rows = builder.transitions(scored(chunk, [(0, 1), (2, 3), (3, 4), (1, 3), (4, 0)], 3), vectors).to_pylist()
    ends = [(r["doc_id"], r["sentence_index"], r["kind"], r["next_doc_id"], r["next_sentence_index"]) for r in rows]
    assert ends == [
        ("a", 0, "adjacent", "a", 1),
        ("a", 1, "adjacent", "a", 2),
        ("a", 2, "random", "b", 0),
        ("b", 0, "adjacent", "b", 1),
        ("b", 1, "random", "a", 1),
    ]
    assert [r["nsp_logit_is_next"] for r in rows] == [1, 2, 4, 0, 3]
    assert [r["nsp_logit_not_next"] for r in rows] == [-1, -2, -4, 0, -3]
    assert [r["order_margin"] for r in rows] == [None, 1, 2, 0, 1.5]
    assert [r["n_truncated"] for r in rows] == [101, 102, 104, 100, 103]
    assert rows[0]["cosine"] == pytest.approx(0.8)


def test_every_table_has_its_schema_its_order_and_its_version(
    builder: TableBuilder, chunk: Chunk, mini: Engine
) -> None:
    sentences, tokens = numbered(chunk.sentences), numbered(len(chunk.ids))
    tables = {
        "documents": documents(builder),
        "sentences": builder.sentences(sentences),
        "words": builder.words(chunk_words(chunk, None), tokens, mini.vocabulary),
        "tokens": builder.tokens(tokens, mini.vocabulary, "last"),
        "transitions": builder.transitions(scored(chunk, [(3, 4), (0, 1)], 1), sentences),
    }
    for name, table in tables.items():
        assert table.schema == table_schema(name, WIDTH)
        keys = list(zip(*(table[key].to_pylist() for key in SORT_KEYS[name]), strict=True))
        assert keys == sorted(keys)
        assert set(table["version"].to_pylist()) == {7}


@pytest.mark.parametrize("text", ["", "\ufffd", "\ufffd\n\n\ufffd"])
def test_a_document_without_tokens_has_rows_for_itself_and_its_sentences(mini: Engine, text: str) -> None:
    (chunk,) = chunks_of(mini, {"d": text})
    builder = TableBuilder(chunk, version=1, width=WIDTH)
    nothing = numbered(0)
    assert documents(builder).num_rows == 1
    assert builder.sentences(numbered(chunk.sentences)).num_rows == text.count("\ufffd")
    assert builder.words(chunk_words(chunk, None), nothing, mini.vocabulary).num_rows == 0
    assert builder.tokens(nothing, mini.vocabulary, "last").num_rows == 0


def test_a_cut_document_stores_every_row_in_one_chunk_only(mini: Engine) -> None:
    texts = {"d": "One two three. Four five. Six seven eight nine. Ten."}
    (whole,) = chunks_of(mini, texts)
    cut = chunks_of(mini, texts, limit=5)
    assert len(cut) == 4
    builders = [TableBuilder(chunk, version=1, width=WIDTH) for chunk in (whole, *cut)]
    tables: list[Callable[[TableBuilder], pa.Table]] = [
        lambda b: b.sentences(numbered(b.chunk.sentences)),
        lambda b: b.words(chunk_words(b.chunk, None), numbered(len(b.chunk.ids)), mini.vocabulary),
        lambda b: b.tokens(numbered(len(b.chunk.ids)), mini.vocabulary, "last"),
        documents,
    ]
    for rows in tables:
        expected, *parts = (rows(builder) for builder in builders)
        keep = [name for name in expected.schema.names if name != "embedding"]
        key = [(name, "ascending") for name in keep if name in ("sentence_index", "word_index", "token_index")]
        joined, one = (t.select(keep) for t in (pa.concat_tables(parts), expected))
        assert not key or joined.sort_by(key).to_pylist() == one.sort_by(key).to_pylist()
        assert joined.num_rows == one.num_rows
