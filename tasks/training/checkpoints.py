"""The state of a training run on disk: weights, optimizer and progress, written atomically.

Safetensors and JSON only. A checkpoint is a folder that gets its name by one rename once everything in it is synced;
the two newest are kept. Random state need not be saved: it follows from the seed and the step.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from polyseme.storage.errors import PolysemeError
from polyseme.storage.files.durable import replace_folder

LOSSES = ("mlm", "nsp", "order", "drift", "sentence_drift")
"""The losses of a step, in order."""
_KEPT = 2
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True)
class StepLog:
    """One step: losses in nats per token and per pair, drifts as 1 - cosine to the teacher, learning rate.

    `step` counts from 1; `tokens` is the step's tokens, `seconds` the training time until the end of the step.
    """

    step: int
    mlm: float
    nsp: float
    order: float
    drift: float
    sentence_drift: float
    rate: float
    tokens: int
    seconds: float


@dataclass(slots=True)
class TrainingProgress:
    """The progress of a run over all its processes. `seconds` is the time spent training, evaluations excluded."""

    step: int = 0
    seconds: float = 0.0
    log: list[StepLog] = field(default_factory=list)
    evaluations: list[dict[str, float]] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """The number of tokens trained on so far."""
        return sum(entry.tokens for entry in self.log)

    def add(self, losses: dict[str, float], seconds: float) -> None:
        """Record a finished step that took `seconds`."""
        self.step += 1
        self.seconds += seconds
        numbers = {name: losses[name] for name in (*LOSSES, "rate")}
        self.log.append(
            StepLog(step=self.step, tokens=int(losses["tokens"]), seconds=round(self.seconds, 3), **numbers)
        )


def save(folder: Path, model: Any, optimizer: Any, progress: TrainingProgress) -> None:
    """Write a checkpoint, then remove all but the two newest. Raises PolysemeError if it cannot be written."""
    final = folder / f"step-{progress.step:08d}"
    temporary = folder / f".{final.name}.tmp"
    try:
        if final.is_dir():
            # This step's weights are there; only an evaluation may be new.
            _write_progress(final, progress)
            return
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        names = dict(model.named_parameters())
        save_file({name: p.detach().contiguous() for name, p in names.items()}, temporary / "model.safetensors")
        moments = {
            f"{name}/{kind}": optimizer.state[p][kind].contiguous()
            for name, p in names.items()
            for kind in _MOMENTS
            if p in optimizer.state
        }
        save_file(moments, temporary / "optimizer.safetensors")
        _write_progress(temporary, progress)
        replace_folder(temporary, final)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise PolysemeError(
            f"Cannot write a checkpoint to {folder}: {error}. The previous one is kept: free disk space, then run the "
            "same command again."
        ) from error
    for old in checkpoints(folder)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints in `folder`, oldest first."""
    return sorted(folder.glob("step-*"))


def latest(folder: Path) -> Path | None:
    """Return the newest complete checkpoint; None if there is none."""
    found = checkpoints(folder)
    return found[-1] if found else None


def restore(path: Path, model: Any, optimizer: Any) -> TrainingProgress:
    """Load a checkpoint into `model` and `optimizer`. Raises PolysemeError if it is damaged or of another model."""
    try:
        weights = load_file(path / "model.safetensors")
        moments = load_file(path / "optimizer.safetensors")
        for name, parameter in model.named_parameters():
            parameter.data.copy_(weights[name])
            if f"{name}/step" in moments:
                state = {kind: moments[f"{name}/{kind}"].to(parameter.device) for kind in _MOMENTS}
                optimizer.state[parameter] = state
        return read_progress(path)
    except Exception as error:
        raise PolysemeError(
            f"The checkpoint {path} cannot be read ({type(error).__name__}: {error}). Remove that folder to continue "
            "from the previous one, or name another --out to start again."
        ) from error


def _write_progress(path: Path, progress: TrainingProgress) -> None:
    temporary = path / "progress.json.tmp"
    temporary.write_text(json.dumps(asdict(progress)) + "\n", "utf-8")
    temporary.replace(path / "progress.json")


def read_progress(path: Path) -> TrainingProgress:
    """Return the progress stored in a checkpoint."""
    stored = json.loads((path / "progress.json").read_text("utf-8"))
    stored["log"] = [StepLog(**entry) for entry in stored["log"]]
    return TrainingProgress(**stored)
