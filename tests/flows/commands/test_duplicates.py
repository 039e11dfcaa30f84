"""`polyseme duplicates`: groups from the command line, what an empty list means, and options that make no sense."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from polyseme.flows.cli import main
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from tests import lakes
from tests.extras import require

LONG = " ".join(f"word{i}" for i in range(100))
TEXTS = {
    "a": [LONG, "The end.", "The end."],
    "b": [LONG, "The\nend."],
    "c": ["Short.", "The end."],
    "d": ["Short.", "The end."],
    "e": ["Another one."],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("duplicates") / "lake")
    with Catalog.create_or_open(lake) as catalog:
        lakes.commit(catalog, lakes.make_spec(), TEXTS)
    return lake


def polyseme(capfd: pytest.CaptureFixture[str], made: Lake, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(["duplicates", *words, "--lake", str(made.root)])
    out, err = capfd.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


@pytest.mark.extra
def test_documents_that_are_nearly_the_same_are_listed_by_group(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    require("rensa", "duplicates")
    code, out, err = polyseme(capfd, made, "--json")
    assert code == 0
    assert [(row["group_id"], row["place"], row["doc_id"], row["same_text"]) for row in json.loads(out)] == [
        (1, 1, "a", True), (1, 2, "b", False), (2, 1, "c", True), (2, 2, "d", True),
    ]  # fmt: skip
    assert json.loads(out)[1]["similarity"] == pytest.approx(98 / 100)
    assert json.loads(out)[0]["uri"] == lakes.uri_of("a")
    assert err == "2 groups of 4 documents: 2 beside the first of each.\n"
    _, table, err = polyseme(capfd, made, "--limit", "1", "--where", "doc_id <> 'e'")
    assert " 0.98 " in table
    assert " c " not in table
    assert err.endswith(" --limit 0 shows 1 more group.\n")


def test_documents_with_the_same_text_need_no_extra(
    capfd: pytest.CaptureFixture[str], made: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    code, out, _ = polyseme(capfd, made, "--exact", "--format", "csv")
    assert code == 0
    rows = [f"1,2,{i},{doc_id},{lakes.uri_of(doc_id)},About {doc_id}" for i, doc_id in enumerate("cd", 1)]
    assert out.splitlines() == ["group_id,copies,place,doc_id,uri,title", *rows]
    code, out, err = polyseme(capfd, made)
    assert (code, out) == (1, "")
    assert "pip install 'polyseme[duplicates]'" in err
    assert "polyseme duplicates --exact" in err


def test_sentences_are_listed_once_a_group_with_their_first_place(
    capfd: pytest.CaptureFixture[str], made: Lake
) -> None:
    code, out, err = polyseme(capfd, made, "--of", "sentences", "--json")
    assert code == 0
    assert [tuple(row.values()) for row in json.loads(out)] == [
        (1, 5, 4, "a", 1, "The end."), (2, 2, 2, "a", 0, LONG), (3, 2, 2, "c", 0, "Short."),
    ]  # fmt: skip
    assert err == "3 groups of 9 sentences: 6 beside the first of each.\n"


def test_with_a_condition_only_its_documents_are_compared(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    _, out, _ = polyseme(capfd, made, "--of", "sentences", "--where", "doc_id IN ('b', 'c', 'd')", "--json")
    assert [tuple(row.values()) for row in json.loads(out)] == [
        (1, 3, 3, "b", 1, "The\nend."), (2, 2, 2, "c", 0, "Short."),
    ]  # fmt: skip
    code, out, err = polyseme(capfd, made, "--exact", "--where", "doc_id IN ('a', 'c', 'e')", "--format", "csv")
    assert (code, out) == (1, "group_id,copies,place,doc_id,uri,title\n")
    assert err.startswith("No two of the 3 documents that --where selects have the same text. Without --exact,")


@pytest.mark.extra
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--where", "doc_id IN ('a', 'c', 'e')"], "No two of the 3 documents that --where selects have 80 % of their"),
        (["--where", "doc_id IN ('a', 'e')", "--at-least", "0.2"], "have 20 % of their runs of five words in common"),
        (["--where", "doc_id = 'a'"], "There is one document that --where selects, and nothing to compare it with."),
        (["--where", "false"], "--where selects no document."),
        (["--where", "doc_id = 'e'", "--of", "sentences"], "No sentence of the 1 document that --where selects is"),
        (["--of", "sentences", "--at-least", "1", "--where", "doc_id = 'e'"], "No two sentences of the 1 document"),
    ],
)
def test_an_empty_list_is_exit_code_1_and_says_what_it_means(
    capfd: pytest.CaptureFixture[str], made: Lake, words: list[str], message: str
) -> None:
    require("rensa", "duplicates")
    code, out, err = polyseme(capfd, made, *words)
    assert (code, out) == (1, "")
    assert err.startswith(message) or message in err


def test_a_lake_without_documents_says_so(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with Catalog.create_or_open(Lake(tmp_path / "lake")):
        pass
    for words in (["--exact"], ["--of", "sentences"]):
        code, _, err = polyseme(capfd, Lake(tmp_path / "lake"), *words)
        assert (code, err) == (1, "The lake has no documents yet: polyseme embed FOLDER.\n")


def test_similar_sentences_are_pairs_with_different_texts(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    code, out, err = polyseme(capfd, made, "--of", "sentences", "--at-least", "0.8", "--json", "--limit", "0")
    assert code == 0
    pairs = json.loads(out)
    assert all(row["text"] != row["other_text"] and row["similarity"] >= 0.8 for row in pairs)
    assert err == f"{len(pairs):,} pair{'s' if len(pairs) > 1 else ''} of sentences with different texts.\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--at-least", "0.1"], "from 0.2 to 1; got 0.1"),
        (["--at-least", "nan"], "from 0.2 to 1; got nan"),
        (["--at-least", "0.5", "--exact"], "--exact lists what is the same"),
        (["--at-least", "0.5", "--of", "sentences"], "the cosine of their vectors, from 0.8 to 1; got 0.5"),
        (["--at-least", "0.9", "--exact", "--of", "sentences"], "--exact lists what is the same"),
        (["--limit", "-1"], "at least 0"),
        (["--exact", "--where", "no_such = 1"], "no_such is no column of documents"),
    ],
)
def test_options_that_make_no_sense_are_a_usage_error(
    capfd: pytest.CaptureFixture[str], made: Lake, words: list[str], message: str
) -> None:
    code, _, err = polyseme(capfd, made, *words)
    assert code == 2
    assert message in err
