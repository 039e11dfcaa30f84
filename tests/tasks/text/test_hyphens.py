"""Words that a line end divides: read as one, while offsets point into the text, which keeps its line end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.records import Document
from polyseme.tasks.encode.words import ChunkWords, chunk_words
from polyseme.tasks.engine import Engine
from polyseme.tasks.text.chunks import Chunk, chunks
from polyseme.tasks.text.hyphens import undivided, with_divisions
from polyseme.tasks.text.kept_text import Edit, KeptText
from polyseme.tasks.text.passages import passages
from polyseme.tasks.text.sentences import Splitting, split_by

JOINED = Splitting(markdown="prose", join_hyphens=True)


def found_in(mini: Engine, text: str, uri: str = "file:///a.txt") -> tuple[Chunk, ChunkWords] | None:
    (passage,) = passages([Document("d", uri, text)], mini.wordpiece, split_by(JOINED))
    if not len(passage):
        return None
    (chunk,) = chunks([passage], 10_000)
    return chunk, chunk_words(chunk, None, join_hyphens=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("know-\nledge", "knowledge"),
        ("know-\n   ledge", "knowledge"),
        ("know\u00ad\nledge know\u2010\nledge", "knowledge knowledge"),
        ("Wissen-\nSchaft", "Wissen-\nSchaft"),
        ("a - \nb", "a - \nb"),
        ("1914-\n18", "1914-\n18"),
        ("know-\n\nledge", "know-\n\nledge"),
        ("well-known", "well-known"),
        ("-\nx", "-\nx"),
        ("x-\n", "x-\n"),
    ],
)
def test_which_words_are_joined(text: str, expected: str) -> None:
    assert KeptText.of(text, with_divisions(text, [])).text == expected


def test_a_word_is_written_without_the_line_ends_in_it() -> None:
    written = [undivided(word) for word in ("know-\n  ledge", "a-\nb\u00ad\nc", "well-known")]
    assert written == ["knowledge", "abc", "well-known"]


def test_a_joined_word_has_its_key_its_tokens_and_its_place(mini: Engine) -> None:
    text = "It takes know-\n  ledge of rivers. A bank-\ning house."
    chunk, words = found_in(mini, text)  # type: ignore[misc]
    assert words.surface[2] == "know-\n  ledge" == text[words.char_start[2] : words.char_end[2]]
    assert words.key == ["it", "takes", "knowledge", "of", "rivers", ".", "a", "banking", "house", "."]
    (passage,) = passages(
        [Document("d", "u", text.replace("-\n  ", "").replace("-\n", ""))], mini.wordpiece, mini.split
    )
    assert chunk.ids.tolist() == passage.ids.tolist()


def test_text_that_an_edit_covers_is_not_edited_twice() -> None:
    text = "a-\nb c-\nd e-\nf"
    found = list(with_divisions(text, [Edit(4, 9)]))
    assert found == [Edit(1, 3), Edit(4, 9), Edit(11, 13)]


@given(
    st.lists(
        st.sampled_from(["word", "-\n", "- \n", " ", ". A", "\n", "é", "\u00ad\n", "`", "[", "](x)", "<!--", "-->"]),
        max_size=30,
    )
)
def test_words_are_numbered_as_their_tokens_are(mini: Engine, pieces: list[str]) -> None:
    text = "".join(pieces)
    for uri in ("file:///a.txt", "file:///a.md"):
        if (found := found_in(mini, text, uri)) is None:
            continue
        chunk, words = found
        for sentence, (a, b) in enumerate(zip(chunk.sentence_ptr[:-1], chunk.sentence_ptr[1:], strict=True)):
            numbers = set(words.index[words.sentence == sentence].tolist())
            assert numbers == set(range(int(chunk.last_word[b - 1]) + 1 if b > a else 0))
        spans = zip(words.char_start.tolist(), words.char_end.tolist(), strict=True)
        assert [text[a:b] for a, b in spans] == words.surface
        assert (np.diff(words.char_start) > 0).all()
