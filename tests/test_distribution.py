"""The wheel: `polyseme` and nothing else on top, working beside folders called flows, tasks and storage."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import distribution, processes
from tests.conftest import MakeCheckpoint
from tests.flows.server.standing import Standing

pytestmark = pytest.mark.slow

TEXT = "The river left its bank in spring. The fields were under water for a week. Nobody was hurt."
SCRIPT = """
import flows, storage, tasks
assert flows.MINE == tasks.MINE == storage.MINE == "mine"
import polyseme
from polyseme import connect
from polyseme.storage.sql.connection import connect as same
assert connect is same
with connect("lake") as con:
    print(con.execute("SELECT count(*) FROM sentences").fetchone()[0])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distribution.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distribution.install(wheel, tmp_path_factory.mktemp("installed") / "env")


class Elsewhere(Standing):
    """A Prefect user's own folder, with packages of our folders' names; Polyseme is installed from the wheel."""

    def __init__(self, folder: Path, programs: Path) -> None:
        super().__init__(folder)
        self._programs = programs
        for name in ("flows", "tasks", "storage"):
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text('MINE = "mine"\n')
        (folder / "tasks.py").write_text('raise RuntimeError("nobody asked for this module")\n')
        (folder / "prefect.yaml").write_text(
            "name: mine\ndeployments:\n  - {name: own, entrypoint: flows/own.py:own}\n"
        )

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self._programs}:{distribution.environment()['PATH']}"
        return distribution.environment(**{
            "PATH": path, "PREFECT_HOME": str(self.folder / "prefect-home"), "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_WORKER_QUERY_SECONDS": "2",
        })  # fmt: skip

    def start(self, name: str, *command: str) -> None:
        super().start(name, str(self._programs / "python"), *command[1:])

    def call(self, *command: str) -> str:
        """Run a program of the environment in the folder."""
        program = self._programs / command[0]
        out: str = processes.run(program, *command[1:], cwd=self.folder, env=self.environment).stdout
        return out

    def polyseme(self, *words: str) -> str:
        return self.call("polyseme", *words)


@pytest.fixture(scope="module")
def elsewhere(
    programs: Path, tmp_path_factory: pytest.TempPathFactory, make_checkpoint: MakeCheckpoint
) -> Iterator[Elsewhere]:
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "news").mkdir()
    (folder / "news" / "first.txt").write_text(TEXT)
    (folder / "polyseme.toml").write_text(
        f'[corpus.news]\nsources = ["news"]\nmodel = {json.dumps(str(make_checkpoint()))}\nlevel = "sentences"\n'
    )
    made = Elsewhere(folder, programs)
    try:
        yield made
    finally:
        made.end()


def test_the_wheel_holds_polyseme_and_data_files_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    tops = {name.split("/")[0].split("-")[0] for name in names}
    assert tops == {"polyseme"}
    assert {name.split("/")[0] for name in names if not name.startswith("polyseme-")} == {"polyseme"}
    data = {name.split("/data/", 1)[1] for name in names if ".data/" in name}
    assert {"share/polyseme/prefect.yaml", "share/polyseme/models/polyseme-mini/model.safetensors"} <= data
    for room in ("flows/commands", "tasks/model", "storage/database"):
        assert f"polyseme/{room}/__init__.py" in names


def test_from_an_unrelated_folder_the_example_corpus_embeds_and_sql_answers(programs: Path, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        environment = distribution.environment(PREFECT_HOME=str(tmp_path / "prefect"))
        out: str = processes.run(programs / "polyseme", *words, cwd=tmp_path, env=environment).stdout
        return out

    corpus = programs.parent / "share" / "polyseme" / "examples" / "corpus"
    run("embed", str(corpus), "--limit", "3", "--level", "sentences")
    counted: list[dict[str, Any]] = json.loads(run("sql", "select count(*) as n from documents", "--format", "json"))
    assert counted == [{"n": 3}]


@pytest.mark.server
def test_beside_folders_of_our_names_everything_works_on_a_real_server(elsewhere: Elsewhere) -> None:
    elsewhere.start_server()
    before = deploy_as_before_the_rooms(elsewhere)
    elsewhere.polyseme("deploy")
    assert elsewhere.deployment("embed/nightly")["id"] == before["id"]
    entrypoints = [d["entrypoint"] for d in elsewhere.post("/deployments/filter", {})]
    assert len(entrypoints) == 7
    assert all(entrypoint.startswith("polyseme.flows.") for entrypoint in entrypoints)
    elsewhere.start_worker()
    elsewhere.wait_for_run(elsewhere.run("embed/nightly"))
    elsewhere.kill("worker")
    assert elsewhere.names() == {"first.txt"}

    (elsewhere.folder / "news" / "second.txt").write_text(TEXT)
    elsewhere.start_serve()
    elsewhere.wait_for_run(elsewhere.run("embed/nightly"))
    elsewhere.kill("serve")
    assert elsewhere.names() == {"first.txt", "second.txt"}

    assert elsewhere.call("python", "-c", "from polyseme import connect; print(connect.__module__)").strip() == (
        "polyseme.storage.sql.connection"
    )
    (elsewhere.folder / "notebook.py").write_text(SCRIPT)
    assert elsewhere.call("python", "notebook.py").strip() == "6"


def deploy_as_before_the_rooms(server: Standing) -> dict[str, Any]:
    """Register a deployment as `polyseme deploy` did when its flows were in a package called flows."""
    flow = server.post("/flows/", {"name": "embed"})
    old = {"name": "nightly", "flow_id": flow["id"], "entrypoint": "flows.operate.embed_corpora"}
    deployment: dict[str, Any] = server.post("/deployments/", old)
    return deployment
