"""From sources to a checkpoint: a run continues where it stopped, rejects other settings, trains, and writes cards."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.adaptation import workspace as module
from polyseme.tasks.adaptation.request import Adaptation, Shape
from polyseme.tasks.adaptation.workspace import Workspace, open_workspace
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.evaluation.comparison import COMPARISON_FILE
from polyseme.tasks.evaluation.evaluation import FIGURES
from polyseme.tasks.inference.predictions import next_sentence
from polyseme.tasks.training.objective import ObjectiveConfig
from polyseme.tasks.training.settings import TrainingConfig
from polyseme.tasks.training.trainer import Trainer
from tests import processes
from tests.repository import ROOT
from tests.tasks.training.training_corpus import documents

DOCSTRINGS = ROOT / "examples" / "docstrings.py"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"".join(orjson.dumps({"id": d.doc_id, "text": d.text}) + b"\n" for d in documents(30)))
    return path


@pytest.fixture(autouse=True)
def _few_held_out_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_OUT_PAIRS", 32)


def request_for(source: Path, out: Path, model: Path, *, steps: int = 2, evaluation_pairs: int = 0) -> Adaptation:
    return Adaptation(
        sources=[str(source)], out=str(out), model=str(model), device="cpu", held_out=0.2,
        evaluation_pairs=evaluation_pairs,
        training=TrainingConfig(steps=steps, pairs=8, micro=8), objective=ObjectiveConfig(max_tokens=48),
    )  # fmt: skip


def run(adaptation: Adaptation) -> Workspace:
    with open_workspace(adaptation) as workspace:
        workspace.prepare()
        workspace.train()
        workspace.finish()
    return workspace


def test_a_finished_run_is_a_model_with_a_card_and_can_be_given_more_steps(
    source: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    adaptation = request_for(source, tmp_path / "out", tiny_folder)
    workspace = run(adaptation)
    assert (workspace.text.n_documents, workspace.held_out.n_documents) == (24, 6)
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "2 steps of 8 pairs" in card
    assert "| MLM top-1 |" in card
    assert "Vectors are taken from layer" not in card
    assert "| NSP accuracy, negatives as in training |" in card
    first = (tmp_path / "out" / "model.safetensors").read_bytes()
    more = run(replace(adaptation, training=replace(adaptation.training, steps=3)))
    assert more.progress is not None
    assert [log.step for log in more.progress.log] == [1, 2, 3]
    assert (tmp_path / "out" / "model.safetensors").read_bytes() != first
    answer = next_sentence(
        Engine(EngineConfig(model=str(tmp_path / "out"), device="cpu")), [("It rained.", "It fell.")]
    )
    assert 0 <= answer[0].probability <= 1


def test_the_card_has_every_figure_of_both_models_and_rewriting_it_repeats_neither_steps_nor_evaluations(
    source: Path, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adaptation = request_for(source, tmp_path / "out", tiny_folder, evaluation_pairs=12)
    workspace = run(adaptation)
    card, weights = ((workspace.out / name).read_bytes() for name in ("README.md", "model.safetensors"))
    first = card.decode()
    assert f"|  | start: {tiny_folder.name} | this model |" in first
    for name, (label, _) in FIGURES.items():
        (row,) = [line for line in first.splitlines() if line.startswith(f"| {label} |")]
        assert ("–" in row) == (name == "order_head_accuracy")
    assert "**Licence.** To be filled in" in first
    assert "226 graded pairs of sentences; " in first
    assert first.count("**Warning:**") == len(workspace.comparison.warnings if workspace.comparison else [])
    stored = json.loads((workspace.out / COMPARISON_FILE).read_text("utf-8"))
    assert stored["start"]["figures"].keys() == stored["model"]["figures"].keys() == FIGURES.keys()
    assert stored["model"]["counts"]["documents"] == 6

    def never(*_: object, **__: object) -> None:
        raise AssertionError("this was done before")

    monkeypatch.setattr(module, "compare", never)
    monkeypatch.setattr(Trainer, "_gradients", never)
    again = run(replace(adaptation, license="CC BY-SA 3.0", data_note="Letters of 1910"))
    second = (again.out / "README.md").read_text("utf-8")
    assert second.startswith(f"---\nlicense: cc-by-sa-3.0\nbase_model: {tiny_folder.name}\n")
    assert "**Licence.** CC BY-SA 3.0." in second
    assert "Source of the text: Letters of 1910." in second
    assert second[second.index("**Training.**") :] == first[first.index("**Training.**") :]
    assert (again.out / "model.safetensors").read_bytes() == weights


def test_a_model_is_written_before_it_is_evaluated_and_evaluated_when_the_run_continues(
    source: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    adaptation = request_for(source, tmp_path / "out", tiny_folder, evaluation_pairs=12)

    def stop(_tokens: int) -> None:
        raise KeyboardInterrupt

    with open_workspace(adaptation) as workspace:
        workspace.prepare()
        workspace.train()
        with pytest.raises(KeyboardInterrupt):
            workspace.finish(stop)
    assert (workspace.out / "model.safetensors").is_file()
    assert "| MLM top-1 |" in (workspace.out / "README.md").read_text("utf-8")
    assert not (workspace.out / COMPARISON_FILE).exists()
    assert (run(adaptation).out / COMPARISON_FILE).is_file()


def test_a_run_does_not_continue_with_other_settings(source: Path, tmp_path: Path, tiny_folder: Path) -> None:
    adaptation = request_for(source, tmp_path / "out", tiny_folder)
    with open_workspace(adaptation) as workspace:
        workspace.prepare()
    changed = replace(adaptation, objective=replace(adaptation.objective, seed=1))
    with pytest.raises(UsageError, match=r"other settings \(seed: 0 there, 1 now\)"), open_workspace(changed):
        pass


def test_a_folder_that_is_not_a_run_is_not_touched(source: Path, tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(UsageError, match="exists already"),
        open_workspace(request_for(source, tmp_path / "out", tiny_folder)),
    ):
        pass
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_two_processes_do_not_train_one_model(source: Path, tmp_path: Path, tiny_folder: Path) -> None:
    adaptation = request_for(source, tmp_path / "out", tiny_folder)
    with open_workspace(adaptation), pytest.raises(UsageError, match="Another process"), open_workspace(adaptation):
        pass


def test_held_out_documents_are_not_trained_on(source: Path, tmp_path: Path, tiny_folder: Path) -> None:
    with open_workspace(request_for(source, tmp_path / "out", tiny_folder)) as workspace:
        workspace.prepare()
    train, held = (
        {tuple(text.only(np.arange(text.n_documents) == i).ids.tolist()) for i in range(text.n_documents)}
        for text in (workspace.text, workspace.held_out)
    )
    assert (len(train), len(held)) == (24, 6)
    assert not train & held


def test_a_model_from_scratch_has_a_vocabulary_of_its_own(source: Path, tmp_path: Path) -> None:
    adaptation = Adaptation(
        sources=[str(source)], out=str(tmp_path / "new"), device="cpu", held_out=0.2, evaluation_pairs=8,
        shape=Shape(vocabulary=300, layers=2, hidden=32, heads=2, positions=64),
        training=TrainingConfig(steps=2, pairs=8, micro=8), objective=ObjectiveConfig(max_tokens=48),
    )  # fmt: skip
    run(adaptation)
    engine = Engine(EngineConfig(model=str(tmp_path / "new"), device="cpu"))
    assert engine.wordpiece.vocab_size <= 300
    assert [t.token for t in engine.wordpiece.explain("the river")] == ["the", "river"]
    assert engine.checkpoint.width == 32
    card = (tmp_path / "new" / "README.md").read_text("utf-8")
    assert "Started from random weights" in card
    assert "|  | this model |" in card


def test_too_few_documents_are_an_error_and_do_not_block_the_next_run(
    source: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    few = tmp_path / "few.jsonl"
    few.write_bytes(b"".join(source.read_bytes().splitlines(keepends=True)[:3]))
    with (
        open_workspace(request_for(few, tmp_path / "out", tiny_folder)) as workspace,
        pytest.raises(UsageError, match="at least 4"),
    ):
        workspace.prepare()
    with open_workspace(request_for(source, tmp_path / "out", tiny_folder)) as workspace:
        assert workspace.prepare()["documents"] == 24


@pytest.mark.slow
def test_a_short_run_on_the_docstrings_of_python_improves_both_objectives_on_held_out_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The five minutes of docs/training.md, reduced to a tenth.
    source = tmp_path / "docstrings.jsonl"
    source.write_bytes(processes.run(sys.executable, DOCSTRINGS, text=False).stdout)
    monkeypatch.setattr(module, "HELD_OUT_PAIRS", 192)
    adaptation = Adaptation(
        sources=[str(source)], out=str(tmp_path / "out"), device="cpu", held_out=0.1, evaluation_pairs=0,
        training=TrainingConfig(steps=30, evaluations=1),
    )  # fmt: skip
    progress = run(adaptation).progress
    assert progress is not None
    first, last = progress.evaluations
    assert last["mlm_loss"] < first["mlm_loss"] - 0.1
    assert last["mlm_top1"] > first["mlm_top1"]
    assert last["nsp_loss"] < 0.9 * first["nsp_loss"]
