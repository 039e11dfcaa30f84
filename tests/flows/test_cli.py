"""The command line: fast help, data on stdout, one-paragraph errors, exit codes that mean something."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from polyseme.flows.cli import main
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from tests import processes
from tests.flows.conftest import write_records


def polyseme(capfd: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """Run the command in this process; return exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as exit_:
        main([str(word) for word in words])
    out, err = capfd.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


@pytest.mark.parametrize(
    "words", [["--help"], *([name, "--help"] for name in ("embed", "sql", "nsp", "adapt", "evaluate"))]
)
def test_help_loads_neither_torch_nor_prefect(words: list[str]) -> None:
    code = (
        "import sys\nfrom polyseme.flows.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit as e:\n"
        "    assert not e.code\n"
        "loaded = {'torch', 'prefect', 'transformers'} & set(sys.modules)\nassert not loaded, loaded"
    )
    done = processes.run(sys.executable, "-c", code, *words)
    assert "Usage: polyseme" in done.stdout


def test_embed_refuses_to_run_on_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = polyseme(capfd, "embed")
    assert (code, out) == (2, "")
    assert "name at least one file" in err


def test_a_mistyped_option_is_not_taken_for_a_source(capfd: pytest.CaptureFixture[str], corpus: Path) -> None:
    code, _, err = polyseme(capfd, "embed", corpus, "--levle", "words")
    assert code == 2
    assert "--levle" in err


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api")
def test_a_missing_source_is_a_usage_error(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = polyseme(capfd, "embed", tmp_path / "nowhere")
    assert code == 2
    assert "does not exist" in err
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("words", [["sql", "SELECT 1"], ["status"], ["rejects"]])
def test_a_missing_lake_is_exit_4(capfd: pytest.CaptureFixture[str], tmp_path: Path, words: list[str]) -> None:
    code, out, err = polyseme(capfd, *words, "--lake", tmp_path / "lake")
    assert (code, out) == (4, "")
    assert "There is no lake" in err
    assert "Traceback" not in err


def test_a_missing_model_is_exit_5(capfd: pytest.CaptureFixture[str], corpus: Path, lake: Path) -> None:
    code, _, err = polyseme(capfd, "embed", corpus, "--lake", lake, "--model", lake / "model")
    assert code == 5
    assert "--model" in err
    assert not lake.exists()


def test_debug_shows_the_traceback(corpus: Path) -> None:
    done = processes.run(sys.executable, "-m", "polyseme", "status", "--lake", corpus, "--debug", check=False)
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--level", "sentences", "--words", "bank"], "--level sentences keeps none"),
        (["--words", " , "], "names no word"),
        (["--pooling", "cls", "--context", "pair"], "needs --context sentence"),
        (["--max-tokens", "5"], "between 16 and 512"),
    ],
)
def test_contradicting_flags_are_refused(
    capfd: pytest.CaptureFixture[str], corpus: Path, lake: Path, flags: list[str], message: str
) -> None:
    code, _, err = polyseme(capfd, "embed", corpus, "--lake", lake, "--dry-run", *flags)
    assert code == 2
    assert message in err


def test_a_dry_run_counts_and_writes_nothing(capfd: pytest.CaptureFixture[str], corpus: Path, lake: Path) -> None:
    code, out, _ = polyseme(capfd, "embed", corpus, "--lake", lake, "--dry-run", "--json")
    estimate = json.loads(out)
    assert code == 0
    assert (estimate["documents"], estimate["to_encode"]) == (3, 3)
    assert estimate["tokens"] == 51
    assert estimate["words"] == 51
    assert estimate["tokens_per_second"] > 0
    assert not lake.exists()


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api")
class TestOverALake:
    """Commands over a lake that `polyseme embed` made."""

    def test_from_documents_to_answers(self, capfd: pytest.CaptureFixture[str], corpus: Path, lake: Path) -> None:
        (corpus / "empty.txt").write_text("")
        code, out, err = polyseme(capfd, "embed", corpus, "--lake", lake, "--json", "--strict")
        report = json.loads(out)
        assert code == 3, err
        assert report["counts"]["documents"] == 3

        code, out, _ = polyseme(capfd, "sql", "SELECT count(*) AS n FROM words", "--lake", lake, "--format", "jsonl")
        assert json.loads(out) == {"n": report["counts"]["words"]}

        code, out, _ = polyseme(capfd, "sql", "SELECT embedding FROM sentences LIMIT 1", "--lake", lake)
        assert "… 384]" in out

        code, out, _ = polyseme(
            capfd, "sql", "SELECT doc_id, tokens FROM words LIMIT 1", "--lake", lake, "--format", "csv"
        )
        assert out.splitlines()[0] == "doc_id,tokens"

        code, out, _ = polyseme(capfd, "status", "--lake", lake, "--json")
        assert json.loads(out)["encodings"][0]["documents"] == 3

        code, out, _ = polyseme(capfd, "rejects", "--lake", lake, "--json")
        assert [row["code"] for row in json.loads(out)] == ["empty-file"]

        code, _, err = polyseme(capfd, "sql", "SELECT nonsense FROM sentences", "--lake", lake)
        assert code == 1
        assert "nonsense" in err

    def test_sql_reads_the_lake_and_nothing_else(
        self, capfd: pytest.CaptureFixture[str], corpus: Path, lake: Path
    ) -> None:
        polyseme(capfd, "embed", corpus, "--lake", lake, "--level", "sentences", "--no-nsp")
        for query in (f"FROM read_text('{corpus}/river.txt')", f"COPY sentences TO '{lake}/x.csv'"):
            code, out, err = polyseme(capfd, "sql", query, "--lake", lake)
            assert code in (1, 2), err
            assert out == ""

    def test_standard_input_is_a_source(self, lake: Path, tmp_path: Path) -> None:
        records = write_records(tmp_path / "in.jsonl", [{"id": "a", "text": "From a pipe. Twice."}])
        with records.open("rb") as pipe:
            done = processes.run(
                sys.executable, "-m", "polyseme", "embed", "-", "--lake", lake, "--no-nsp", "--json", stdin=pipe
            )
        assert json.loads(done.stdout)["counts"]["sentences"] == 2

    @pytest.mark.parametrize(
        "how",
        [signal.SIGINT, *(pytest.param(s, marks=pytest.mark.slow) for s in (signal.SIGTERM, signal.SIGHUP))],
    )
    def test_ctrl_c_and_like_it_sigterm_and_sighup_keep_what_was_committed_and_leave_nothing_behind(
        self, lake: Path, tmp_path: Path, how: signal.Signals
    ) -> None:
        text = "The river rose again that night, and the town slept through it. " * 40
        source = write_records(tmp_path / "in.jsonl", [{"id": i, "text": f"{i}. {text}"} for i in range(3000)])
        staging, said = lake / "staging", tmp_path / "stderr"
        # Tests that run under nohup or in the background of a script inherit signals that are ignored.
        command = [
            "env",
            "--default-signal",
            sys.executable,
            "-m",
            "polyseme",
            "embed",
            source,
            "--lake",
            lake,
            "--no-nsp",
        ]
        with said.open("w") as stderr, processes.started(*command, stderr=stderr) as running:
            written = lake / "data"
            processes.wait_until(lambda: any(written.rglob("*")) or running.poll() is not None, "a part is written")
            started_by_it = processes.children(running)
            running.send_signal(how)
            code = running.wait(processes.DEADLINE_SECONDS)
            processes.wait_until(lambda: not any(map(processes.is_alive, started_by_it)), "its server has ended")
        err = said.read_text()
        assert code == 128 + how, err
        assert "Interrupted" in err
        assert "Traceback" not in err
        assert not any(staging.rglob("*.arrow"))
        with Catalog.open(Lake(lake)) as catalog:
            assert catalog.snapshot().runs["state"].to_pylist() == ["cancelled"]


@pytest.mark.parametrize("command", [["nsp", "He went to the store.", "He bought some milk.", "--json"]])
def test_nsp_prefers_a_sentence_that_follows(capfd: pytest.CaptureFixture[str], command: list[str]) -> None:
    _, follows, _ = polyseme(capfd, *command)
    _, unrelated, _ = polyseme(capfd, "nsp", "He went to the store.", "Penguins are flightless birds.", "--json")
    assert json.loads(follows)["margin"] > 0 > json.loads(unrelated)["margin"]


def test_fill_mask_fills_every_mask_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = polyseme(capfd, "fill-mask", "The [MASK] of France is [MASK].", "-k", "3", "--json")
    rows = json.loads(out)
    assert code == 0
    assert [(row["mask"], row["rank"]) for row in rows] == [(m, r) for m in (0, 1) for r in range(3)]
    assert all(row["token"] in row["text"] for row in rows if not row["token"].startswith("##"))


def test_fill_mask_without_a_mask_is_refused_with_what_to_write(capfd: pytest.CaptureFixture[str]) -> None:
    code, _, err = polyseme(capfd, "fill-mask", "Nothing is hidden here.")
    assert code == 2
    assert "[MASK]" in err


def test_tokens_shows_pieces_with_offsets(capfd: pytest.CaptureFixture[str]) -> None:
    _, out, _ = polyseme(capfd, "tokens", "unbelievableness", "--json")
    rows = json.loads(out)
    assert [row["token"] for row in rows] == ["unbelievable", "##ness"]
    assert [(row["char_start"], row["char_end"]) for row in rows] == [(0, 12), (12, 16)]
