"""`polyseme adapt` and `polyseme evaluate`: from documents to a model, and what the two say of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from flows.loss_curve import loss_curve
from flows.training_progress import describe
from tasks.training_state import Progress, StepLog
from tests.flows.conftest import write_records
from tests.flows.test_cli import polyseme
from tests.tasks.training_corpus import documents

LOG = StepLog(step=1, mlm=4.0, nsp=0.7, drift=0.0, rate=1e-4, tokens=100, seconds=2.0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_records(tmp_path / "corpus.jsonl", [{"id": d.doc_id, "text": d.text} for d in documents(8)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--steps N or --minutes M"),
        (["--steps", "2", "--held-out", "2"], "--held-out must lie between"),
        (["--steps", "2", "--mask-share", "0"], "--mask-share"),
        (["--steps", "2", "--pairs", "9"], "multiple of 8"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_made(
    capfd: pytest.CaptureFixture[str], source: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    code, _, err = polyseme(capfd, "adapt", source, "--out", tmp_path / "out", *words)
    assert code == 2
    assert message in err
    assert not (tmp_path / "out.training").exists()


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api")
def test_from_documents_to_a_model_and_its_figures(
    capfd: pytest.CaptureFixture[str], source: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    out = tmp_path / "out"
    words = ["adapt", source, "--out", out, "--model", tiny_folder, "--pairs", "8", "--max-tokens", "48", "--json"]
    code, stdout, err = polyseme(capfd, *words, "--steps", "2")
    assert code == 0, err
    report = json.loads(stdout)
    assert (report["steps"], report["documents"], report["held_out_documents"]) == (2, 6, 2)
    assert report["first"].keys() == report["last"].keys()
    assert ElementTree.parse(out / "training.svg").getroot().tag.endswith("svg")
    code, stdout, _ = polyseme(capfd, *words, "--steps", "3")
    assert (code, json.loads(stdout)["steps"]) == (0, 3)
    few = ["--pairs", "20", "--masked-pairs", "16", "--max-tokens", "48"]
    code, stdout, _ = polyseme(capfd, "evaluate", out, tiny_folder, "--data", source, *few, "--json")
    assert code == 0
    assert [found["model"] for found in json.loads(stdout)] == ["out", tiny_folder.name]
    code, stdout, _ = polyseme(capfd, "evaluate", out, tiny_folder, "--data", source, *few)
    assert "MLM top-1" in stdout
    assert "better" in stdout


def test_the_curve_shows_every_run_however_short() -> None:
    evaluation = {"step": 0, "mlm_top1": 0.3, "nsp_accuracy": 0.9}
    for logs in ([], [LOG], [replace(LOG, step=i, mlm=4 - i / 1000) for i in range(1, 500)]):
        picture = loss_curve(Progress(log=logs, evaluations=[evaluation]), title="<a run>")
        assert "&lt;a run&gt;" in "".join(ElementTree.tostring(ElementTree.fromstring(picture), encoding="unicode"))


def test_progress_is_said_in_a_line() -> None:
    from collections import deque

    line = describe(deque([LOG, replace(LOG, step=2, seconds=4.0)]), 0.5)
    assert line == "step 2, MLM loss 4.00, NSP loss 0.700, 50 tokens/s, about 4 s left"
