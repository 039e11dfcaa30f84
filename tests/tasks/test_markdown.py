"""Text of others in Markdown: whatever it is, it renders as itself, and nothing else of the page changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from polyseme.tasks.markdown import code, literal

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKS = "\\`*_[]<>&|~!#$@()-+=1.:/\"'{} \t\n\r\u202e\u200bwx"
TEXTS = st.one_of(st.text(), st.text(MARKS))
HOSTILE = (
    "a | b", "one\ntwo", "<img src=x onerror=alert(1)>", "[here](https://example.org)", "![](https://example.org/x.png)",
    "<https://example.org>", "**bold**", "`code`", "``", "`", "# heading", "- item", "1. item", "12) item", "+ item",
    "===", "---", "> quote", "    code", "~~gone~~", "&lt;b&gt;", "\\", "\\|", "a\\", "```\nfence", "[a]: b", "<!-- ",
    "$x$", "", " ", "\u202egnp.exe", "file:///a_b_c/*.txt?1#2",
)  # fmt: skip


def shown(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def words(tokens: list[Token] | None) -> list[tuple[str, str]]:
    """Return what is rendered: the kind of each piece, text that is escaped joined to its neighbours."""
    found: list[tuple[str, str]] = []
    for token in tokens or []:
        kind = "text" if token.type in ("text", "text_special") else token.type
        if kind == "text" and found and found[-1][0] == "text":
            found[-1] = (kind, found[-1][1] + token.content)
        elif kind != "text" or token.content:
            found.append((kind, token.content))
    return found


def inline(page: str) -> list[list[tuple[str, str]]]:
    return [words(token.children) for token in PARSER.parse(page) if token.type == "inline"]


def text(value: str) -> list[tuple[str, str]]:
    return [("text", shown(value))] if shown(value) else []


def hostile(test: Callable[[str], None]) -> Callable[[], None]:
    for value in HOSTILE:
        test = example(value)(test)
    return given(TEXTS)(test)


@hostile
def test_a_cell_of_a_table_shows_the_text_and_the_table_keeps_its_cells(value: str) -> None:
    page = f"| a | b |\n|---|---|\n| {literal(value)} | 1 |\n| {literal(value)} | 2 |"
    rows = [text(value), [("text", "1")], text(value), [("text", "2")]]
    assert inline(page) == [[("text", "a")], [("text", "b")], *rows]


@hostile
def test_a_line_a_heading_and_an_item_show_the_text_and_nothing_follows_from_it(value: str) -> None:
    for before, after in (("", ""), ("# ", ""), ("- ", ""), ("Lake ", ", and more")):
        tokens = PARSER.parse(f"{before}{literal(value)}{after}\n\nThe end.")
        usual = PARSER.parse(f"{before}{'x' if shown(value) else ''}{after}\n\nThe end.")
        assert [token.type for token in tokens] == [token.type for token in usual]
        (mine, *_) = [words(t.children) for t in tokens if t.type == "inline"]
        if shown(value):
            assert mine == [("text", f"{before.strip('#- ')} {shown(value)}{after}".strip())]


@hostile
def test_a_code_span_has_the_text(value: str) -> None:
    (found,) = inline(f"Run {code(value)} now")
    assert [kind for kind, _ in found] == ["text", "code_inline", "text"]
    assert found[1][1].strip() == shown(value)


def test_bare_addresses_are_no_links() -> None:
    assert literal("https://example.org") == r"https\://example.org"
    assert literal("www.example.org") == r"www\.example.org"
    assert literal("a@example.org") == r"a\@example.org"


@pytest.mark.parametrize(("length", "expected"), [(5, "abcd…"), (6, "abcdef"), (None, "abcdef")])
def test_a_long_text_is_cut_before_it_is_escaped(length: int | None, expected: str) -> None:
    assert literal("abcdef", longest=length) == expected
    assert literal("[" * 9, longest=3) == r"\[\[…"
