"""Training: the loss of transformers, gradients everywhere, and runs that a kill does not change by a bit."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model.batch_pool import BatchPool
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.training.checkpoints import StepLog, checkpoints, latest, read_progress
from polyseme.tasks.training.export import export
from polyseme.tasks.training.network import forward, loss_sums, start_from
from polyseme.tasks.training.settings import TrainingConfig
from polyseme.tasks.training.trainer import Trainer
from tests import processes
from tests.tasks.training.small_training import CPU, objective, trainer


class Stopped(Exception):
    pass


def first_gradients(training: Trainer) -> tuple[list[torch.Tensor | None], dict[str, float]]:
    return training._gradients(0, training.objective.step(0, training.config.batch(CPU)), 1e-3)


def losses(trained: Trainer) -> list[tuple[float, float]]:
    return [(log.mlm, log.nsp) for log in trained.progress.log]


@pytest.mark.parametrize("folder", ["tiny_folder", "foreign_folder"])
def test_the_loss_is_that_of_transformers_on_the_same_batch(folder: str, request: pytest.FixtureRequest) -> None:
    from transformers import BertForPreTraining

    path: Path = request.getfixturevalue(folder)
    (batch,) = objective(path, max_tokens=30).step(0, 8) if folder == "foreign_folder" else objective(path).step(0, 8)
    theirs = BertForPreTraining.from_pretrained(path, dtype=torch.float32).eval()
    labels = np.full(batch.ids.size, -100)
    labels[batch.at] = batch.mlm_labels
    with torch.inference_mode():
        expected = theirs(
            input_ids=torch.from_numpy(batch.ids),
            token_type_ids=torch.from_numpy(batch.types),
            attention_mask=torch.from_numpy(batch.attention),
            labels=torch.from_numpy(labels.reshape(batch.ids.shape)),
            next_sentence_label=torch.from_numpy(batch.label),
        ).loss
        ours = start_from(Checkpoint("x", path), seed=0).model.eval()
        mlm, nsp, _ = loss_sums(forward(ours, batch, CPU, "fp32"), batch)
    assert float(mlm / len(batch.mlm_labels) + nsp / len(batch.label)) == pytest.approx(float(expected), rel=1e-5)


def test_gradients_reach_both_heads_and_every_layer(tiny_folder: Path, tmp_path: Path) -> None:
    training = trainer(tiny_folder, tmp_path)
    gradients, _ = first_gradients(training)
    names = [name for name, _ in training.model.named_parameters()]
    # A key's bias shifts all scores of a query by the same amount, which the softmax cancels.
    zero = [n for n, g in zip(names, gradients, strict=True) if not float(g.abs().max()) > 0 and "key.bias" not in n]
    assert zero == []


def test_the_number_of_cores_does_not_change_a_step_by_a_bit(tiny_folder: Path, tmp_path: Path) -> None:
    both, alone = trainer(tiny_folder, tmp_path), trainer(tiny_folder, tmp_path)
    both._pool, alone._pool = BatchPool(2), BatchPool(1)
    (a, log), (b, same) = first_gradients(both), first_gradients(alone)
    assert log == same
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_micro_batches_add_up_to_the_loss_of_the_step(tiny_folder: Path, tmp_path: Path) -> None:
    training = trainer(tiny_folder, tmp_path, micro=2)
    _, log = first_gradients(training)
    batches = training.objective.step(0, 2)
    with torch.inference_mode():
        sums = [loss_sums(forward(training.model, batch, CPU, "fp32"), batch) for batch in batches]
    assert log["mlm"] == pytest.approx(
        float(sum(s[0] for s in sums)) / sum(len(b.mlm_labels) for b in batches), rel=1e-5
    )
    assert log["nsp"] == pytest.approx(float(sum(s[1] for s in sums)) / 8, rel=1e-5)


@pytest.mark.parametrize(
    ("device", "pairs", "micro", "size"),
    [("cpu", 256, None, 16), ("cpu", 24, None, 8), ("cuda", 256, None, 128), ("cuda", 8, None, 8), ("cuda", 256, 4, 4)],
)
def test_a_gpu_takes_more_pairs_at_once_unless_told(device: str, pairs: int, micro: int | None, size: int) -> None:
    assert TrainingConfig(steps=1, pairs=pairs, micro=micro).batch(torch.device(device)) == size


def test_a_run_stopped_in_its_last_evaluation_repeats_it_when_it_continues(tiny_folder: Path, tmp_path: Path) -> None:
    def stop(model: object) -> dict[str, float]:
        if first.progress.step == 4:
            raise KeyboardInterrupt
        return {"mlm_loss": 1.0}

    first = trainer(tiny_folder, tmp_path)
    first.evaluate = stop
    with pytest.raises(KeyboardInterrupt):
        first.run()
    for _ in range(2):
        again = trainer(tiny_folder, tmp_path)
        again.resume()
        again.run()
        assert [log.step for log in again.progress.log] == [1, 2, 3, 4]
        assert [found["step"] for found in again.progress.evaluations].count(4) == 1
    path = latest(tmp_path)
    assert path is not None
    assert read_progress(path).evaluations[-1]["step"] == 4


def test_weights_decay_once_each_and_biases_and_norms_do_not(tiny_folder: Path, tmp_path: Path) -> None:
    training = trainer(tiny_folder, tmp_path, weight_decay=0.5)
    names = {id(parameter): name for name, parameter in training.model.named_parameters(remove_duplicate=False)}
    decayed, spared = ([names[id(p)] for p in group["params"]] for group in training._optimizer.param_groups)
    assert len({*decayed, *spared}) == len(decayed) + len(spared) == len(list(training.model.parameters()))
    assert not [name for name in decayed if name.endswith("bias") or "LayerNorm" in name]
    assert all(name.endswith("bias") or "LayerNorm" in name for name in spared)
    tied = training.model.cls.predictions.decoder.weight
    assert tied is training.model.bert.embeddings.word_embeddings.weight
    assert sum(p is tied for group in training._optimizer.param_groups for p in group["params"]) == 1


def test_a_step_is_no_longer_than_its_clipped_gradient(tiny_folder: Path, tmp_path: Path) -> None:
    training = trainer(tiny_folder, tmp_path, clip=0.01)
    norms: list[float] = []
    step = training._optimizer.step

    def measured() -> None:
        parts = [p.grad.norm() for p in training.model.parameters()]
        norms.append(float(torch.linalg.vector_norm(torch.stack(parts))))
        step()

    training._optimizer.step = measured
    training.run()
    assert norms == pytest.approx([0.01] * 4, rel=1e-3)


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    config = TrainingConfig(steps=100, learning_rate=1e-3, warmup=0.1)
    rates = [config.rate(config.share_done(step + 0.5, 0.0)) for step in range(100)]
    assert 0 < rates[0] < rates[5] < rates[9]
    assert max(rates) == pytest.approx(1e-3, rel=0.06)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-5
    assert TrainingConfig(minutes=1).share_done(7, 30.0) == 0.5


def test_a_stopped_run_continues_as_if_it_had_not_been_stopped(tiny_folder: Path, tmp_path: Path) -> None:
    whole = trainer(tiny_folder, tmp_path / "whole", dropout=0.1)
    whole.run()

    def stop(log: StepLog) -> None:
        if log.step == 2:
            raise Stopped

    first = trainer(tiny_folder, tmp_path / "parts", dropout=0.1)
    with pytest.raises(Stopped):
        first.run(stop)
    second = trainer(tiny_folder, tmp_path / "parts", dropout=0.1)
    assert second.resume()
    assert second.progress.step == 2
    second.run()
    assert losses(second) == losses(whole)
    assert all(torch.equal(a, b) for a, b in zip(second.model.parameters(), whole.model.parameters(), strict=True))


@pytest.mark.slow
def test_killed_anywhere_and_resumed_the_losses_are_those_of_an_uninterrupted_run(
    tiny_folder: Path, tmp_path: Path
) -> None:
    def run(folder: str, where: str) -> int:
        script = "tests.tasks.training.train_until_killed"
        done = processes.run(sys.executable, "-m", script, tiny_folder, tmp_path / folder, where, check=False)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return done.returncode

    for where in ("gradients:1", "step:2", "writing:4", "gradients:6"):
        assert run("killed", where) == -signal.SIGKILL
    assert run("killed", "never") == 0
    assert run("whole", "never") == 0
    logs = []
    for folder in ("killed", "whole"):
        path = latest(tmp_path / folder)
        assert path is not None
        logs.append([(log.step, log.mlm, log.nsp, log.rate, log.tokens) for log in read_progress(path).log])
        assert len(logs[-1]) == 8
    assert logs[0] == logs[1]
    one, two = ((latest(tmp_path / f) or tmp_path) / "model.safetensors" for f in ("killed", "whole"))
    assert one.read_bytes() == two.read_bytes()


def test_only_the_two_newest_checkpoints_are_kept_and_a_damaged_one_is_an_error(
    tiny_folder: Path, tmp_path: Path
) -> None:
    trainer(tiny_folder, tmp_path, checkpoint_seconds=0.0).run()
    assert [p.name for p in checkpoints(tmp_path)] == ["step-00000003", "step-00000004"]
    (tmp_path / "step-00000004" / "optimizer.safetensors").write_bytes(b"\x10")
    with pytest.raises(PolysemeError, match="step-00000004"):
        trainer(tiny_folder, tmp_path).resume()


def test_checkpoints_hold_no_pickle(tiny_folder: Path, tmp_path: Path) -> None:
    trainer(tiny_folder, tmp_path, steps=1).run()
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} == {".safetensors", ".json"}


@pytest.mark.parametrize(("setting", "loss"), [("distill", "drift"), ("distill_sentences", "sentence_drift")])
def test_distillation_keeps_the_vectors_nearer_to_the_teacher(
    tiny_folder: Path, tmp_path: Path, setting: str, loss: str
) -> None:
    drifts = []
    for weight in (0.001, 30.0):
        training = trainer(tiny_folder, tmp_path / str(weight), steps=12, **{setting: weight})
        training.run()
        drifts.append(getattr(training.progress.log[-1], loss))
    assert drifts[1] < drifts[0]


def test_frozen_layers_and_the_vectors_they_give_stay_what_they_were(tiny_folder: Path, tmp_path: Path) -> None:
    training = trainer(tiny_folder, tmp_path, freeze_layers=5, distill_sentences=0.0, add_layers=1)
    before = {name: p.detach().clone() for name, p in training.model.named_parameters()}
    training.run()
    moved = {name for name, p in training.model.named_parameters() if not torch.equal(p, before[name])}
    assert moved
    assert not [name for name in moved if ".embeddings." in name or any(f".layer.{i}." in name for i in range(5))]
    with pytest.raises(UsageError, match="--freeze-layers is 9; the model has 6"):
        trainer(tiny_folder, tmp_path / "too-many", freeze_layers=9, add_layers=1)


def test_a_loss_that_is_not_a_number_stops_the_run(tiny_folder: Path, tmp_path: Path) -> None:
    training = trainer(tiny_folder, tmp_path)
    with torch.no_grad():
        training.model.bert.pooler.dense.bias.fill_(float("nan"))
    with pytest.raises(PolysemeError, match="lower --learning-rate"):
        training.run()


@pytest.mark.parametrize("number", [float("nan"), 1e5])
def test_values_beyond_float16_are_not_exported(tiny_folder: Path, tmp_path: Path, number: float) -> None:
    model = start_from(Checkpoint("x", tiny_folder), seed=0).model
    with torch.no_grad():
        model.cls.seq_relationship.bias[0] = number
    with pytest.raises(PolysemeError, match=r"cls\.seq_relationship\.bias"):
        export(model, tmp_path / "out", tokenizer=tiny_folder, card="")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("folder", ["tiny_folder", "foreign_folder"])
def test_an_exported_model_is_read_by_polyseme_and_by_transformers(
    folder: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    from transformers import BertForPreTraining

    path: Path = request.getfixturevalue(folder)
    model = start_from(Checkpoint("x", path), seed=0, dropout=0.0).model.eval()
    export(model, tmp_path / "out", tokenizer=path, card="# out\n")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["architectures"], config["dtype"]) == (["BertForPreTraining"], "float16")
    (batch,) = objective(path).step(0, 8) if folder == "tiny_folder" else objective(path, max_tokens=30).step(0, 8)
    theirs, info = BertForPreTraining.from_pretrained(tmp_path / "out", dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.inference_mode():
        one, two = (forward(m.eval(), batch, CPU, "fp32") for m in (model, theirs))
    torch.testing.assert_close(one.pairs, two.pairs, rtol=0.02, atol=0.05)
    engine = Engine(EngineConfig(model=str(tmp_path / "out"), device="cpu"))
    assert engine.in_lane(lambda encoder: (encoder.has_nsp, encoder.has_mlm)) == (True, True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "how long"),
        ({"steps": 0}, "at least one step"),
        ({"steps": 1, "pairs": 9, "micro": 4}, "multiple of 4"),
        ({"steps": 1, "learning_rate": 0.0}, "--learning-rate"),
        ({"steps": 1, "dropout": 1.0}, "--dropout"),
        ({"steps": 1, "warmup": 1.0}, "warm-up"),
    ],
)
def test_contradicting_settings_are_rejected(settings: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainingConfig(**settings)  # type: ignore[arg-type]
