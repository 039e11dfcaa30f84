"""The deletion guard and `restore` on the command line: exit code, words, status, event, and the way back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from polyseme.flows.embed import EmbedRequest, embed_corpus
from polyseme.flows.scheduled import embed_corpora
from polyseme.storage.errors import UsageError
from polyseme.storage.records import Outputs
from tests.flows.conftest import Ask
from tests.flows.test_cli import polyseme

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]

LEAN = ("--level", "sentences", "--no-nsp")


def test_an_emptied_folder_is_held_back_confirmed_and_restored(
    capfd: pytest.CaptureFixture[str], corpus: Path, lake: Path, ask: Ask
) -> None:
    polyseme(capfd, "embed", corpus, "--lake", lake, *LEAN)
    for path in corpus.iterdir():
        path.unlink()
    code, out, err = polyseme(capfd, "embed", corpus, "--lake", lake, *LEAN, "--json")
    report = json.loads(out)
    assert (code, report["state"], report["tally"]["deleted"]) == (6, "held-back", 0)
    assert [held["documents"] for held in report["held_back"]] == [3]
    assert f"3 documents of {corpus} were held back" in err
    assert f"file://{corpus}/" in err
    assert "--delete-limit 100%" in err
    assert ask("SELECT count(*) FROM documents") == [(3,)]
    ((state, why),) = ask("SELECT state, error FROM runs ORDER BY ordinal DESC LIMIT 1")
    assert state == "held-back"
    assert "--delete-limit 100%" in str(why)

    _, out, _ = polyseme(capfd, "status", "--lake", lake)
    assert f"polyseme embed {corpus} --lake {lake} --delete-limit 100%" in out
    _, out, _ = polyseme(capfd, "status", "--lake", lake, "--json")
    assert json.loads(out)["held_back"][0]["source"] == str(corpus)

    code, _, _ = polyseme(capfd, "embed", corpus, "--lake", lake, *LEAN, "--delete-limit", "100%")
    assert code == 0
    assert ask("SELECT count(*) FROM documents") == [(0,)]
    assert "held back" not in polyseme(capfd, "status", "--lake", lake)[1]

    _, out, _ = polyseme(capfd, "restore", "--lake", lake)
    run_id = out.split("--run ")[1].split()[0]
    code, out, _ = polyseme(capfd, "restore", "--run", run_id, "--lake", lake)
    assert (code, out) == (0, "3 documents restored.\n")
    assert ask("SELECT count(*) FROM documents") == [(3,)]
    assert "No deleted document can be restored" in polyseme(capfd, "restore", "--lake", lake)[1]
    code, _, err = polyseme(capfd, "restore", "--run", run_id, "--lake", lake)
    assert code == 1
    assert "polyseme restore --lake" in err


def test_a_folder_that_is_missing_is_held_back_too(capfd: pytest.CaptureFixture[str], corpus: Path, lake: Path) -> None:
    polyseme(capfd, "embed", corpus, "--lake", lake, *LEAN)
    shutil.rmtree(corpus)
    assert polyseme(capfd, "embed", corpus, "--lake", lake, *LEAN)[0] == 6


@pytest.mark.parametrize("value", ["200%", "some"])
def test_a_limit_that_makes_no_sense_is_a_usage_error(
    capfd: pytest.CaptureFixture[str], corpus: Path, lake: Path, value: str
) -> None:
    code, _, err = polyseme(capfd, "embed", corpus, "--lake", lake, "--delete-limit", value)
    assert code == 2
    assert "--delete-limit is a share such as 35%" in err
    with pytest.raises(UsageError, match="--delete-limit"):
        EmbedRequest(sources=[str(corpus)], delete_limit=value)


def test_the_flow_run_is_completed_under_a_name_of_its_own(corpus: Path, lake: Path) -> None:
    request = EmbedRequest(sources=[str(corpus)], lake=str(lake), outputs=Outputs("sentences", None, False))
    embed_corpus(request)
    for path in corpus.iterdir():
        path.unlink()
    assert embed_corpus(request).state == "held-back"
    state = embed_corpus(request, return_state=True)
    assert (state.is_completed(), state.name) == (True, "HeldBack")
    assert "were held back" in str(state.message)


def test_a_corpus_carries_its_limit_and_its_flow_run_says_what_was_held_back(
    corpus: Path, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    monkeypatch.chdir(tmp_path)
    table = '[corpus.news]\nsources = ["corpus/*.txt"]\nlake = "lake"\nlevel = "sentences"\nnsp = false\n'
    (tmp_path / "polyseme.toml").write_text(table)
    embed_corpora(["news"])
    for path in corpus.iterdir():
        path.unlink()
    state = embed_corpora(["news"], return_state=True)
    assert (state.is_completed(), state.name) == (True, "HeldBack")
    assert ask("SELECT count(*) FROM documents") == [(3,)]
    (tmp_path / "polyseme.toml").write_text(table + 'delete_limit = "100%"\n')
    assert embed_corpora(["news"], return_state=True).name == "Completed"
    assert ask("SELECT count(*) FROM documents") == [(0,)]
