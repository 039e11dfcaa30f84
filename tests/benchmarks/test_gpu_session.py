"""A session on a GPU machine, rehearsed at toy size on one that has torch and transformers and little else.

Nothing that it measured may be lost, whatever ends it, and it says at once if it cannot work.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu, gpu_session
from benchmarks.gpu_pack import join
from benchmarks.gpu_session_plan import CHECK, MEASUREMENTS, TRAIN, Plan, Record
from polyseme.tasks.model.checkpoint import Checkpoint
from tests import processes
from tests.benchmarks.bare import environment, make_wheels
from tests.conftest import MakeCheckpoint
from tests.repository import ROOT

TEXT = " ".join(f"The bank of river {i} was wet. A crane stood on it." for i in range(20))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheels(tmp_path_factory.mktemp("carried") / "wheels")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.jsonl"
    path.write_text("".join(json.dumps({"text": f"{i}. {TEXT}"}) + "\n" for i in range(8)))
    return path


def command(out: Path, *arguments: str) -> list[str]:
    return [
        sys.executable, "-m", "benchmarks.gpu_session", "--minutes", "10", "--out", str(out),
        "--work", str(out.with_name("work")), "--device", "cpu", "--tiny", *arguments,
    ]  # fmt: skip


def session(out: Path, *arguments: str) -> processes.Completed:
    return processes.run(*command(out, *arguments), env=environment(), cwd=ROOT, check=False)


def parts(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "session.json").read_text("utf-8"))["parts"]
    return found


@pytest.mark.slow
def test_the_first_call_measures_every_part(tmp_path: Path, wheels: Path) -> None:
    done = session(tmp_path / "out", "--parts", "measure", "--wheels", str(wheels))
    assert done.returncode == 0, done.stdout + done.stderr
    found = parts(tmp_path / "out")
    assert list(found) == [CHECK, *MEASUREMENTS]
    assert all(found[part]["figures"] and "not measured" not in found[part] for part in MEASUREMENTS)
    right = [figure for part in ("correctness", "memory") for figure in found[part]["figures"]]
    assert {figure["what"]: figure["value"] for figure in right if figure["holds"] is False} == {}


@pytest.mark.slow
def test_the_second_call_trains_a_given_model_and_it_comes_back_in_pieces(
    tmp_path: Path, text: Path, wheels: Path, make_checkpoint: MakeCheckpoint
) -> None:
    options = tmp_path / "train.json"
    options.write_text(json.dumps({"training": {"steps": 2, "learning_rate": 2e-4}, "license": "CC0-1.0"}))
    arguments = (
        "--parts", "train", "--wheels", str(wheels), "--model", str(make_checkpoint()), "--text", str(text),
        "--train-json", str(options), "--piece-mib", "1", "--snapshot-seconds", "0",
    )  # fmt: skip
    done = session(tmp_path / "out", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert parts(tmp_path / "out")[TRAIN]["steps"] == 2
    assert all(path.stat().st_size < 2**20 for path in (tmp_path / "out" / "model").iterdir())
    files = {path.name for path in join(tmp_path / "out" / "model", tmp_path / "joined")}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md", "progress.json"} <= files
    assert Checkpoint("joined", tmp_path / "joined").width == 48
    assert "CC0-1.0" in (tmp_path / "joined" / "README.md").read_text("utf-8")

    # The same call again, with more steps, continues the run.
    options.write_text(json.dumps({"training": {"steps": 3, "learning_rate": 2e-4}, "license": "CC0-1.0"}))
    assert session(tmp_path / "out", *arguments).returncode == 0
    assert parts(tmp_path / "out")[TRAIN]["steps"] == 3
    assert len(json.loads((tmp_path / "out" / "model" / "progress.json").read_text())["log"]) == 3


@pytest.mark.slow
def test_what_is_wrong_is_said_before_anything_is_measured(tmp_path: Path, wheels: Path) -> None:
    done = session(tmp_path / "out", "--parts", "correctness", "train", "--text", "missing.jsonl")
    assert done.returncode == gpu_session.EXIT_CHECK
    assert "packages: WRONG: training needs nupunkt, orjson" in done.stdout
    assert "text: WRONG: FileNotFoundError" in done.stdout
    assert list(parts(tmp_path / "out")) == [CHECK]
    (tmp_path / "train.json").write_text('{"training": {"stepz": 2}}')
    done = session(
        tmp_path / "out", "--parts", "train", "--wheels", str(wheels), "--train-json", str(tmp_path / "train.json")
    )
    assert done.returncode == gpu_session.EXIT_CHECK
    assert "text: WRONG: no text to train on" in done.stdout
    assert "stepz" in done.stdout.partition("options: WRONG")[2]


@pytest.mark.slow
def test_a_killed_session_leaves_its_figures_and_no_process(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def measured() -> bool:
        return (out / "session.json").is_file() and bool(parts(out).get("correctness", {}).get("figures"))

    def gone(pid: str) -> bool:
        command_line = Path(f"/proc/{pid}/cmdline")
        return not command_line.is_file() or not command_line.read_bytes()

    begun = command(out, "--parts", "measure")
    with processes.started(*begun, env=environment(), cwd=ROOT, stdout=processes.DEVNULL) as running:
        processes.wait_until(measured, "a figure of the first part")
        (child,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        running.kill()
        processes.wait_until(lambda: gone(child), "the end of the child, which is alone")
    assert parts(out)[CHECK]["state"] == "ended"
    assert parts(out)["correctness"]["figures"]


@pytest.mark.slow
def test_a_part_that_hangs_ends_at_its_limit_with_what_it_measured(tmp_path: Path) -> None:
    program = """
import sys, time
from benchmarks import gpu, gpu_session_worker
from benchmarks.gpu_setting import Figure
def hangs(setting):
    yield Figure("first", 1.0, "")
    time.sleep(600)
gpu.PARTS = {"correctness": ("", hangs)}
gpu_session_worker.Plan.limit = lambda plan, part: 5.0
gpu_session_worker.main(sys.argv[1:])
"""
    plan = _plan(tmp_path, ["correctness"])
    hung = (sys.executable, "-c", program, plan.to_json(), "correctness")
    done = processes.run(*hung, env=environment(), cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "in hangs" in done.stderr
    found = parts(tmp_path)["correctness"]
    assert found["state"] == "running"
    assert [figure["what"] for figure in found["figures"]] == ["first"]


def test_the_parts_after_one_that_died_are_carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def dies_in_memory(plan: Plan, left: Sequence[str]) -> None:
        ran.append(list(left))
        record = Record(Path(plan.out))
        for part in left:
            record.put(part, {"state": "running", "figures": [part]})
            if part == "memory":
                return
            record.put(part, {"state": "ended"})

    monkeypatch.setattr(gpu_session, "_run", dies_in_memory)
    (tmp_path / "errors.txt").write_text("illegal memory access\n")
    assert gpu_session._carry_out(_plan(tmp_path, ["nsp", "memory", "pairs"]), ["nsp", "memory", "pairs"])
    assert ran == [["nsp", "memory", "pairs"], ["pairs"]]
    assert parts(tmp_path)["memory"] == {"state": "ended", "figures": ["memory"], "stopped": "illegal memory access"}


def test_every_measurement_for_a_gpu_is_part_of_a_session() -> None:
    assert set(MEASUREMENTS) == set(gpu.PARTS)
    assert MEASUREMENTS[0] == "correctness"


def test_no_part_is_begun_that_cannot_end_in_time(tmp_path: Path) -> None:
    def limits(minutes: float, passed: float) -> dict[str, float | None]:
        plan = _plan(tmp_path, [CHECK, *MEASUREMENTS, TRAIN], started=time.time() - passed, minutes=minutes)
        return {part: plan.limit(part) for part in (CHECK, "nsp", TRAIN)}

    fresh = limits(10, 0)
    assert fresh[CHECK] == pytest.approx(60, abs=1)
    assert fresh["nsp"] == pytest.approx(3 * 0.6 * 240 / len(MEASUREMENTS) + 30, abs=1)
    assert limits(10, 299)["nsp"] is None
    assert limits(10, 299)[TRAIN] == pytest.approx(301, abs=1)
    assert limits(10, 545)[TRAIN] is None


def _plan(out: Path, parts: Sequence[str], *, started: float | None = None, minutes: float = 10) -> Plan:
    return Plan(
        out=str(out), work=str(out), started=time.time() if started is None else started, minutes=minutes,
        parts=tuple(parts), device="cpu", train_options={},
    )  # fmt: skip
