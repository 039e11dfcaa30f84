"""Adaptation from sources to a checkpoint: goes on where it stopped, refuses what would spoil a run, and teaches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from storage.errors import UsageError
from tasks import adaptation as adapting
from tasks.adaptation import Adaptation, Bench, Shape, at_work
from tasks.engine import Engine, EngineConfig
from tasks.objective import ObjectiveConfig
from tasks.questions import next_sentence
from tasks.training import TrainingConfig
from tests.tasks.training_corpus import documents


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"".join(orjson.dumps({"id": d.doc_id, "text": d.text}) + b"\n" for d in documents(30)))
    return path


@pytest.fixture(autouse=True)
def _few_held_out_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapting, "HELD_OUT_PAIRS", 32)


def request_for(source: Path, out: Path, model: Path, *, steps: int = 2) -> Adaptation:
    return Adaptation(
        sources=[str(source)], out=str(out), model=str(model), device="cpu", held_out=0.2,
        training=TrainingConfig(steps=steps, pairs=8, micro=8), objective=ObjectiveConfig(max_tokens=48),
    )  # fmt: skip


def carry_out(asked: Adaptation) -> Bench:
    with at_work(asked) as bench:
        bench.prepare()
        bench.train()
        bench.finish()
    return bench


def test_a_finished_run_is_a_model_with_a_card_and_can_be_given_more_steps(
    source: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    asked = request_for(source, tmp_path / "out", tiny_folder)
    bench = carry_out(asked)
    assert (bench.text.n_documents, bench.held_out.n_documents) == (24, 6)
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "2 steps of 8 pairs" in card
    assert "| MLM top-1 |" in card
    first = (tmp_path / "out" / "model.safetensors").read_bytes()
    more = carry_out(replace(asked, training=replace(asked.training, steps=3)))
    assert more.progress is not None
    assert [log.step for log in more.progress.log] == [1, 2, 3]
    assert (tmp_path / "out" / "model.safetensors").read_bytes() != first
    answer = next_sentence(
        Engine(EngineConfig(model=str(tmp_path / "out"), device="cpu")), [("It rained.", "It fell.")]
    )
    assert 0 <= answer[0].probability <= 1


def test_other_settings_do_not_go_on_with_a_run(source: Path, tmp_path: Path, tiny_folder: Path) -> None:
    asked = request_for(source, tmp_path / "out", tiny_folder)
    with at_work(asked) as bench:
        bench.prepare()
    changed = replace(asked, objective=replace(asked.objective, seed=1))
    with pytest.raises(UsageError, match=r"other settings \(seed: 0 there, 1 now\)"), at_work(changed):
        pass


def test_a_folder_that_is_not_a_run_is_not_touched(source: Path, tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="exists already"), at_work(request_for(source, tmp_path / "out", tiny_folder)):
        pass
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_two_processes_do_not_train_one_model(source: Path, tmp_path: Path, tiny_folder: Path) -> None:
    asked = request_for(source, tmp_path / "out", tiny_folder)
    with at_work(asked), pytest.raises(UsageError, match="Another process"), at_work(asked):
        pass


def test_held_out_documents_are_not_trained_on(source: Path, tmp_path: Path, tiny_folder: Path) -> None:
    with at_work(request_for(source, tmp_path / "out", tiny_folder)) as bench:
        bench.prepare()
    train, held = (
        {tuple(text.only(np.arange(text.n_documents) == i).ids.tolist()) for i in range(text.n_documents)}
        for text in (bench.text, bench.held_out)
    )
    assert (len(train), len(held)) == (24, 6)
    assert not train & held


def test_a_model_from_scratch_learns_its_own_vocabulary(source: Path, tmp_path: Path) -> None:
    asked = Adaptation(
        sources=[str(source)], out=str(tmp_path / "new"), device="cpu", held_out=0.2,
        shape=Shape(vocabulary=300, layers=2, hidden=32, heads=2, positions=64),
        training=TrainingConfig(steps=2, pairs=8, micro=8), objective=ObjectiveConfig(max_tokens=48),
    )  # fmt: skip
    carry_out(asked)
    engine = Engine(EngineConfig(model=str(tmp_path / "new"), device="cpu"))
    assert engine.wordpiece.vocab_size <= 300
    assert [t.token for t in engine.wordpiece.explain("the river")] == ["the", "river"]
    assert engine.checkpoint.width == 32
    assert "Started from random weights" in (tmp_path / "new" / "README.md").read_text("utf-8")


def test_too_few_documents_are_said_and_leave_the_way_free(source: Path, tmp_path: Path, tiny_folder: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_bytes(b"".join(source.read_bytes().splitlines(keepends=True)[:3]))
    with (
        at_work(request_for(few, tmp_path / "out", tiny_folder)) as bench,
        pytest.raises(UsageError, match="at least 4"),
    ):
        bench.prepare()
    with at_work(request_for(source, tmp_path / "out", tiny_folder)) as bench:
        assert bench.prepare()["documents"] == 24


@pytest.mark.slow
def test_a_short_run_improves_both_objectives_on_text_it_never_saw(source: Path, tmp_path: Path) -> None:
    asked = Adaptation(
        sources=[str(source)], out=str(tmp_path / "out"), device="cpu", held_out=0.3,
        training=TrainingConfig(steps=24, pairs=16, micro=8, learning_rate=3e-4),
        objective=ObjectiveConfig(max_tokens=64),
    )  # fmt: skip
    progress = carry_out(asked).progress
    assert progress is not None
    first, last = progress.evaluations[0], progress.evaluations[-1]
    assert last["step"] == 24
    assert last["mlm_loss"] < 0.8 * first["mlm_loss"]
    assert last["mlm_top1"] > first["mlm_top1"]
    assert last["nsp_loss"] < first["nsp_loss"]
