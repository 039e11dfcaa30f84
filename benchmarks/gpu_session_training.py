"""Continued pretraining until the minutes of a session end, through `polyseme.tasks.adaptation` and without Prefect.

The model leaves in pieces: first copies of the unfinished one at intervals, so that a machine that is lost costs the
last of them, then the finished one. Checkpoints with the optimizer's state stay in the working folder: a later session
on the same machine continues the run.
"""

from __future__ import annotations

import json
import lzma
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.gpu_pack import MIB, split
from benchmarks.gpu_session_plan import Plan
from polyseme.tasks.adaptation.request import Adaptation, Shape
from polyseme.tasks.adaptation.workspace import Workspace, open_workspace
from polyseme.tasks.model.checkpoint import EMBEDDED
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.training.checkpoints import StepLog, TrainingProgress
from polyseme.tasks.training.export import export
from polyseme.tasks.training.objective import ObjectiveConfig
from polyseme.tasks.training.settings import TrainingConfig
from polyseme.tasks.training.trainer import Trainer

Found = Callable[[dict[str, Any]], None]
_CHECKPOINT_SECONDS = 60.0
_REPORT_SECONDS = 5.0
_FOR_STEPS = 0.97
"""The share of the time left that is planned for steps; the rest is for evaluations and checkpoints."""


class TimeIsUp(Exception):
    """The minutes end before the planned ones: evaluations took longer than expected. The steps so far are kept."""


def train(plan: Plan, on_progress: Found) -> dict[str, Any]:
    """Train until `plan.train_end`, then write the model into `plan.out`. Returns counts, losses and the seconds."""
    sources = [str(_decompressed(Path(text), Path(plan.work) / "text")) for text in plan.texts]
    prepared = request(plan, sources, minutes=1.0)
    with open_workspace(prepared) as workspace:
        counts = workspace.prepare()
        spent = 0.0 if workspace.progress is None else workspace.progress.seconds
    left = plan.train_end - time.time()
    print(f"  {counts}; {left:.0f} s left for training, {spent:.0f} s before", flush=True)
    if left <= 0:
        return {"counts": counts, "not measured": "preparing the text took all the time"}
    # The text depends on no number of minutes, so that it is not prepared again.
    adaptation = request(plan, sources, minutes=(spent + _FOR_STEPS * left) / 60)
    with open_workspace(adaptation) as workspace:
        steps = _Steps(plan, workspace, counts, on_progress)
        steps.run()
        workspace.finish()
        progress = workspace.progress
        assert progress is not None
        _keep(plan, workspace.out, progress, name="model")
    return _summary(counts, progress) | {"ended early": steps.ended_early}


def request(plan: Plan, sources: list[str], *, minutes: float) -> Adaptation:
    """Return the request for the run; `minutes` in the options are an upper limit. Raises TypeError for wrong names."""
    options = dict(plan.train_options)
    training = dict(options.pop("training", {}))
    objective = dict(options.pop("objective", {}))
    reading = dict(options.pop("reading", {}))
    shape = options.pop("shape", None)
    if plan.tiny:
        training = {"steps": 3, "pairs": 8, "micro": 4} | training
        objective = {"max_tokens": 32} | objective
    minutes = min(minutes, training.pop("minutes", None) or minutes)
    training = {"checkpoint_seconds": _CHECKPOINT_SECONDS, "minutes": minutes} | training
    return Adaptation(
        sources=sources,
        out=str(Path(plan.work) / "model"),
        training=TrainingConfig(**training),
        objective=ObjectiveConfig(**objective),
        reading=ReadOptions(**reading),
        shape=None if shape is None else Shape(**shape),
        **{"model": plan.model or EMBEDDED, "device": plan.device, "evaluation_pairs": 0} | options,  # type: ignore[arg-type]
    )


class _Steps:
    """The steps of a run: progress on disk, copies of the model, and the end of the minutes."""

    def __init__(self, plan: Plan, workspace: Workspace, counts: dict[str, int], on_progress: Found) -> None:
        self._plan, self._workspace, self._counts, self._on_progress = plan, workspace, counts, on_progress
        self._trainer: Trainer = workspace.trainer()
        self._reported = 0.0
        self._copied = time.time()
        self.ended_early = False

    def run(self) -> None:
        """Continue from the newest checkpoint until the budget is spent or the minutes end."""
        self._trainer.resume()
        try:
            self._trainer.run(self._on_step)
        except TimeIsUp:
            self.ended_early = True

    def _on_step(self, log: StepLog) -> None:
        now = time.time()
        if now - self._reported >= _REPORT_SECONDS:
            print(_line(log), flush=True)
            self._on_progress(_summary(self._counts, self._trainer.progress))
            self._reported = now
        if now - self._copied >= self._plan.snapshot_seconds:
            self._copy()
            self._copied = time.time()
        if now >= self._plan.train_end:
            raise TimeIsUp

    def _copy(self) -> None:
        folder = Path(self._plan.work) / "unfinished"
        card = f"# An unfinished run\n\nStep {self._trainer.progress.step:,}.\n"
        shutil.rmtree(folder, ignore_errors=True)
        export(self._trainer.model, folder, tokenizer=self._workspace.models.tokenizer, card=card)
        _keep(self._plan, folder, self._trainer.progress, name="unfinished")


def _line(log: StepLog) -> str:
    losses = f"MLM {log.mlm:.3f}, NSP {log.nsp:.3f}, order {log.order:.3f}, sentence drift {log.sentence_drift:.4f}"
    return f"  step {log.step:,}: {losses}, {log.seconds:.0f} s"


def _summary(counts: dict[str, int], progress: TrainingProgress) -> dict[str, Any]:
    last = asdict(progress.log[-1]) if progress.log else {}
    return {
        "counts": counts, "steps": progress.step, "training seconds": round(progress.seconds, 1),
        "trained tokens": progress.tokens, "last step": last, "evaluations": progress.evaluations,
    }  # fmt: skip


def _keep(plan: Plan, model: Path, progress: TrainingProgress, *, name: str) -> None:
    """Put `model` in pieces and the log of its training into the results, in place of earlier ones.

    The finished model takes the place of unfinished ones. There is always one complete folder: the new one has its own
    name until it is whole.
    """
    out, fresh = Path(plan.out) / name, Path(plan.out) / f"{name}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    (model / "progress.json").write_text(json.dumps(asdict(progress)) + "\n", "utf-8")
    split(model, fresh, below=int(plan.piece_mib * MIB))
    for old in {out, Path(plan.out) / "unfinished"}:
        shutil.rmtree(old, ignore_errors=True)
    fresh.replace(out)


def _decompressed(text: Path, folder: Path) -> Path:
    """Return `text`, or for `.xz` the file that it decompresses to, made once."""
    if text.suffix != ".xz":
        return text
    folder.mkdir(parents=True, exist_ok=True)
    plain = folder / text.stem
    if not plain.is_file():
        temporary = folder / f"{text.stem}.tmp"
        with lzma.open(text) as source, temporary.open("wb") as target:
            shutil.copyfileobj(source, target, MIB)
        temporary.replace(plain)
    return plain
