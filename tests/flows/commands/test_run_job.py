"""Runs from the command line: what needs neither Prefect nor PyTorch starts neither, and no server outlives a run."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from polyseme.storage.errors import MissingLakeError
from polyseme.storage.sql.connection import connect
from tests import processes
from tests.flows.conftest import write_records
from tests.flows.test_cli import polyseme
from tests.repository import ROOT

LEAN = ("--level", "sentences", "--no-nsp")
HEAVY = ("prefect", "torch", "transformers")
DATABASES = ("duckdb", "sqlalchemy")
_PROBE = """
import atexit, os, sys
watched = set(os.environ["WATCHED_MODULES"].split())
atexit.register(lambda: print("loaded", *sorted(watched & set(sys.modules)), file=sys.stderr))
from polyseme.flows.cli import main
main()
"""


def environment(**more: str) -> dict[str, str]:
    """The environment of a command that has no standing server, wherever it runs."""
    mine = {name: value for name, value in os.environ.items() if name not in ("PREFECT_API_URL",)}
    return mine | {"PYTHONPATH": str(ROOT)} | more


def command(
    *words: str | Path, cwd: Path, watched: Sequence[str] = HEAVY, **more: str
) -> tuple[int, str, str, list[str]]:
    """Run the command in a process of its own; return exit code, stdout, stderr and which of `watched` it imported."""
    env = environment(WATCHED_MODULES=" ".join(watched), **more)
    done = processes.run(sys.executable, "-c", _PROBE, *words, env=env, cwd=cwd, check=False)
    said, _, loaded = done.stderr.rpartition("loaded")
    return done.returncode, done.stdout, said, loaded.split()


def runs(lake: Path) -> list[tuple[Any, ...]]:
    """What the catalog says of each run: state, documents, skipped, deleted, rejected, and whether a flow did it."""
    sql = "SELECT state, documents, skipped, deleted, rejected, flow_run_id IS NOT NULL FROM runs ORDER BY ordinal"
    with connect(lake) as con:
        return con.execute(sql).fetchall()


@pytest.fixture
def embedded(corpus: Path, lake: Path, tmp_path: Path) -> Path:
    """A lake of the small corpus and one record with an id, made by a process of its own."""
    write_records(corpus / "notes.jsonl", [{"id": "note", "text": "A short one."}])
    code, _, err, loaded = command("embed", corpus, "--lake", lake, *LEAN, cwd=tmp_path)
    assert code == 0, err
    assert loaded == ["prefect", "torch"]
    return lake


@pytest.mark.slow
class TestWithoutWork:
    def test_it_is_recorded_and_published_as_any_run_and_imports_neither_prefect_nor_torch(
        self, corpus: Path, embedded: Path, tmp_path: Path
    ) -> None:
        home = tmp_path / "home"
        words = ("embed", corpus, "--lake", embedded, *LEAN, "--json")
        code, out, err, loaded = command(*words, cwd=tmp_path, PREFECT_HOME=str(home))
        assert (code, err, loaded) == (0, "", [])
        assert not home.exists(), "no server has run"
        assert runs(embedded) == [("completed", 4, 0, 0, 0, True), ("completed", 0, 4, 0, 0, False)]
        report = json.loads(out)
        assert (report["state"], report["tally"]["unchanged"], report["counts"]["documents"]) == ("completed", 4, 0)
        with connect(embedded) as con:
            assert con.execute("SELECT max(run_id) FROM runs WHERE skipped = 4").fetchone() == (report["run_id"],)

    def test_deletions_moves_and_rejects_need_no_model_either(
        self, corpus: Path, embedded: Path, tmp_path: Path
    ) -> None:
        (corpus / "notes.jsonl").rename(corpus / "letters.jsonl")
        (corpus / "tennis.txt").unlink()
        (corpus / "broken.jsonl").write_text("{")
        code, _, err, loaded = command("embed", corpus, "--lake", embedded, *LEAN, "--strict", cwd=tmp_path)
        assert (code, loaded) == (3, []), err
        assert runs(embedded)[1:] == [("completed", 0, 3, 1, 1, False)]
        with connect(embedded) as con:
            found = con.execute("SELECT uri FROM documents ORDER BY uri").fetchall()
            assert [Path(uri).name for (uri,) in found] == ["letters.jsonl", "money.txt", "river.txt"]
            assert con.execute("SELECT count(*) FROM rejects").fetchone() == (1,)
        (corpus / "broken.jsonl").unlink()
        code, _, _, loaded = command("embed", corpus, "--lake", embedded, *LEAN, "--strict", cwd=tmp_path)
        assert (code, loaded) == (0, [])
        with connect(embedded) as con:
            assert con.execute("SELECT count(*) FROM rejects").fetchone() == (0,), "retired"

    def test_metadata_that_changed_is_committed_without_either(
        self, corpus: Path, embedded: Path, tmp_path: Path
    ) -> None:
        write_records(corpus / "notes.jsonl", [{"id": "note", "text": "A short one.", "title": "Other", "views": 2}])
        code, out, err, loaded = command("embed", corpus, "--lake", embedded, *LEAN, "--json", cwd=tmp_path)
        assert (code, err, loaded) == (0, "", [])
        report = json.loads(out)
        assert (report["tally"]["redescribed"], report["counts"]["redescribed"]) == (1, 1)
        assert (report["shards"], report["counts"]["documents"], report["counts"]["forward_tokens"]) == (1, 0, 0)
        with connect(embedded) as con:
            found = con.execute("SELECT title, metadata->>'views' FROM documents WHERE doc_id = 'note'").fetchall()
            assert found == [("Other", "2")]
            assert con.execute("SELECT count(*) FROM sentences WHERE doc_id = 'note'").fetchone() == (1,)

    def test_deletions_are_held_back_as_in_any_run(self, corpus: Path, embedded: Path, tmp_path: Path) -> None:
        for file in corpus.iterdir():
            file.unlink()
        code, _, err, loaded = command("embed", corpus, "--lake", embedded, *LEAN, cwd=tmp_path)
        assert (code, loaded) == (6, [])
        assert "--delete-limit" in err
        assert runs(embedded)[1:] == [("held-back", 0, 0, 0, 0, False)]

    def test_a_backfill_of_what_is_up_to_date_is_no_different(self, embedded: Path, tmp_path: Path) -> None:
        code, _, err, loaded = command("backfill", "--lake", embedded, cwd=tmp_path)
        assert (code, err, loaded) == (0, "", [])
        assert runs(embedded)[1:] == [("completed", 0, 4, 0, 0, False)]

    def test_a_part_that_is_gone_is_named_by_status_though_the_run_is_complete(
        self, corpus: Path, embedded: Path, tmp_path: Path
    ) -> None:
        (part,) = (embedded / "data" / "sentences").rglob("*.parquet")
        part.unlink()
        (corpus / "tennis.txt").unlink()
        code, _, err, _ = command("embed", corpus, "--lake", embedded, *LEAN, "--delete-limit", "50%", cwd=tmp_path)
        assert (code, "verify" in err) == (4, True), "it cannot be published"
        code, out, err, _ = command("status", "--lake", embedded, "--json", cwd=tmp_path)
        assert code == 0, err
        found = json.loads(out)
        assert found["broken_parts"] == [str(part.relative_to(embedded))]
        assert "verify" in found["to_do"][0]["command"]

    def test_an_error_of_the_scan_is_recorded(self, embedded: Path, tmp_path: Path) -> None:
        words = ("backfill", "--lake", embedded, "--where", "uri::INTEGER = 1")
        code, _, err, loaded = command(*words, cwd=tmp_path)
        assert (code, loaded) == (2, []), err
        assert "--where takes a SQL condition" in err
        assert [state for state, *_ in runs(embedded)] == ["completed", "failed"]

    def test_a_mistake_in_what_to_encode_again_is_no_run(self, embedded: Path, tmp_path: Path) -> None:
        for words in (["--where", "no_such_column = 1"], ["--where", "title = "], ["--from", "no_such"]):
            code, _, err, loaded = command("backfill", "--lake", embedded, *words, cwd=tmp_path)
            assert (code, loaded) == (2, []), err
            assert [state for state, *_ in runs(embedded)] == ["completed"]

    @pytest.mark.parametrize(
        "words",
        [
            ["embed", "nosuch/"],
            ["embed", "corpus", "--levle", "words"],
            ["embed", "corpus", "--level", "pages"],
            ["embed", "corpus", "--limit", "0"],
            ["embed", "corpus", "--delete-limit", "lots"],
            ["embed", "corpus", "--model", "corpus"],
            ["embed", "corpus", "--max-tokens", "5"],
            ["embed", "corpus", "--lake", "corpus"],
            ["embed", "corpus", "--runner-workers", "3"],
            ["embed", *(f"a-long-name-of-a-file-{i}" * 4 for i in range(6000))],
            ["backfill", "--lake", "nosuch"],
        ],
    )
    def test_a_mistake_is_answered_before_anything_starts(self, corpus: Path, tmp_path: Path, words: list[str]) -> None:
        before = sorted(tmp_path.rglob("*"))
        watched = HEAVY + DATABASES if words[0] == "embed" else HEAVY
        code, _, err, loaded = command(*words, cwd=tmp_path, watched=watched, PREFECT_HOME=str(tmp_path / "home"))
        assert code in (2, 4, 5)
        assert err
        assert (loaded, sorted(tmp_path.rglob("*"))) == ([], before)


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api")
def test_a_standing_server_records_every_run_and_the_scan_that_had_begun_is_the_flows(
    capfd: pytest.CaptureFixture[str], corpus: Path, lake: Path
) -> None:
    from prefect.client.orchestration import get_client

    for _ in range(2):
        code, _, err = polyseme(capfd, "embed", corpus, "--lake", lake, *LEAN)
        assert code == 0, err
    assert runs(lake) == [("completed", 3, 0, 0, 0, True), ("completed", 0, 3, 0, 0, True)]
    with connect(lake) as con:
        ids = [UUID(str(id_)) for (id_,) in con.execute("SELECT flow_run_id FROM runs").fetchall()]
    with get_client(sync_client=True) as client:
        assert [client.read_flow_run(id_).state_name for id_ in ids] == ["Completed", "Completed"]


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api")
def test_more_files_than_prefect_stores_are_embedded_and_encoded_again(
    capfd: pytest.CaptureFixture[str], lake: Path, tmp_path: Path
) -> None:
    from prefect.client.orchestration import get_client

    folder = tmp_path.joinpath(*["a-folder-with-a-long-name" * 9] * 14)
    folder.mkdir(parents=True)
    files = [folder / f"{number}.txt" for number in range(170)]
    for number, file in enumerate(files):
        file.write_text(f"The bell rang at {number}.")
    assert sum(len(str(file)) for file in files) > 524_288
    assert polyseme(capfd, "embed", *files, "--lake", lake, *LEAN)[0] == 0
    assert polyseme(capfd, "backfill", *files, "--lake", lake, "--level", "words")[0] == 0
    assert [run[:2] for run in runs(lake)] == [("completed", 170), ("completed", 170)]
    with connect(lake) as con:
        sources, id_ = con.execute("SELECT sources, flow_run_id FROM runs ORDER BY ordinal LIMIT 1").fetchall()[0]
    assert str(files[-1]) in str(sources)
    with get_client(sync_client=True) as client:
        recorded = client.read_flow_run(UUID(str(id_))).parameters["request"]["sources"]
    assert recorded[:20] == [str(file) for file in files[:20]]
    assert recorded[20].startswith("… and 150 more; SHA-256")


class Started:
    """A command that has started its server: a process of its own, with a mark that its server carries as well."""

    def __init__(self, process: processes.Process, mark: str) -> None:
        self.process, self.mark = process, mark

    def server(self) -> int:
        """Return the id of its server's process, once that runs."""

        def found() -> list[int]:
            assert self.process.poll() is None
            return [pid for pid, words in processes.marked(self.mark).items() if "prefect.server" in words]

        pid: int = processes.wait_until(found, "the server has started")[0]
        return pid


@pytest.fixture
def started(request: pytest.FixtureRequest, tmp_path: Path, lake: Path) -> Iterator[Started]:
    """A run that takes long enough to do something to it."""
    text = " ".join(f"The river left its bank in the spring of {year}." for year in range(1000))
    for folder in (tmp_path / "long", tmp_path / "other"):
        folder.mkdir()
        for number in range(4):
            (folder / f"{number}.txt").write_text(f"{number}. {text}")
    mark = uuid4().hex
    words = [sys.executable, "-m", "polyseme", "embed", *getattr(request, "param", [tmp_path / "long", "--lake", lake])]
    if "--all-corpora" in words:
        tables = "".join(f'[corpus.{name}]\nsources = ["{name}"]\n' for name in ("gone", "long", "other"))
        (tmp_path / "polyseme.toml").write_text(f'lake = "{lake}"\n{tables}')
    pipes = {"stdout": processes.PIPE, "stderr": processes.PIPE}
    with processes.started(*words, env=environment(OF_THIS_TEST=mark), cwd=tmp_path, **pipes) as process:
        yield Started(process, mark)


@pytest.mark.slow
def test_a_standing_server_that_does_not_answer_is_named_with_what_to_do(
    corpus: Path, lake: Path, tmp_path: Path
) -> None:
    nobody = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path / "home")}
    code, out, err, _ = command("embed", corpus, "--lake", lake, *LEAN, cwd=tmp_path, **nobody)
    assert (code, out) == (1, "")
    assert err.startswith("polyseme: No Prefect server answers at http://127.0.0.1:9/api/. Start it, or remove")
    assert [state for state, *_ in runs(lake)] == ["failed"]


@pytest.mark.slow
class TestTheTemporaryServer:
    def test_a_proxy_is_not_asked_for_it(self, corpus: Path, lake: Path, tmp_path: Path) -> None:
        proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9")
        code, _, err, _ = command("embed", corpus, "--lake", lake, *LEAN, cwd=tmp_path, **proxy)
        assert code == 0, err
        assert runs(lake) == [("completed", 3, 0, 0, 0, True)]

    def test_it_ends_if_the_run_is_killed(self, started: Started) -> None:
        started.server()
        started.process.send_signal(signal.SIGKILL)
        started.process.wait()
        assert processes.left(started.mark) == []

    @pytest.mark.parametrize("at", ["at once", "while the server starts"])
    def test_ctrl_c_ends_the_run_and_it(self, started: Started, lake: Path, at: str) -> None:
        if at == "at once":
            processes.wait_until((lake / "catalog.sqlite").exists, "the run has begun")
        else:
            started.server()
        os.killpg(started.process.pid, signal.SIGINT)
        _, err = started.process.communicate(timeout=processes.DEADLINE_SECONDS)
        assert started.process.returncode == 128 + signal.SIGINT
        assert err.endswith("Interrupted. What was committed is kept; run the same command again to go on.\n")
        assert processes.left(started.mark) == []
        # The catalog's file may be there before its tables are.
        with suppress(MissingLakeError):
            assert [state for state, *_ in runs(lake)] in ([], ["cancelled"])

    def test_its_death_ends_the_run_which_says_so(self, started: Started, lake: Path) -> None:
        server = started.server()
        processes.wait_until(lambda: runs(lake)[0][-1], "the flow has taken the run over")
        os.kill(server, signal.SIGKILL)
        _, err = started.process.communicate(timeout=processes.DEADLINE_SECONDS)
        assert started.process.returncode == 1
        assert "temporary server was ended by SIGKILL" in err
        assert [state for state, *_ in runs(lake)] == ["failed"]
        assert processes.left(started.mark) == []

    @pytest.mark.parametrize("started", [["--all-corpora", "--json"]], indirect=True)
    def test_its_death_ends_all_corpora_with_a_line_about_those_that_are_left(
        self, started: Started, lake: Path
    ) -> None:
        server = started.server()
        processes.wait_until(lambda: runs(lake)[0][-1], "the flow has taken the run over")
        os.kill(server, signal.SIGKILL)
        out, err = started.process.communicate(timeout=processes.DEADLINE_SECONDS)
        assert started.process.returncode == 2, "of the first that failed"
        assert "temporary server was ended by SIGKILL" in err
        assert err.endswith(
            "polyseme: corpus long failed; not embedded: other. To go on: polyseme embed --corpus long --corpus other\n"
        )
        assert [record["corpus"] for record in json.loads(out)] == ["gone", "long", "other"]
        assert [state for state, *_ in runs(lake)] == ["failed"]

    def test_a_database_of_a_newer_prefect_is_named(self, corpus: Path, lake: Path, tmp_path: Path) -> None:
        home = tmp_path / "home"
        home.mkdir()
        with sqlite3.connect(home / "prefect.db") as newer:
            newer.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
            newer.execute("INSERT INTO alembic_version VALUES ('of_tomorrow')")
        newer.close()
        code, _, err, _ = command("embed", corpus, "--lake", lake, *LEAN, cwd=tmp_path, PREFECT_HOME=str(home))
        assert code == 1
        assert f"Its database in {home} was made by a newer Prefect" in err
        assert "of_tomorrow" in err
        assert "Traceback" not in err
        assert [state for state, *_ in runs(lake)] == ["failed"]
