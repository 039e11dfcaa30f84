"""The plan of a run is what the run then does, figure by figure, and making it changes no byte."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from polyseme.flows.runs.job import EmbedRequest, embed_job
from polyseme.flows.runs.plan import plan
from polyseme.flows.runs.progress import listening
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.shards import forecast
from tests import processes
from tests.flows.conftest import write_records
from tests.flows.display.test_progress_bar import Terminal
from tests.flows.runs.planned import BANK, Planned, bytes_of, planned, sources, write_mail
from tests.flows.test_cli import polyseme
from tests.hostile.test_lake_paths import on_a_read_only_mount
from tests.repository import ROOT

__all__ = ["planned", "sources"]

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]


def test_a_plan_is_what_the_run_then_does(planned: Planned, sources: tuple[Path, Path]) -> None:
    notes, mail = sources
    embed = ("embed", notes, mail)
    found, report = planned.then_run(*embed)
    assert found["is_new_encoding"]
    assert (found["new"], found["refused"]) == (7, 1)
    assert [(s["new"], s["refused"]) for s in found["sources"]] == [(4, 0), (3, 1)]
    assert found["vectors"] == found["sentences"] + found["words"]
    assert found["bytes"] == pytest.approx(report["counts"]["bytes"], rel=0.35)

    # Nothing new.
    found, _ = planned.then_run(*embed)
    assert (found["unchanged"], found["to_encode"], found["forward_tokens"], found["seconds"]) == (7, 0, 0, 0)
    assert not found["is_new_encoding"]

    # One of everything: changed, new, moved, gone in the first, described anew in the second.
    (notes / "0.txt").write_text(f"Note 0 is longer now. {BANK} The river rose 0 feet.")
    (notes / "new.txt").write_text("A new note. It has two sentences.")
    (notes / "further").mkdir()
    (notes / "1.txt").rename(notes / "further" / "1.txt")
    (notes / "2.txt").unlink()
    write_mail(mail, views=2)
    found, _ = planned.then_run(*embed)
    assert [
        (s["new"], s["changed"], s["redescribed"], s["unchanged"], s["moved"], s["deleted"]) for s in found["sources"]
    ] == [(1, 1, 0, 2, 1, 1), (0, 0, 3, 0, 0, 0)]
    assert found["reused_sentences"] >= 3
    assert 0 < found["sentences_to_encode"] < found["sentences"]


def test_a_plan_says_why_records_would_be_refused_and_where_and_nothing_of_their_text(
    capfd: pytest.CaptureFixture[str], planned: Planned, sources: tuple[Path, Path], lake: Path, tiny_folder: Path
) -> None:
    notes, mail = sources
    (mail / "all.jsonl").write_text(
        '{"id": "a", "text": "Good."}\n{"text": "secret\n["secret"]\n{"text": "secret\n{}\n'
    )
    (notes / "blank.txt").write_text(" ")
    expected = {"bad-json": 2, "empty-text": 1, "missing-field": 1, "not-an-object": 1}
    words = ("embed", notes, mail, "--lake", lake, "--model", tiny_folder, "--device", "cpu", "--dry-run")
    code, out, err = polyseme(capfd, *words)
    assert code == 0, err
    assert "5 records refused: 2 bad-json, 1 empty-text, 1 missing-field, 1 not-an-object:" in out
    at = (mail / "all.jsonl").as_uri()
    assert f"  bad-json: {at} line 2 and 1 more\n" in out
    assert f"  empty-text: {(notes / 'blank.txt').as_uri()}\n" in out
    assert "secret" not in out + err
    for _ in range(2):  # a file of which anything was refused is opened again, and its reasons are told again
        found, _ = planned.then_run("embed", notes, mail)
        assert [*found["refused_by_code"].items()] == [*expected.items()]
        assert [source["refused"] for source in found["sources"]] == [1, 4]
    assert "secret" not in json.dumps(found)


def test_a_plan_says_what_is_held_back_and_why(planned: Planned, sources: tuple[Path, Path]) -> None:
    notes, mail = sources
    planned.then_run("embed", notes, mail)
    shutil.rmtree(notes)
    found, _ = planned.then_run("embed", notes, mail, code=6)
    assert [(s["deleted"], s["held_back"]) for s in found["sources"]] == [(0, 4), (0, 0)]
    assert found["held_back"][0]["reason"] == "nothing-found"
    found, _ = planned.then_run("embed", notes, mail, "--delete-limit", "100%")
    assert [s["deleted"] for s in found["sources"]] == [4, 0]


def test_a_plan_shows_on_a_terminal_how_much_it_has_read_and_nothing_elsewhere(
    lake: Path, tiny_folder: Path, sources: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = ("embed", *sources, "--lake", lake, "--model", tiny_folder, "--device", "cpu", "--dry-run", "--json")
    told = list[str]()
    with listening(lambda text, share: told.append(text)):
        assert polyseme(capfd, *words)[0::2] == (0, "")
    assert any(text.split(";")[-1].lstrip().startswith("7 documents read") for text in told), told
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert polyseme(capfd, *words)[0] == 0
    assert "documents read" in terminal.getvalue()


def test_a_plan_of_a_limited_run_deletes_nothing(planned: Planned, sources: tuple[Path, Path]) -> None:
    notes, mail = sources
    planned.then_run("embed", notes, mail, "--limit", "3")
    (notes / "0.txt").unlink()
    found, _ = planned.then_run("embed", notes, mail, "--limit", "3")
    assert (found["documents"], found["deleted"]) == (3, 0)


@pytest.mark.parametrize(
    "options",
    [
        ["--context", "pair", "--level", "tokens", "--pll"],
        ["--context", "window", "--words", "bank,river"],
        ["--level", "sentences", "--no-nsp"],
    ],
)
def test_every_kind_of_encoding_is_planned_to_the_token(
    planned: Planned, sources: tuple[Path, Path], options: list[str]
) -> None:
    notes, _ = sources
    planned.then_run("embed", notes, *options)
    (notes / "0.txt").write_text(f"An insertion. Note 0 is short. {BANK} {BANK} The river rose 0 feet.")
    found, _ = planned.then_run("embed", notes, *options)
    assert found["changed"] == 1
    assert (found["reused_sentences"] > 0) == ("window" not in options)


def test_a_backfill_is_planned_like_any_run(
    capfd: pytest.CaptureFixture[str], planned: Planned, sources: tuple[Path, Path], lake: Path, foreign_folder: Path
) -> None:
    planned.then_run("embed", sources[0])
    backfills = Planned(capfd, lake, "--model", foreign_folder, "--name", "foreign", "--device", "cpu")
    found, _ = backfills.then_run("backfill", "--where", "text LIKE '%Note 1%'")
    assert (found["documents"], found["new"], found["is_new_encoding"], found["sources"]) == (1, 1, True, [])
    found, _ = backfills.then_run("backfill")
    assert (found["documents"], found["new"], found["unchanged"]) == (4, 3, 1)
    found, _ = planned.then_run("backfill", "--pll")
    assert found["changed"] == found["documents"] == 4
    assert found["sentences_to_encode"] == 0 < found["forward_tokens"]


def test_a_large_corpus_is_extrapolated(
    planned: Planned, tmp_path: Path, lake: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyseme.tasks.shards.staging.SHARD_CHARS", 2_000)
    corpus = tmp_path / "large"
    corpus.mkdir()
    for i in range(60):
        (corpus / f"{i:02}.txt").write_text(f"Note {i} is short. {BANK} The river rose {i} feet.")
    request = EmbedRequest(
        sources=[str(corpus)], lake=str(lake), engine=EngineConfig(model=str(tiny_folder), device="cpu")
    )
    exact = plan(embed_job(request))
    assert exact.is_exact
    with monkeypatch.context() as patch:
        patch.setattr(forecast, "NEW_CHARS", 3_000)
        about = plan(embed_job(request))
    assert not about.is_exact
    for name in ("sentences", "words", "tokens", "transitions", "forward_tokens", "bytes"):
        assert getattr(about.counts, name) == pytest.approx(getattr(exact.counts, name), rel=0.1), name
    assert about.counts.documents == 60
    assert not lake.exists()


def test_a_large_lake_that_is_only_rounded_runs_no_token_of_its_extrapolated_part(
    planned: Planned, sources: tuple[Path, Path], lake: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyseme.tasks.shards.staging.SHARD_CHARS", 300)
    notes, _ = sources
    planned.then_run("embed", notes)
    (notes / "new.txt").write_text(f"A new note. {BANK}")
    engine = EngineConfig(model=str(tiny_folder), device="cpu", store="int8")
    job = embed_job(EmbedRequest(sources=[str(notes)], lake=str(lake), engine=engine))
    exact = plan(job)
    monkeypatch.setattr(forecast, "NEW_CHARS", 1)
    about = plan(job)
    assert (exact.is_exact, about.is_exact) == (True, False)
    assert exact.counts.rounded_documents == about.counts.rounded_documents == 4
    assert exact.to_encode == about.to_encode == 1
    assert about.counts.reused_sentences == pytest.approx(exact.counts.reused_sentences, abs=3)
    assert about.counts.forward_tokens == pytest.approx(exact.counts.forward_tokens, rel=0.4)


def test_a_lake_that_cannot_be_written_can_be_planned(
    planned: Planned, sources: tuple[Path, Path], lake: Path, tiny_folder: Path
) -> None:
    notes, _ = sources
    planned.then_run("embed", notes)
    (notes / "0.txt").unlink()
    words = ["embed", str(notes), "--lake", str(lake), "--model", str(tiny_folder), "--device", "cpu", "--dry-run"]
    script = f"from polyseme.flows.cli import main\nmain({words!r})"
    done = on_a_read_only_mount(script, lake)
    assert done.returncode == 0, done.stderr
    assert "to delete" in done.stdout


def test_a_plan_records_no_run(planned: Planned, sources: tuple[Path, Path], lake: Path) -> None:
    planned.then_run("embed", sources[0])
    with Catalog.open(Lake(lake)) as catalog:
        version = catalog.version
    (sources[0] / "0.txt").write_text("Another text.")
    planned.plan("embed", sources[0])
    with Catalog.open(Lake(lake)) as catalog:
        assert catalog.version == version


def test_a_plan_with_nothing_to_encode_imports_neither_prefect_nor_torch(
    planned: Planned, sources: tuple[Path, Path], lake: Path, tiny_folder: Path
) -> None:
    planned.then_run("embed", *sources)
    (sources[0] / "0.txt").unlink()
    code = (
        "import sys\nfrom polyseme.flows.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit as e:\n"
        "    assert not e.code\n"
        "loaded = {'torch', 'prefect', 'transformers'} & set(sys.modules)\nassert not loaded, loaded"
    )
    words = ["embed", *map(str, sources), "--lake", str(lake), "--model", str(tiny_folder), "--device", "cpu"]
    done = processes.run(sys.executable, "-c", code, *words, "--dry-run")
    assert "Nothing to encode." in done.stdout
    assert "to delete" in done.stdout


def test_people_read_it_on_one_screen(
    capfd: pytest.CaptureFixture[str], planned: Planned, sources: tuple[Path, Path], lake: Path, tiny_folder: Path
) -> None:
    planned.then_run("embed", *sources)
    (sources[0] / "0.txt").write_text(f"Note 0 is longer now. {BANK} The river rose 0 feet.")
    for name in ("1", "2", "3"):
        (sources[0] / f"{name}.txt").unlink()
    code, out, err = polyseme(
        capfd, "embed", *sources, "--lake", lake, "--model", tiny_folder, "--device", "cpu", "--dry-run",
        "--delete-limit", "2",
    )  # fmt: skip
    assert code == 0, err
    lines = out.splitlines()
    assert len(lines) <= 12
    assert lines[0].split() == ["source", "read", "new", "changed", "unchanged", "refused", "held", "back"]
    assert lines[3].split() == ["all", "4", "0", "1", "3", "1", "3"]
    assert "1 document to encode in the encoding" in out
    assert "reused; " in out
    assert f"Held back: 3 documents of {sources[0]}" in out
    assert "nothing was written" in lines[-1]


def test_standard_input_is_planned(
    planned: Planned, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = tmp_path / "piped.jsonl"
    write_records(records, [{"id": "a", "text": "The bank."}, {"id": "b"}])
    with records.open() as piped:
        monkeypatch.setattr("sys.stdin", piped)
        (found,) = planned.plan("embed", "-")["sources"]
    assert (found["source"], found["new"], found["refused"]) == ("-", 1, 1)
    assert not lake.exists()


def test_a_dry_run_does_not_bring_a_lake_of_an_older_format_to_todays(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old = shutil.copytree(ROOT / "tests" / "fixtures" / "format5", tmp_path / "old")
    before = bytes_of(old)
    for words, count in (
        (["backfill", "--model", "polyseme-mini", "--device", "cpu"], 3),
        (["backfill", "--model", "polyseme-mini", "--device", "cpu", "--where", "uri LIKE '%money%'"], 1),
        (["embed", "/corpus", "--device", "cpu"], 0),
    ):
        code, out, err = polyseme(capfd, *words, "--lake", old, "--dry-run", "--json")
        assert code == 0, err
        assert json.loads(out)["documents"] == count
        assert bytes_of(old) == before, words
    assert polyseme(capfd, "vacuum", "--lake", old, "--dry-run")[0] == 0
    assert bytes_of(old) == before
