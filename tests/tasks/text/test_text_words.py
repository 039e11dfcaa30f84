"""Words are those of the text: BERT's, with the marks that belong to them, whatever the tokenizer makes of them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polyseme.storage.records import Document, Outputs, WordDefinition
from polyseme.tasks.encode.words import chunk_words
from polyseme.tasks.engine import Engine
from polyseme.tasks.model.checkpoint import embedded_folder
from polyseme.tasks.text.chunks import Chunk, chunks
from polyseme.tasks.text.passages import passages
from polyseme.tasks.text.sentences import Splitting, split_by
from polyseme.tasks.text.text_words import kinds_of, words_in
from polyseme.tasks.text.tokenizer import TextTokenizer
from tests.tokenizers import CLASSES, SENTENCES, save_tokenizer

WITHOUT_MARKS = st.characters(exclude_categories=["Cs", "Cc", "Cn", "Mn", "Mc", "Me"])


@cache
def wordpiece(words: WordDefinition) -> TextTokenizer:
    return TextTokenizer.load(embedded_folder(), words=words)


@cache
def loaded(model_type: str) -> TextTokenizer:
    return TextTokenizer.load(save_tokenizer(Path(mkdtemp()), model_type), words="text")


def chunk_of(text: str, tokenizer: TextTokenizer) -> Chunk:
    (chunk,) = chunks(passages([Document("d", "file:///d", text)], tokenizer, split_by(Splitting())), 10_000)
    return chunk


def words(text: str) -> list[str]:
    found = words_in(kinds_of(text))
    return [text[a:b] for a, b in zip(found.start, found.stop, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("An ọkọ̀, an ọkọ.", ["An", "ọkọ̀", ",", "an", "ọkọ", "."]),
        ("كِتَابٌ", ["كِتَابٌ"]),
        ("वस्तु x̄ g̃", ["वस्तु", "x̄", "g̃"]),
        ("東京タワー", ["東", "京", "タワー"]),
        ("a\u00adb c\u00ad 👩‍🚀 ❤️.", ["a\u00adb", "c", "👩‍🚀", "❤️", "."]),
        ("one\x0btwo\x85three", ["one", "two", "three"]),
        (" \u0301a", ["a"]),
        ("", []),
    ],
)
def test_words_have_the_marks_that_belong_to_them(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(WITHOUT_MARKS, max_size=60))
@example("The Bank of İstanbul, née «Ottoman», isn't. Ｗｉｄｅ 東京 — a≠b (x)")
def test_words_of_the_text_are_those_of_bert(text: str) -> None:
    found, expected = (chunk_words(chunk_of(text, wordpiece(scheme)), None, scheme) for scheme in ("text", "tokenizer"))
    for name in ("start", "stop", "sentence", "index", "char_start", "char_end", "surface"):
        assert list(getattr(found, name)) == list(getattr(expected, name)), name


@pytest.mark.parametrize("model_type", CLASSES)
@given(text=st.lists(st.sampled_from(SENTENCES), max_size=4).map(" ".join))
def test_words_are_the_same_for_every_tokenizer_and_have_all_its_tokens(model_type: str, text: str) -> None:
    tokenizer = loaded(model_type)
    chunk = chunk_of(text, tokenizer)
    found = chunk_words(chunk, None)
    taken = {token for a, b in zip(found.start, found.stop, strict=True) for token in range(a, b)}
    assert taken == set(range(len(chunk.ids)))
    for start, stop, a, b in zip(found.start, found.stop, found.char_start, found.char_end, strict=True):
        assert start < stop
        spans = [(chunk.char_start[token], chunk.char_end[token]) for token in range(start, stop)]
        assert any(x < b and y > a for x, y in spans) or not words(text)
    if tokenizer.kind == "BPE" and words(text):  # it knows every character
        assert [word for word in found.surface if words(word)] == words(text)


def test_a_token_of_two_words_is_a_token_of_each() -> None:
    found = chunk_words(chunk_of(SENTENCES[0], loaded("roberta")), None)
    of_word = {
        found.surface[i]: (int(found.start[i]), int(found.stop[i]), int(found.index[i])) for i in (14, 15, 16, 17)
    }
    first, last = of_word[")"], int(found.stop[17])
    assert [found.surface[i] for i in (14, 15, 16, 17)] == [")", ".", ".", "."]
    # `)..` is one token and the last stop another.
    assert (int(found.start[15]), int(found.stop[16])) == first[:2]
    assert (int(found.start[17]), last) == (first[1], first[1] + 1)


def test_stored_words_have_the_marks_that_stand_in_the_text(mini: Engine) -> None:
    texts = [
        "An ọkọ̀ stood by the gate. The ọkọ̀ was red. An ọkọ lay there.",
        "The word كِتَابٌ means book.",
        "The mean x̄ was 4.",
    ]
    documents = [Document(str(i), "file:///d", text) for i, text in enumerate(texts)]
    (chunk,) = mini.run(documents, Outputs(nsp=False), version=1, seed=0, ingested_at=datetime(2026, 11, 1, tzinfo=UTC))
    found = Counter(chunk.tables["words"]["word"].to_pylist())
    assert [found[word] for word in ("ọkọ̀", "ọkọ", "كِتَابٌ", "x̄", "x")] == [2, 1, 1, 1, 0]
    for row in chunk.tables["words"].to_pylist():
        assert texts[int(row["doc_id"])][row["char_start"] : row["char_end"]] == row["word"]
