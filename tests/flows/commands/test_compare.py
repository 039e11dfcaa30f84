"""`polyseme compare`: slices by their figures and keywords, encodings by what they agree on."""

from __future__ import annotations

import csv
import io
import json

import pytest

from polyseme.flows.cli import main
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import Outputs
from polyseme.storage.sql.connection import connect
from polyseme.tasks.engine_config import EngineConfig
from tests import embedded_lakes

TEXTS = embedded_lakes.TEXTS | {"ham": "Ham. " * 9 + "Ham and eggs.", "egg": "Eggs. " * 9 + "The eggs."}
HAM = ["--where", "title = 'On ham'"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    root = tmp_path_factory.mktemp("lake")
    embedded_lakes.make(root, embedded_lakes.documents(TEXTS))
    config = EngineConfig(layers="last4")
    bare = Outputs("sentences", None, nsp=False)
    return embedded_lakes.make(root, embedded_lakes.documents(TEXTS), config=config, outputs=bare, run_id="other")


def polyseme(capfd: pytest.CaptureFixture[str], made: Lake, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(["compare", *words, "--lake", str(made.root)])
    out, err = capfd.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


def test_slices_have_their_figures_side_by_side(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    code, out, err = polyseme(capfd, made, *HAM, "--against", "title = 'On egg'", "--json")
    assert (code, err) == (0, "")
    rows = json.loads(out)
    figures = {row["name"]: (row["value"], row["other_value"]) for row in rows if row["kind"] == "figure"}
    assert figures["documents"] == (1, 1)
    assert figures["words"] == (12, 11)
    assert figures["distinct_words"] == (3, 2)
    assert figures["perplexity"] == (None, None)
    with connect(made.root) as con:
        margins = [
            con.execute("SELECT avg(margin) FROM coherence WHERE doc_id = ?", [doc]).fetchall()[0][0]
            for doc in ("ham", "egg")
        ]
    assert list(figures["mean_margin"]) == pytest.approx(margins)
    keywords = [(row["kind"], row["name"]) for row in rows if row["kind"] != "figure"]
    assert keywords == [("keyword", "ham"), ("other keyword", "eggs")]


def test_every_form_has_the_same_rows(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    rows = list(csv.DictReader(io.StringIO(polyseme(capfd, made, *HAM, "--against", "rest", "--format", "csv")[1])))
    assert rows[0] == {"kind": "figure", "name": "documents", "value": "1.0", "other_value": "7.0",
                       "log_likelihood": "", "log_ratio": ""}  # fmt: skip
    table = polyseme(capfd, made, *HAM, "--against", "rest")[1]
    assert "Keywords of the first slice" in table


def test_encodings_are_compared_on_the_sentences_of_both(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    with Catalog.open(made) as catalog:
        first, second = (encoding.name for encoding in catalog.snapshot().encodings)
    rows = json.loads(polyseme(capfd, made, "--encoding", first, "--other", second, "--json")[1])
    found = {row["name"]: row["value"] for row in rows}
    assert found["sentences_compared"] == 38
    assert 0.3 < found["overlap_at_10"] < 1
    assert 0.3 < found["similarity_correlation"] < 1
    same = json.loads(polyseme(capfd, made, "--encoding", first, "--other", first, "--sample", "20", "--json")[1])
    assert [row["value"] for row in same] == [20, 1, pytest.approx(1)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "both of two"),
        (HAM, "both of two"),
        ([*HAM, "--against", "rest", "--other", "x"], "both of two"),
        (["--encoding", "x", "--other", "y"], "No encoding is named 'x'"),
        (["--encoding", "x", "--other", "y", "--sample", "0"], "at least 1"),
    ],
)
def test_options_that_make_no_sense_are_a_usage_error(
    capfd: pytest.CaptureFixture[str], made: Lake, words: list[str], message: str
) -> None:
    code, _, err = polyseme(capfd, made, *words)
    assert code == 2
    assert message in err
