"""A document with the id `*`: a condition that it alone meets means it, and not all documents."""

from __future__ import annotations

import json

import pytest

import polyseme
from polyseme.flows.cli import main
from polyseme.storage.lake import Lake
from tests import embedded_lakes

TEXTS = {"*": "The bank of the river. A heron.", "other": "The bank lent money. A heron."}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return embedded_lakes.make(tmp_path_factory.mktemp("lake"), embedded_lakes.documents(TEXTS))


@pytest.mark.parametrize(
    "words",
    [
        ["search", "a river"],
        ["search", "a river", "--exact"],
        ["search", "a river", "--words"],
        ["search", "The bank", "--word", "bank"],
        ["search", "heron", "--mode", "text"],
        ["search", "a heron", "--mode", "hybrid"],
    ],
)
def test_searches_find_what_it_has_alone(capfd: pytest.CaptureFixture[str], made: Lake, words: list[str]) -> None:
    with pytest.raises(SystemExit):
        main([*words, "--where", "doc_id = '*'", "--json", "--lake", str(made.root)])
    assert {row["doc_id"] for row in json.loads(capfd.readouterr().out)} == {"*"}


def test_words_are_counted_in_it_alone(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    with pytest.raises(SystemExit):
        main(["words", "--where", "doc_id = '*'", "--json", "--lake", str(made.root)])
    counted = {row["word"]: row["occurrences"] for row in json.loads(capfd.readouterr().out)}
    assert counted["bank"] == counted["river"] == 1
    assert "money" not in counted


def test_a_notebook_finds_sentences_of_it_alone(made: Lake) -> None:
    with polyseme.open(made.root) as lake:
        found = lake.nearest("a river", where="doc_id = '*'").arrow()
        assert set(found["doc_id"].to_pylist()) == {"*"}
