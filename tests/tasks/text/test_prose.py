"""The prose of Markdown: what is left out, and that every offset still points into the whole text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.records import Document
from polyseme.tasks.encode.words import chunk_words
from polyseme.tasks.engine import Engine
from polyseme.tasks.text.chunks import chunks
from polyseme.tasks.text.kept_text import Edit, KeptText
from polyseme.tasks.text.passages import passages
from polyseme.tasks.text.prose import is_markdown, prose_of
from polyseme.tasks.text.sentences import Splitting, split_by

PAGE = """# A guide

See [the docs](https://example.org/a_(b) "title"), ![an image](x.png) and [more][Ref]. It says `[x](y)` here.

```python
code(here)
```
The second paragraph <!-- hidden. --> goes on. Not a link: [Other] or a[0][1].

| a | b |
|---|---|
| 1 | 2 |

<!-- a comment
over lines -->
[ref]: http://example.org

    indented(code)

- An item.

  A paragraph of the item.

      code(of_the_item)

[![badge](https://img.example)](https://target.example) The end.
"""


def words(text: str) -> list[str]:
    return text.split()


def test_prose_is_what_people_read() -> None:
    assert words(prose_of(PAGE).text) == words(
        "# A guide See the docs , an image and more . It says `[x](y)` here. The second paragraph goes on. "
        "Not a link: [Other] or a[0][1]. - An item. A paragraph of the item. badge The end."
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("A (plain) text.", "A (plain) text."),
        ("[not](a link", "[not](a link"),
        ("\\[no\\](link)", "\\[no\\](link)"),
        ("a [b](c)d", "a b d"),
        ("x<!-- c -->y", "x y"),
        ("<!-- not closed", "<!-- not closed"),
        ("~~~\nnot closed", ""),
        ("one\n```\na\n```\ntwo", "one\n\n\ntwo"),
        ("> ```\n> a\n> ```\n> two", "> two"),
    ],
)
def test_what_is_left_out(text: str, expected: str) -> None:
    assert words(prose_of(text).text) == words(expected)


def test_a_block_separates_paragraphs() -> None:
    found = prose_of("one\n```\na\n```\ntwo")
    assert found.text == "one\n\n\ntwo"
    assert found.places(np.array([0, 3, 6])).tolist() == [0, 3, 14]


MARKS = (
    *("word", " ", "\n", "\n\n", "[", "](", ")", "][", "]", "![", "`", "```\n", "    ", "<!--", "-->", "ü", "(", "\t"),
    *("|a|b|\n|-|-|\n", "[a]: b\n", "> ", "- ", "\\", "~~~\n", "1. ", "[a](b)", "[a][a]", "<div>\n"),
)
PIECES = st.lists(st.sampled_from(MARKS), max_size=40).map("".join)


@given(PIECES)
def test_what_is_kept_is_in_the_text_in_order(text: str) -> None:
    found = prose_of(text)
    places = found.places(np.arange(len(found.text)))
    assert (np.diff(places) > 0).all()
    assert all(character == text[at] or character in " \n" for character, at in zip(found.text, places, strict=True))


def test_edits_that_would_lengthen_a_text_or_overlap_are_refused() -> None:
    for edits in ([Edit(0, 1, "ab")], [Edit(0, 3), Edit(2, 4)]):
        with pytest.raises(ValueError, match="edits"):
            KeptText.of("abcdef", edits)


def test_markdown_files_are_known_by_their_address_and_records_are_not() -> None:
    known = {"file:///a/b.md": True, "file:///a.MD.gz": True, "file:///a.zip!/b.md": True, "file:///a.md/b.txt": False}
    known |= {"file:///a.jsonl": False, "stdin:": False, "file:///README": False}
    assert {uri: is_markdown(uri) for uri in known} == known


def test_sentences_words_and_tokens_of_prose_point_into_the_whole_text(mini: Engine) -> None:
    split = split_by(Splitting(markdown="prose"))
    documents = [
        Document("a", "file:///a.md", PAGE),
        Document("b", "file:///b.txt", PAGE),
        Document("c", "file:///c.md", ""),
    ]
    prose, plain, empty = passages(documents, mini.wordpiece, split)
    texts = [PAGE[start:stop] for start, stop in prose.spans.tolist()]
    assert "code" not in " ".join(texts)
    assert texts[1].startswith("See [the docs](https://example.org/a_(b)")
    assert len(empty) == 0
    assert plain.tokens > 1.5 * prose.tokens
    (chunk,) = chunks([prose], 10_000)
    found = chunk_words(chunk, None)
    spans = list(zip(found.char_start.tolist(), found.char_end.tolist(), strict=True))
    assert [PAGE[a:b] for a, b in spans] == found.surface
    assert {"example", "https", "hidden", "img", "target"}.isdisjoint(found.surface)
    assert {"docs", "image", "more", "badge"} <= set(found.surface)


@given(text=PIECES)
def test_words_of_prose_are_numbered_as_their_tokens_are(mini: Engine, text: str) -> None:
    (prose,) = passages([Document("a", "file:///a.md", text)], mini.wordpiece, split_by(Splitting(markdown="prose")))
    for chunk in chunks([prose], 10_000):
        found = chunk_words(chunk, None)
        for sentence, (a, b) in enumerate(zip(chunk.sentence_ptr[:-1], chunk.sentence_ptr[1:], strict=True)):
            numbers = set(found.index[found.sentence == sentence].tolist())
            assert numbers == set(range(int(chunk.last_word[b - 1]) + 1 if b > a else 0))
