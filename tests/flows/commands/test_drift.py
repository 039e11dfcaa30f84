"""`polyseme drift` on a small real lake: slices, two conditions, all words, formats, and what cannot be answered."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from polyseme.storage.lake import Lake
from tests import embedded_lakes
from tests.flows.explorer.reading import Reading, charts
from tests.flows.test_cli import polyseme
from tests.tasks.sql.test_drift_macros import documents

EARLY = "(metadata->>'year')::INTEGER < 1900"
LATE = "(metadata->>'year')::INTEGER >= 1900"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return embedded_lakes.make(tmp_path_factory.mktemp("lake"), documents())


def run(capfd: pytest.CaptureFixture[str], lake: Lake, *words: str | Path) -> tuple[int, str, str]:
    return polyseme(capfd, "drift", *(str(word) for word in words), "--lake", str(lake.root))


def test_a_word_has_a_line_a_slice_and_what_is_left_out_is_said(capfd: pytest.CaptureFixture[str], lake: Lake) -> None:
    code, out, err = run(capfd, lake, "bank", "--by", "metadata.year", "--bins", "century")
    assert code == 0
    head, columns, *lines = out.splitlines()
    assert head == "bank"
    assert columns.split()[:3] == ["slice", "occurrences", "documents"]
    assert [line.split()[0] for line in lines] == ["1800–1899", "1900–1999"]
    assert "1 occurrence beside these 16" in err


def test_bins_are_a_number_edges_or_periods(capfd: pytest.CaptureFixture[str], lake: Lake) -> None:
    for bins, count in (("2", 2), ("1810,1900", 3), ("decade", 8)):
        _, out, _ = run(capfd, lake, "bank", "--by", "metadata.year", "--bins", bins, "--json", "--permutations", "9")
        assert len(json.loads(out)) == count


def test_a_condition_is_compared_with_all_other_documents_or_with_another(
    capfd: pytest.CaptureFixture[str], lake: Lake
) -> None:
    _, out, _ = run(capfd, lake, "bank", "--where", LATE, "--against", EARLY, "--json")
    late, early = json.loads(out)
    assert (late["slice"], late["occurrences"], early["slice"]) == (LATE, 8, EARLY)
    assert early["p"] < 0.05
    _, out, _ = run(capfd, lake, "bank", "--where", EARLY, "--json")
    _, rest = json.loads(out)
    assert (rest["slice"], rest["occurrences"]) == ("other documents", 9)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_rows_are_the_same_in_every_format(capfdbinary: pytest.CaptureFixture[bytes], lake: Lake, form: str) -> None:
    from polyseme.flows.cli import main

    def written(chosen: str) -> bytes:
        with pytest.raises(SystemExit):
            main(["drift", "bank", "--by", "metadata.year", "--lake", str(lake.root), "--format", chosen])
        return capfdbinary.readouterr().out

    expected = [row["slice"] for row in json.loads(written("json"))]
    found = written(form)
    if form == "csv":
        names = [row["slice"] for row in csv.DictReader(io.StringIO(found.decode()))]
    elif form == "jsonl":
        names = [json.loads(line)["slice"] for line in found.splitlines()]
    else:
        names = pq.read_table(io.BytesIO(found))["slice"].to_pylist()
    assert names == expected


def test_all_words_are_ranked_and_the_table_has_those_that_differ(
    capfd: pytest.CaptureFixture[str], lake: Lake
) -> None:
    given = ("--rank", "--by", "metadata.year", "--bins", "1900,", "--at-least", "2")
    _, out, _ = run(capfd, lake, *given, "--json")
    rows = json.loads(out)
    assert "bank" in [row["word"] for row in rows if row["p_adjusted"] is not None and row["p_adjusted"] < 0.05]
    code, out, err = run(capfd, lake, *given, "--fdr", "1", "-k", "2")
    assert code == 0
    assert out.splitlines()[0].endswith("here: before 1900; there: from 1900")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["word", rows[0]["word"], rows[1]["word"]]
    code, out, err = run(capfd, lake, *given, "--fdr", "0.0001")
    assert "0 of them differ" in err
    assert run(capfd, lake, "--rank", "--where", EARLY, "--at-least", "2", "--json")[0] == 0


def test_the_picture_has_a_bar_a_slice(capfd: pytest.CaptureFixture[str], lake: Lake, tmp_path: Path) -> None:
    code, _, _ = run(capfd, lake, "bank", "--by", "metadata.year", "--plot", tmp_path / "bank.html")
    assert code == 0
    page = (tmp_path / "bank.html").read_text("utf-8")
    assert "senses of 16 occurrences by slice" in Reading(page).text
    assert {row["slice"] for row in charts(page)[0]} >= {"1801–1815"}


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (["xylophone", "--by", "metadata.year"], 1, "'xylophone' does not occur"),
        (["bank", "--by", "metadata.nothing"], 1, "occurs 17 times, in no document that has a value of"),
        (["bank", "--where", "false", "--against", "title = 'nothing'"], 1, "meets one of the conditions"),
        (["bank"], 2, "--by metadata.year"),
        (["--by", "title"], 2, "--rank"),
        (["bank", "--rank", "--by", "title"], 2, "one of them"),
        (["bank", "--by", "nothing"], 2, "--by: nothing is no column of documents"),
        (["bank", "--by", "title; DROP TABLE x"], 2, "--by takes an expression"),
        (["bank", "--by", "title", "--where", "true"], 2, "Say what to compare"),
        (["bank", "--where", "true", "--against", "true"], 2, "meet both"),
        (["bank", "--where", "nothing = 1"], 2, "is no column of documents"),
        (["bank", "--by", "metadata.year", "--bins", "many"], 2, "say no slices"),
        (["bank", "--where", "true", "--bins", "3"], 2, "--bins cuts"),
        (["--rank", "--by", "title"], 2, "compares two slices, and title has 9"),
        (["--rank", "--where", "title = 'nothing'"], 1, "nothing to compare"),
        (["--rank", "--by", "title", "--plot", "x.svg"], 2, "of one word"),
        (["bank", "--by", "title", "--export", "/dev/null"], 2, "Cannot write into"),
    ],
)
def test_what_cannot_be_answered_says_what_to_do(
    capfd: pytest.CaptureFixture[str], lake: Lake, given: list[str], code: int, says: str
) -> None:
    found, out, err = run(capfd, lake, *given)
    assert (found, out) == (code, "")
    assert says in err


def test_uses_are_exported_as_durel_reads_them(capfd: pytest.CaptureFixture[str], lake: Lake, tmp_path: Path) -> None:
    code, out, err = run(
        capfd, lake, "Bank", "--by", "metadata.year", "--bins", "1900,", "--export", tmp_path / "graph", "--json"
    )
    assert (code, err.count("Wrote")) == (0, 3)
    uses = read(tmp_path / "graph" / "data" / "Bank" / "uses.csv")
    assert len(uses) == 16
    assert list(uses[0]) == [
        "lemma", "pos", "date", "grouping", "identifier", "description", "context", "indexes_target_token",
        "indexes_target_sentence",
    ]  # fmt: skip
    for use in uses:
        start, end = map(int, use["indexes_target_token"].split(":"))
        first, last = map(int, use["indexes_target_sentence"].split(":"))
        assert use["context"][start:end].lower() == "bank"
        assert first <= start < end <= last <= len(use["context"])
        assert use["context"][last - 1] == "."
        assert use["grouping"] == str(1 + (int(use["date"]) >= 1900))
    identifiers = [use["identifier"] for use in uses]
    assert len(set(identifiers)) == 16
    clusters = read(tmp_path / "graph" / "clusters" / "polyseme" / "Bank.csv")
    assert [row["identifier"] for row in clusters] == identifiers
    sense = {row["identifier"]: int(row["cluster"]) for row in clusters}
    for slice_, row in enumerate(json.loads(out), 1):
        inside = [sense[use["identifier"]] for use in uses if use["grouping"] == str(slice_)]
        assert [inside.count(number) / len(inside) for number in range(len(row["shares"]))] == row["shares"]
    judgments = read(tmp_path / "graph" / "data" / "Bank" / "judgments.csv")
    assert {row["judgment"] for row in judgments} <= {"1", "4"}
    for row in judgments:
        same = sense[row["identifier1"]] == sense[row["identifier2"]]
        assert row["judgment"] == ("4" if same else "1")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
