"""`polyseme kwic`: sorted, limited and in every form; and what a look-up that finds nothing says."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from polyseme.flows.cli import main
from polyseme.storage.lake import Lake
from polyseme.storage.records import Outputs
from tests import embedded_lakes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return embedded_lakes.make(tmp_path_factory.mktemp("lake"), embedded_lakes.documents())


def polyseme(capfd: pytest.CaptureFixture[str], made: Lake, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main([*words, "--lake", str(made.root)])
    out, err = capfd.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


def test_lines_have_their_keywords_one_below_the_other(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    code, out, err = polyseme(capfd, made, "kwic", "bank", "--limit", "4", "--width", "20")
    assert (code, err) == (0, "4 of 11 occurrences; --limit 0 shows all.\n")
    assert len({line.index("  bank  ") for line in out.splitlines()}) == 1
    assert out.splitlines()[0] == "On brook  ok has cut into its   bank  . Below the bank the"


def test_context_is_sorted_by_the_words_beside_the_keyword(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    def column(name: str, *more: str) -> list[str]:
        return [row[name] for row in json.loads(polyseme(capfd, made, "kwic", "bank", *more, "--json")[1])]

    before = [text.split()[::-1] for text in column("text_before", "--sort", "left")]
    firsts = [words[0].lower() for words in before]
    assert firsts == sorted(firsts)
    after = [text.strip(" .").split()[0].lower() for text in column("text_after", "--sort", "right", "--width", "25")]
    assert after == sorted(after)
    senses = [row["sense"] for row in json.loads(polyseme(capfd, made, "kwic", "bank", "--sort", "sense", "--json")[1])]
    assert senses == sorted(senses)
    assert set(senses) == {1, 2}


def test_the_occurrences_most_like_a_sentence_come_first(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    _, out, _ = polyseme(capfd, made, "kwic", "bank", "--like", "Reeds grew along the bank.", "--json")
    rows = json.loads(out)
    assert rows[0]["doc_id"] == "canal"
    assert rows[0]["similarity"] == pytest.approx(1, abs=1e-3)
    assert [row["similarity"] for row in rows] == sorted((row["similarity"] for row in rows), reverse=True)


@pytest.mark.parametrize("form", ["csv", "jsonl", "json"])
def test_rows_are_the_same_in_every_form(capfd: pytest.CaptureFixture[str], made: Lake, form: str) -> None:
    where = ["--where", "title = 'On safe'"]
    _, out, _ = polyseme(capfd, made, "kwic", r"b\w+k", "--regex", *where, "--format", form)
    if form == "csv":
        found = list(csv.DictReader(io.StringIO(out)))
    else:
        found = json.loads(out) if form == "json" else [json.loads(line) for line in out.splitlines()]
    assert [row["keyword"] for row in found] == ["bank", "bank"]
    assert list(found[0]) == ["doc_id", "title", "sentence_index", "char_start", "char_end", "text_before", "keyword",
                              "text_after"]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "'nowhere' does not occur in the lake.\n"),
        (["banck"], "'banck' does not occur in the lake. Spelled like it: bank (11), back (1).\n"),
        (["bank river"], "'bank river' does not occur in the lake. Its words, one by one: bank (11), river (1).\n"),
        (["b.k", "--regex"], "No sentence of the documents of the lake matches it.\n"),
        (["bank", "--where", "false"], "documents that --where selects. It does in others: 11 occurrences.\n"),
    ],
)
def test_what_does_not_occur_is_exit_code_1_with_the_reason(
    capfd: pytest.CaptureFixture[str], made: Lake, words: list[str], message: str
) -> None:
    code, out, err = polyseme(capfd, made, "kwic", *words)
    assert (code, out) == (1, "")
    assert err.endswith(message)
    assert polyseme(capfd, made, "kwic", *words, "--json")[:2] == (1, "[]\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["(bank", "--regex"], "takes an expression of RE2, and (bank is none: missing )."),
        (["a)(b", "--regex"], "takes an expression of RE2"),
        (["bank", "--sort", "similarity"], "needs a sentence with the word in it"),
        (["bank", "--like", "A river."], "not in the sentence of --like"),
        (["bank", "--regex", "--sort", "sense"], "finds text and no words"),
        (["bank", "--limit", "-1"], "at least 0"),
        (["bank", "--json", "--format", "csv"], "two forms"),
    ],
)
def test_options_that_make_no_sense_are_a_usage_error(
    capfd: pytest.CaptureFixture[str], made: Lake, words: list[str], message: str
) -> None:
    code, _, err = polyseme(capfd, made, "kwic", *words)
    assert code == 2
    assert message in err


def test_a_lake_of_sentences_says_how_to_encode_the_word_and_that_works(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    outputs = Outputs("sentences", None, nsp=False)
    bare = embedded_lakes.make(tmp_path / "lake", embedded_lakes.documents(), outputs=outputs)
    code, out, err = polyseme(capfd, bare, "kwic", "Bank", "--limit", "0")
    assert (code, len(out.splitlines())) == (0, 11)
    assert "found in the text of its sentences" in err
    code, out, err = polyseme(capfd, bare, "senses", "bank")
    assert (code, out) == (1, "")
    kept_as = "'bank' is in 11 sentences, but the lake has no vectors of it: it keeps sentences only."
    assert err.startswith(f"{kept_as} --encode encodes it first: about ")
    code, _, err = polyseme(capfd, bare, "search", "He sat on the bank.", "--word", "bank")
    assert (code, err) == (
        1, f"{kept_as} Encode it: polyseme backfill --level words --words bank --lake {bare.root}\n",
    )  # fmt: skip
    some = Outputs("words", frozenset({"river"}), nsp=False)
    kept = embedded_lakes.make(tmp_path / "some", embedded_lakes.documents(), outputs=some)
    asked = ("search", "He sat on the bank.", "--word", "The Bank")
    assert "it keeps vectors of 1 word only. Encode it: polyseme backfill" in (err := polyseme(capfd, kept, *asked)[2])
    assert "--words 'the bank' --lake" in err
