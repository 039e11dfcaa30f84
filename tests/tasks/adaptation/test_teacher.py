"""A run with a teacher, blended weights, added layers and an order head: what comes out, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import torch
from safetensors.torch import load_file, save_file

from polyseme.storage.errors import ModelError, UsageError
from polyseme.tasks.adaptation import workspace as module
from polyseme.tasks.adaptation.request import Adaptation, Shape
from polyseme.tasks.adaptation.workspace import open_workspace
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.training.objective import ObjectiveConfig
from polyseme.tasks.training.settings import TrainingConfig
from tests.conftest import MakeCheckpoint
from tests.tasks.training.training_corpus import documents


@pytest.fixture
def adaptation(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Adaptation:
    monkeypatch.setattr(module, "HELD_OUT_PAIRS", 32)
    source = tmp_path / "corpus.jsonl"
    source.write_bytes(b"".join(orjson.dumps({"id": d.doc_id, "text": d.text}) + b"\n" for d in documents(30)))
    teacher = Path(shutil.copytree(tiny_folder, tmp_path / "teacher"))
    weights = load_file(tiny_folder / "model.safetensors")
    save_file({name: 2 * w for name, w in weights.items()}, teacher / "model.safetensors", metadata={"format": "pt"})
    return Adaptation(
        sources=[str(source)], out=str(tmp_path / "out"), model=str(tiny_folder), teacher=str(teacher), blend=0.5,
        add_layers=1, order_head=True, device="cpu", held_out=0.2, evaluation_pairs=0,
        training=TrainingConfig(steps=2, pairs=8, micro=8, freeze_layers=5), objective=ObjectiveConfig(max_tokens=48),
    )  # fmt: skip


def test_the_model_begins_between_both_and_has_the_layers_and_heads(adaptation: Adaptation, tiny_folder: Path) -> None:
    with open_workspace(adaptation) as workspace:
        workspace.prepare()
        progress = workspace.train()
        out = workspace.finish()
    assert all(log.sentence_drift > 0 for log in progress.log)
    engine = Engine(EngineConfig(model=str(out), device="cpu"))
    assert engine.checkpoint.vector_layer == 5
    assert engine.in_lane(lambda encoder: (encoder.has_order, len(encoder.network.layers))) == (True, 6)
    card = (out / "README.md").read_text("utf-8")
    assert "Vectors are taken from layer 5 of 6" in card
    assert "In transformers they are `hidden_states[5]`, not `last_hidden_state`." in card
    assert all(told in card for told in ("`teacher` teacher", "`blend` 0.5", "`add_layers` 1", "`order_head` True"))
    name = "bert.encoder.layer.2.output.dense.weight"
    start, end = load_file(tiny_folder / "model.safetensors")[name], load_file(out / "model.safetensors")[name]
    torch.testing.assert_close(end.float(), 1.5 * start, atol=2e-3, rtol=1e-3)


def test_what_does_not_fit_together_is_refused_before_the_text_is_read(
    adaptation: Adaptation, make_checkpoint: MakeCheckpoint
) -> None:
    wide, short = str(make_checkpoint(hidden_size=24)), str(make_checkpoint(max_position_embeddings=32))
    cased = str(make_checkpoint(cased=True))
    for wrong, message in [
        (replace(adaptation, teacher=wide, blend=0.0), "--teacher has vectors of 24 dimensions and --model of 48"),
        (replace(adaptation, teacher=cased), "--teacher .* has another vocabulary than --model"),
        (replace(adaptation, teacher=short), "--max-tokens must be at most 32, --teacher's limit, got 48"),
        (replace(adaptation, model=short), "--max-tokens must be at most 32, the model's limit, got 48"),
        (replace(adaptation, training=TrainingConfig(steps=2, freeze_layers=7)), "the model has 6 layers"),
    ]:
        with pytest.raises(UsageError, match=message), open_workspace(wrong):
            pass
    missing = replace(adaptation, teacher="./missing")
    with pytest.raises(ModelError, match="--teacher is not available"), open_workspace(missing):
        pass
    with open_workspace(adaptation):  # none of them left settings that bind the folder
        pass


def test_a_run_is_not_continued_with_another_teacher_of_the_same_name(adaptation: Adaptation) -> None:
    with open_workspace(adaptation) as workspace:
        workspace.prepare()
    assert adaptation.teacher is not None
    weights = Path(adaptation.teacher) / "model.safetensors"
    save_file({name: 3 * w for name, w in load_file(weights).items()}, weights, metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"other settings \(teacher_sha256"), open_workspace(adaptation):
        pass


def test_a_run_of_an_earlier_version_is_not_continued(adaptation: Adaptation) -> None:
    with open_workspace(adaptation) as workspace:
        workspace.prepare()
    run = workspace.folder / "run.json"
    run.write_bytes(orjson.dumps({k: v for k, v in orjson.loads(run.read_bytes()).items() if k != "order_head"}))
    with pytest.raises(UsageError, match="an earlier version of Polyseme began"), open_workspace(adaptation):
        pass


def test_contradictions_are_refused(adaptation: Adaptation) -> None:
    with pytest.raises(UsageError, match="--blend is a share of --teacher's weights"):
        replace(adaptation, teacher=None)
    with pytest.raises(UsageError, match="--add-layers must be 0 or more"):
        replace(adaptation, add_layers=-1)
    with pytest.raises(UsageError, match="from scratch has no layers to add to"):
        replace(adaptation, shape=Shape(), blend=0.0)
    with pytest.raises(UsageError, match="shares of the negative pairs"):
        ObjectiveConfig(same_document=0.6, swapped=0.6)
