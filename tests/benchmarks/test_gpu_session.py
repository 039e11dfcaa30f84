"""A session on a GPU machine, rehearsed at toy size on one that has torch and transformers and little else.

Nothing that it measured may be lost, whatever ends it, and it says at once if it cannot work.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu, gpu_session, gpu_session_check, gpu_session_training
from benchmarks.gpu_pack import join
from benchmarks.gpu_session_plan import CHECK, MEASUREMENTS, TRAIN, Plan, Record
from polyseme.storage.errors import PolysemeError
from polyseme.tasks.adaptation.request import Shape
from polyseme.tasks.model.checkpoint import EMBEDDED, Checkpoint
from polyseme.tasks.training.checkpoints import StepLog
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
    options, model = tmp_path / "train.json", str(make_checkpoint())
    training = {"steps": 2, "learning_rate": 2e-4}
    given = {"training": training, "teacher": model, "order_head": True, "license": "CC0-1.0"}
    options.write_text(json.dumps(given))
    arguments = (
        "--parts", "train", "--wheels", str(wheels), "--model", model, "--text", str(text),
        "--train-json", str(options), "--piece-mib", "1", "--snapshot-seconds", "0",
    )  # fmt: skip
    done = session(tmp_path / "out", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert parts(tmp_path / "out")[TRAIN]["steps"] == 2
    assert parts(tmp_path / "out")[TRAIN]["last step"]["order"] > 0
    assert all(path.stat().st_size < 2**20 for path in (tmp_path / "out" / "model").iterdir())
    files = {path.name for path in join(tmp_path / "out" / "model", tmp_path / "joined")}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md", "progress.json"} <= files
    assert Checkpoint("joined", tmp_path / "joined").width == 48
    assert "CC0-1.0" in (tmp_path / "joined" / "README.md").read_text("utf-8")

    # The same call again, with more steps, continues the run.
    options.write_text(json.dumps(given | {"training": {"steps": 3, "learning_rate": 2e-4}}))
    assert session(tmp_path / "out", *arguments).returncode == 0
    assert parts(tmp_path / "out")[TRAIN]["steps"] == 3
    assert len(json.loads((tmp_path / "out" / "model" / "progress.json").read_text())["log"]) == 3


@pytest.mark.slow
def test_what_is_wrong_is_said_before_anything_is_measured(tmp_path: Path, wheels: Path) -> None:
    done = session(tmp_path / "out", "--parts", "correctness", "train", "--text", "missing.jsonl")
    assert done.returncode == gpu_session.EXIT_CHECK
    assert "packages: WRONG: training needs orjson:" in done.stdout
    assert "text: WRONG: FileNotFoundError" in done.stdout
    assert list(parts(tmp_path / "out")) == [CHECK]
    (tmp_path / "train.json").write_text('{"training": {"stepz": 2}}')
    done = session(
        tmp_path / "out", "--parts", "train", "--wheels", str(wheels), "--train-json", str(tmp_path / "train.json")
    )
    assert done.returncode == gpu_session.EXIT_CHECK
    assert "text: WRONG: no text to train on" in done.stdout
    assert "stepz" in done.stdout.partition("options: WRONG")[2]


def test_every_option_of_a_training_run_can_be_named(tmp_path: Path) -> None:
    given = {
        "training": {"steps": 7, "distill": 2.0}, "objective": {"seed": 3}, "reading": {"text_field": "body"},
        "model": "start", "teacher": "teacher", "blend": 0.3, "add_layers": 2, "order_head": True, "device": "mps",
        "precision": "fp32", "held_out": 0.1, "limit": 9, "evaluation_pairs": 5, "license": "CC0-1.0",
        "data_note": "Letters of 1910",
    }  # fmt: skip
    plan = replace(_plan(tmp_path, [TRAIN]), train_options=given)
    found = asdict(gpu_session_training.request(plan, ["text"], minutes=4.0))
    assert {name: found[name] for name in given} == given | {
        name: found[name] | given[name] for name in ("training", "objective", "reading")
    }
    assert (found["training"]["minutes"], found["training"]["steps"]) == (4.0, 7)
    new = replace(plan, train_options={"shape": {"layers": 2}})
    assert gpu_session_training.request(new, ["text"], minutes=4.0).shape == Shape(layers=2)
    assert found.keys() == given.keys() | {"sources", "out", "shape"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teachr": "."}, "teachr"),
        ({"training": {"stepz": 2}}, "stepz"),
        ({"objective": {"orders": 0.1}}, "orders"),
        ({"out": "elsewhere"}, "out"),
        ({"teacher": "./missing"}, "No checkpoint at './missing'"),
        ({"teacher": EMBEDDED}, "--teacher has vectors of 384 dimensions and --model of 48"),
        ({"blend": 0.5}, "--blend is a share of --teacher's weights"),
        ({"objective": {"max_tokens": 65}}, "--max-tokens must be at most 64"),
        ({"training": {"freeze_layers": 6}}, "--freeze-layers is 6; the model has 5 layers"),
        ({"model": "./missing"}, "No checkpoint at './missing'"),
    ],
    ids=str,
)
def test_the_check_refuses_options_with_which_no_step_could_be_taken(
    tmp_path: Path, tiny_folder: Path, options: dict[str, Any], message: str
) -> None:
    plan = replace(_plan(tmp_path, [TRAIN]), model=str(tiny_folder), tiny=True, train_options=options)
    with pytest.raises((PolysemeError, TypeError), match=message):
        gpu_session_check._options(plan, tmp_path / "options")


def test_the_check_prepares_a_run_with_a_teacher_that_is_there(tmp_path: Path, tiny_folder: Path) -> None:
    options = {"teacher": str(tiny_folder), "blend": 0.5, "add_layers": 1, "order_head": True, "limit": 2}
    plan = replace(_plan(tmp_path, [TRAIN]), model=str(tiny_folder), tiny=True, train_options=options)
    shown = gpu_session_check._options(plan, tmp_path / "options")
    assert all(f"{name}={value!r}" in shown for name, value in options.items())


def test_a_line_of_steps_shows_every_loss_that_may_be_trained() -> None:
    log = StepLog(
        step=1200, mlm=2.5, nsp=0.25, order=0.5, drift=0.0, sentence_drift=0.0125, rate=1e-4, tokens=9, seconds=61.2
    )
    assert gpu_session_training._line(log) == (
        "  step 1,200: MLM 2.500, NSP 0.250, order 0.500, sentence drift 0.0125, 61 s"
    )


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
