"""Tiers, as they are typed: `--store` of `embed` and `backfill`, and what every command then says of the lake."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from polyseme.flows.cli import main
from polyseme.flows.explorer.app import application
from polyseme.flows.explorer.live_lake import LiveLake
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.tiers import Layout
from polyseme.tasks.sql.functions import ModelFunctions
from tests.flows.conftest import EXAMPLES
from tests.flows.explorer.reading import Reading
from tests.flows.test_cli import polyseme

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]

FILES = ("flood-at-the-bank.md", "river-survey.md", "savings-bank.md", "canal-walk.md", "island-bank.md")
INT8, BINARY = "polyseme_mini_stored_int8", "polyseme_mini_stored_binary"
MIXED = "polyseme_mini_stored_float16_int8"

Made = Callable[..., Path]


def quietly(*words: str | Path) -> str:
    """Run a command that must succeed, in this process; return its stdout."""
    out = TextIOWrapper(BytesIO(), encoding="utf-8")
    with redirect_stdout(out), pytest.raises(SystemExit) as exit_:
        main([str(word) for word in words])
    assert not exit_.value.code
    out.seek(0)
    return out.read()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five texts of the example corpus, in three of which a bank lends and in the others floods."""
    folder = tmp_path_factory.mktemp("corpus")
    for name in FILES:
        shutil.copy(EXAMPLES / "corpus" / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory, corpus: Path, prefect_api: None) -> dict[str, Path]:
    """A lake of float16, one of int8, and one that was moved from float16 to int8. Nobody writes to them."""
    root = tmp_path_factory.mktemp("lakes")
    found = {name: root / name for name in ("float16", "int8", "moved")}
    quietly("embed", corpus, "--lake", found["float16"])
    quietly("embed", corpus, "--store", "int8", "--lake", found["int8"])
    shutil.copytree(found["float16"], found["moved"])
    report = quietly("backfill", "--store", "int8", "--lake", found["moved"], "--json")
    (found["moved"] / "report.json").write_text(report)
    return found


@pytest.fixture
def copied(lakes: dict[str, Path], tmp_path: Path) -> Made:
    """Return a copy of one of the lakes, to write to."""
    return lambda name: shutil.copytree(lakes[name], tmp_path / name)


def status(capfd: pytest.CaptureFixture[str], lake: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(polyseme(capfd, "status", "--json", "--lake", lake)[1])
    return found


def rows(capfd: pytest.CaptureFixture[str], lake: Path, sql: str) -> list[dict[str, Any]]:
    code, out, err = polyseme(capfd, "sql", sql, "--format", "json", "--lake", lake)
    assert code == 0, err
    found: list[dict[str, Any]] = json.loads(out)
    return found


def size(lake: Path) -> int:
    """Bytes of all parts that are there, live or not."""
    return sum(path.stat().st_size for path in lake.rglob("*.parquet"))


def tiers(lake: Path, encoding: str) -> dict[str, str]:
    """How the parts of an encoding store vectors, as their files say, by table."""
    import pyarrow.parquet as pq

    with Catalog.open(Lake(lake)) as catalog:
        found = next(e for e in catalog.encodings() if e.name == encoding)
        parts = {name: paths for (id_, name), paths in catalog.snapshot().parts.items() if id_ == found.encoding_id}
    return {
        name: Layout.of_file(pq.read_schema(str(Lake(lake).part_path(path))), found.spec.width).tier
        for name, paths in parts.items()
        if name in ("sentences", "words")
        for path in paths
    }


def test_a_lake_of_int8_says_so_in_sql_and_in_its_status(
    capfd: pytest.CaptureFixture[str], lakes: dict[str, Path]
) -> None:
    (found,) = rows(capfd, lakes["int8"], "SELECT name, store, stored_sentences, stored_words FROM encodings")
    assert (found["name"], found["store"]) == (INT8, "int8")
    assert found["stored_sentences"]["least_cosine"] > 0.999
    assert found["stored_words"]["bytes_a_vector"] < 450
    assert rows(capfd, lakes["int8"], "SELECT DISTINCT typeof(embedding) AS t FROM words") == [{"t": "FLOAT[384]"}]
    assert tiers(lakes["int8"], INT8) == {"sentences": "int8", "words": "int8"}
    (encoding,) = status(capfd, lakes["int8"])["encodings"]
    assert encoding["store"] == "int8"
    (larger,) = status(capfd, lakes["float16"])["encodings"]
    assert encoding["bytes"] < 0.62 * larger["bytes"]
    heading = next(
        line for line in polyseme(capfd, "status", "--lake", lakes["int8"])[1].splitlines() if "name" in line
    )
    assert "stored" in heading
    assert "stored" not in polyseme(capfd, "status", "--lake", lakes["float16"])[1]


def test_senses_of_int8_are_those_of_float16(capfd: pytest.CaptureFixture[str], lakes: dict[str, Path]) -> None:
    exact, found = (
        json.loads(polyseme(capfd, "senses", "bank", "--json", "--lake", lakes[name])[1])
        for name in ("float16", "int8")
    )
    members = [
        [sorted((o["uri"], o["sentence_index"], o["text_before"]) for o in s["occurrences"]) for s in of]
        for of in (exact, found)
    ]
    assert members[0] == members[1]
    assert [s["silhouette"] for s in found] == pytest.approx([s["silhouette"] for s in exact], abs=0.004)


def test_a_search_in_int8_finds_what_it_finds_in_float16(
    capfd: pytest.CaptureFixture[str], lakes: dict[str, Path]
) -> None:
    for text in ("the water rose over the fields", "a loan that the bank refused"):
        words = ("search", text, "-k", "3", "--json", "--lake")
        exact, found = (json.loads(polyseme(capfd, *words, lakes[name])[1]) for name in ("float16", "int8"))
        assert [(hit["doc_id"], hit["sentence_index"]) for hit in found] == [
            (hit["doc_id"], hit["sentence_index"]) for hit in exact
        ]
        assert [h["similarity"] for h in found] == pytest.approx([h["similarity"] for h in exact], abs=0.004)


@pytest.mark.parametrize(
    ("store", "says"),
    [
        ("binary,words=int8", "'binary' is for no table: give it alone, for both, or as sentences=binary"),
        ("int4", "'int4' is no tier"),
        ("words=int4", "'int4' is no tier"),
        ("tokens=int8", "tokens go with words"),
        ("words=int8,words=binary", "words are named twice"),
    ],
)
def test_a_store_that_is_none_is_refused_with_what_would_be_one_and_no_lake_is_made(
    capfd: pytest.CaptureFixture[str], corpus: Path, tmp_path: Path, store: str, says: str
) -> None:
    for command in (["embed", corpus], ["embed", corpus, "--dry-run"]):
        code, out, err = polyseme(capfd, *command, "--store", store, "--lake", tmp_path / "none")
        assert (code, out) == (2, "")
        assert says in err
        assert "sentences=float16,words=int8" in err
    assert not (tmp_path / "none").exists()


def test_a_backfill_moves_a_lake_and_no_token_is_encoded(
    capfd: pytest.CaptureFixture[str], lakes: dict[str, Path]
) -> None:
    moved = json.loads((lakes["moved"] / "report.json").read_text())
    counts = moved["counts"]
    assert (moved["encoding"], moved["store"], moved["default_encoding"]) == (INT8, "int8", "polyseme_mini")
    assert (counts["forward_tokens"], counts["documents"], counts["rounded_documents"]) == (0, 5, 5)
    assert tiers(lakes["moved"], INT8) == {"sentences": "int8", "words": "int8"}
    same = "SELECT doc_id, sentence_index, embedding FROM sentences{} ORDER BY ALL"
    assert rows(capfd, lakes["moved"], same.format(f"_{INT8}")) == rows(capfd, lakes["int8"], same.format(""))


def test_what_was_rounded_is_called_so_wherever_runs_are_shown(
    capfd: pytest.CaptureFixture[str], lakes: dict[str, Path]
) -> None:
    import polyseme as package

    wanted = [{"documents": 5, "rounded_documents": 0}, {"documents": 5, "rounded_documents": 5}]
    found = rows(capfd, lakes["moved"], "SELECT documents, rounded_documents FROM runs ORDER BY ordinal")
    assert found == wanted
    assert [run["rounded_documents"] for run in status(capfd, lakes["moved"])["runs"]] == [5, 0]
    lines = polyseme(capfd, "status", "--lake", lakes["moved"])[1].splitlines()
    heading, last, first = next(lines[at : at + 3] for at, line in enumerate(lines) if "encoded" in line)
    places = [heading.split().index(name) for name in ("encoded", "rounded")]  # "from (UTC)" is two words, as are dates
    assert [[line.split()[place] for place in places] for line in (last, first)] == [["0", "5"], ["5", "0"]]
    html = package.open(lakes["moved"])._repr_html_()
    assert "0 documents encoded, 5 rounded" in html
    assert f"{INT8} (stored as int8)" in html
    with LiveLake(Lake(lakes["moved"]), ModelFunctions) as live:
        explorer = TestClient(application(live, title="Moved"), base_url="http://127.0.0.1")
        assert "5 documents (rounded to int8 without the model)" in Reading(explorer.get("/runs").text).text
        overview = Reading(explorer.get("/").text).text
        assert "of these rounded" in overview
        assert "stored as" in overview


def test_a_second_backfill_does_nothing_and_a_dry_run_says_so(capfd: pytest.CaptureFixture[str], copied: Made) -> None:
    lake = copied("moved")
    before = size(lake)
    code, out, _ = polyseme(capfd, "backfill", "--store", "int8", "--lake", lake)
    assert code == 0
    assert "5 documents selected: 0 to encode, 5 up to date. 0 encoded: 0 sentences" in out
    assert size(lake) == before
    assert "Nothing to do." in polyseme(capfd, "backfill", "--store", "int8", "--dry-run", "--lake", lake)[1]


def test_a_plan_of_a_move_says_that_the_model_does_not_run(
    capfd: pytest.CaptureFixture[str], lakes: dict[str, Path]
) -> None:
    plan = ("backfill", "--store", "words=int8", "--dry-run", "--lake", lakes["float16"])
    found = json.loads(polyseme(capfd, *plan, "--json")[1])
    assert (found["to_encode"], found["rounded_documents"], found["forward_tokens"], found["seconds"]) == (0, 5, 0, 0)
    out = polyseme(capfd, *plan)[1]
    assert "5 documents to round to sentences=float16,words=int8, from vectors that the lake has" in out
    assert "the model does not run" in out
    assert "to encode" not in out


def test_embedding_with_another_store_rounds_what_the_lake_has_beside_it_and_says_where(
    capfd: pytest.CaptureFixture[str], copied: Made, corpus: Path, tmp_path: Path
) -> None:
    lake, new = copied("float16"), tmp_path / "new.txt"
    code, out, err = polyseme(capfd, "embed", corpus, "--store", "binary", "--lake", lake)
    assert code == 0, err
    assert "5 documents rounded to binary without the model" in out
    assert "embedded" not in out
    assert "Views without a suffix still show polyseme_mini" in out
    assert f"polyseme status --default {BINARY} --lake {lake}" in out
    assert f'"from sentences_{BINARY} limit 5"' in out
    # One text more: it alone is encoded.
    new.write_text("The bank was closed. The river was not.")
    report = json.loads(polyseme(capfd, "embed", corpus, new, "--store", "words=int8", "--lake", lake, "--json")[1])
    counts = report["counts"]
    assert (counts["documents"], counts["rounded_documents"], report["encoding"]) == (6, 5, MIXED)
    assert 0 < counts["forward_tokens"] < 100
    assert tiers(lake, MIXED) == {"sentences": "float16", "words": "int8"}
    assert [e["name"] for e in status(capfd, lake)["encodings"] if e["default"]] == ["polyseme_mini"]


def test_a_run_without_a_store_goes_on_with_the_default_encoding(
    capfd: pytest.CaptureFixture[str], copied: Made, corpus: Path
) -> None:
    lake = copied("moved")
    assert polyseme(capfd, "status", "--default", INT8, "--lake", lake)[0] == 0
    report = json.loads(polyseme(capfd, "embed", corpus, "--lake", lake, "--json")[1])
    assert (report["encoding"], report["tally"]["unchanged"]) == (INT8, 5)


def test_the_larger_encoding_goes_once_the_smaller_is_the_default(
    capfd: pytest.CaptureFixture[str], copied: Made
) -> None:
    lake = copied("moved")
    before = size(lake)
    drop = ("drop-encoding", "polyseme_mini", "--yes", "--lake", lake)
    code, _, err = polyseme(capfd, *drop)
    assert (code, f"status --default {INT8}" in err) == (2, True)
    assert polyseme(capfd, "status", "--default", INT8, "--lake", lake)[0] == 0
    assert polyseme(capfd, *drop)[0] == 0
    assert size(lake) == before, "readers may have its files open"
    assert polyseme(capfd, "vacuum", "--grace-hours", "0", "--lake", lake)[0] == 0
    assert size(lake) < 0.4 * before
    assert [e["name"] for e in status(capfd, lake)["encodings"]] == [INT8]
    assert rows(capfd, lake, "SELECT count(*) > 100 AS there FROM words WHERE embedding IS NOT NULL") == [
        {"there": True}
    ]
    assert polyseme(capfd, "verify", "--lake", lake)[0] == 0
