"""AsciiDoc: every word of its prose, without what a reader does not see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyseme.storage.records import Document
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.parsing.asciidoc import parse_asciidoc
from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest
from polyseme.tasks.reading.readers import read_file
from tests import document_files as made


def parsed(source: str) -> Parsed | None:
    request = ParseRequest(suffix=".adoc", data=b"", most_bytes=1 << 24, seconds=60, megabytes=512)
    return next(parse_asciidoc(source.encode(), request), None)


def text(source: str) -> str:
    found = parsed(source)
    return "" if found is None else found.text


@pytest.mark.parametrize("name", ["a.adoc", "a.asciidoc", "a.ADOC"])
def test_a_document_is_its_text_with_what_its_header_states(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(made.asciidoc())
    (found,) = read_file(tmp_path / name, (tmp_path / name).as_uri(), ReadOptions())
    assert isinstance(found, Document)
    assert found.title == "On Harbours"
    assert json.loads(found.metadata) == {"author": "A. Author", "date": "1901-02-03"}
    assert found.text == (
        "On Harbours\n\nIce\n\nThe harbour froze. See the start, a link and Kiel.\n\nEarly.\n\na = b * c\n\none\nmore"
        "\n\nTerm\n\nsaid\n\nPort\tShips\n\nOld"
    )


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("one\ntwo\n\nthree", "one two\n\nthree"),
        ("*one* _two_ `three` #four# **f**ive __s__ix", "one two three four five six"),
        ("snake_case_name 2 * 3 * 4 a_b *.txt C++ and D++", "snake_case_name 2 * 3 * 4 a_b *.txt C++ and D++"),
        ("`*.c`, `a_b_c` and `+{x}+`", "*.c, a_b_c and {x}"),
        ("\"`One`\" and '`two`' -- H~2~O", "“One” and ‘two’ — H2O"),
        ("http://x.org/a_b[one], link:b.html[two,window=_blank], http://y.org[] http://z.org/c_d_e",
         "one, two, http://y.org http://z.org/c_d_e"),
        ("<<a,one>> xref:b#c[two] <<d>>three[[e]], like <<f>>.", "one two three, like."),
        ("image:a.png[no] kbd:[Ctrl] menu:File[Save] (((no))) ((yes))", "Ctrl File > Save yes"),
        ("{nbsp}one {unknown} \\{two} &amp; &#8217;", "one {unknown} {two} & ’"),
        (":a: one\n:b: two \\\n  three\n\n{a} {b}", "one two three"),
        (":a: {b}\n:b: {a}\n\n{a}{b} one", "{a}{b} one"),
        ("// no\none\n////\nno\n////\n/// two", "one\n\n/// two"),
        ("[source]\n----\n* a\n\n// b\n----\n\n....\n*c*\n....", "* a\n\n// b\n\n*c*"),
        ("```c\n*a*\n```\none", "*a*\n\none"),
        ("====\none\n====\n****\ntwo\n****\n[quote,Lee]\n____\nthree\n____", "one\n\ntwo\n\nLee\n\nthree"),
        ("[verse]\none\ntwo", "one\ntwo"),
        ("* one\n** two\n+\nthree\n. four\n- [x] five\n1. six\n<1> seven",
         "one\n\ntwo\n\nthree\n\nfour\n\nfive\n\nsix\n\nseven"),
        ("one::\n  two\nthree:: four", "one\n\ntwo\n\nthree\n\nfour"),
        ("one\n\n  two\n   three", "one\n\n  two\n   three"),
        (".One\n|===\n|a |b\n\n|c\n2+|d e\n|===\nf", "One\n\na\tb\n\nc\n\nd e\n\nf"),
        ("include::a.adoc[]\nifdef::x[]\none\nendif::[]\nimage::a.png[no]\n'''\n<<<\ntwo", "one\n\ntwo"),
        ("NOTE: one", "NOTE: one"),
        ("One\n===\n\nTwo\n---\nthree", "One\n\nTwo\n\nthree"),
        ("== One ==\ntwo\n=== Three", "One\n\ntwo\n\nThree"),
        ("one.footnote:[Two `b`.] three.", "one. three.\n\nTwo b."),
        ("----\nnever closed", "never closed"),
    ],
)  # fmt: skip
def test_what_a_reader_sees_is_the_text(source: str, shown: str) -> None:
    assert text(source) == shown


def test_only_a_first_heading_is_the_title() -> None:
    found = parsed("words\n\n== One\nA. Author")
    assert found is not None
    assert (found.title, found.metadata) == (None, {})


@pytest.mark.parametrize(
    "mark", ["*", "_", "`", "[", "(", "((", "<<", "{", "^", "~", "#", '"`', "|", "footnote:[", "http://a[", "[["]
)
def test_marks_without_an_end_take_no_time_and_no_words(mark: str) -> None:
    assert text(f"{mark}a " * 20_000 + "word").endswith("word")
