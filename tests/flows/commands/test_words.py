"""`polyseme words`: frequency lists and keywords from the command line."""

from __future__ import annotations

import json

import pytest

from polyseme.flows.cli import main
from polyseme.storage.lake import Lake
from tests import embedded_lakes

WET = "title IN ('On river', 'On canal', 'On brook')"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    texts = embedded_lakes.TEXTS | {"ham": "Ham. " * 9 + "Ham and eggs.", "egg": "Eggs. " * 9 + "The eggs."}
    return embedded_lakes.make(tmp_path_factory.mktemp("lake"), embedded_lakes.documents(texts))


def polyseme(capfd: pytest.CaptureFixture[str], made: Lake, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(["words", *words, "--lake", str(made.root)])
    out, err = capfd.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


def test_the_most_frequent_words_come_first(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    rows = json.loads(polyseme(capfd, made, "--json")[1])
    counts = [row["occurrences"] for row in rows]
    assert counts == sorted(counts, reverse=True)
    (bank,) = (row for row in rows if row["word"] == "bank")
    assert (bank["occurrences"], bank["documents"]) == (11, 6)
    table = polyseme(capfd, made, "--where", WET, "--at-least", "3")[1]
    assert "water" in table
    assert "vault" not in table


@pytest.mark.parametrize("against", ["rest", "title <> 'On ham'"])
def test_keywords_are_those_of_the_slice_that_is_named(
    capfd: pytest.CaptureFixture[str], made: Lake, against: str
) -> None:
    rows = json.loads(polyseme(capfd, made, "--where", "title = 'On ham'", "--against", against, "--json")[1])
    assert [(row["word"], row["occurrences"], row["other_occurrences"]) for row in rows] == [("ham", 10, 0)]
    assert rows[0]["log_likelihood"] > 15.13


def test_slices_without_keywords_are_exit_code_1_with_the_names_of_the_columns(
    capfd: pytest.CaptureFixture[str], made: Lake
) -> None:
    code, out, err = polyseme(capfd, made, "--where", WET, "--against", "false", "--format", "csv")
    assert code == 1
    assert out == "word,occurrences,other_occurrences,per_million,other_per_million,log_likelihood,log_ratio\n"
    assert "log-likelihood of 15.13" in err


@pytest.mark.parametrize(
    ("words", "message"), [(["--against", "rest"], "Name both"), (["--limit", "-1"], "at least 0")]
)
def test_options_that_make_no_sense_are_a_usage_error(
    capfd: pytest.CaptureFixture[str], made: Lake, words: list[str], message: str
) -> None:
    code, _, err = polyseme(capfd, made, *words)
    assert code == 2
    assert message in err
