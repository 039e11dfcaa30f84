"""`polyseme topics`: topics fitted, listed and looked into from the command line, and what makes no sense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyseme.flows.cli import main
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.sql.publish import published
from tests.topic_lakes import commit, documents


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("topics") / "lake")
    with Catalog.create_or_open(lake) as catalog:
        commit(catalog, documents("river", 12) | documents("money", 9))
    return lake


def polyseme(capfd: pytest.CaptureFixture[str], lake: Lake, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(["topics", *words, "--lake", str(lake.root)])
    out, err = capfd.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


@pytest.fixture
def fitted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Lake:
    lake = Lake(tmp_path / "lake")
    with Catalog.create_or_open(lake) as catalog:
        commit(catalog, documents("river", 12) | documents("money", 9))
    assert polyseme(capfd, lake, "--fit")[0] == 0
    return lake


def test_without_topics_it_says_how_to_find_some(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    code, out, err = polyseme(capfd, made, "--json")
    assert (code, out.strip()) == (1, "[]")
    assert "polyseme topics --fit finds some" in err


def test_fit_stores_a_version_publishes_it_and_lists_its_topics(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    with Catalog.create_or_open(lake) as catalog:
        commit(catalog, documents("river", 12) | documents("money", 9))
    code, out, err = polyseme(capfd, lake, "--fit", "--json")
    assert code == 0
    assert [(row["topic"], row["documents"], row["version"]) for row in json.loads(out)] == [(1, 12, 1), (2, 9, 1)]
    assert "2 topics, version 1, fitted" in err
    with Catalog.open(lake) as catalog:
        shown = published(lake)
        assert shown is not None
        assert shown[0] == catalog.snapshot().catalog_version


def test_topics_are_listed_with_their_words_and_a_typical_document(
    capfd: pytest.CaptureFixture[str], fitted: Lake
) -> None:
    code, out, err = polyseme(capfd, fitted)
    assert code == 0
    assert "flood" in out
    assert "About river-" in out
    assert err.endswith("Of the 21 documents now, 1 is far from all.\n")
    assert len(json.loads(polyseme(capfd, fitted, "--json", "--limit", "1")[1])) == 1


def test_the_documents_of_a_topic_are_listed_the_most_typical_first(
    capfd: pytest.CaptureFixture[str], fitted: Lake
) -> None:
    code, out, err = polyseme(capfd, fitted, "2", "--format", "jsonl", "--limit", "0")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert len(rows) == 9
    assert all(row["doc_id"].startswith("money") for row in rows)
    assert [row["similarity"] for row in rows] == sorted((row["similarity"] for row in rows), reverse=True)
    assert err.startswith("Topic 2, version 1: ")


def test_many_documents_that_are_far_are_a_reason_to_fit_again(capfd: pytest.CaptureFixture[str], fitted: Lake) -> None:
    with Catalog.open(fitted) as catalog:
        commit(catalog, documents("music", 20))
    assert "are far from all. polyseme topics --fit finds topics for them." in polyseme(capfd, fitted)[2]
    code, out, err = polyseme(capfd, fitted, "--fit", "--json")
    assert code == 0
    assert [(row["topic"], row["since"]) for row in json.loads(out)] == [(3, 2), (1, 1), (2, 1)]
    assert "finds topics for them" not in err
    assert {row["topic"] for row in json.loads(polyseme(capfd, fitted, "--at-version", "1", "--json")[1])} == {1, 2}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["3"], "Version 1 has no topic 3; there are: 1, 2."),
        (["--at-version", "2"], "There is no version 2 of the topics; there are 1 to 1."),
        (["--fit", "1"], "Leave TOPIC and --at-version out."),
        (["--number", "3"], "give them with --fit"),
        (["--fit", "--number", "0"], "from 1 to 21"),
        (["--encoding", "none"], "No encoding is named 'none'"),
        (["--limit", "-1"], "--limit must be at least 0"),
    ],
)
def test_what_makes_no_sense_is_refused(
    capfd: pytest.CaptureFixture[str], fitted: Lake, words: list[str], message: str
) -> None:
    code, out, err = polyseme(capfd, fitted, *words)
    assert (code, out) == (2, "")
    assert message in err
