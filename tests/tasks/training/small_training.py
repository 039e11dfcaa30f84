"""A training run small enough for tests: a tiny model, two dozen documents."""

from __future__ import annotations

from pathlib import Path

import torch

from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.text.tokenizer import TextTokenizer
from polyseme.tasks.training.corpus import prepare
from polyseme.tasks.training.network import start_from
from polyseme.tasks.training.objective import Objective, ObjectiveConfig
from polyseme.tasks.training.settings import TrainingConfig
from polyseme.tasks.training.trainer import Trainer
from tests.tasks.training.training_corpus import documents

CPU = torch.device("cpu")


def objective(model: Path, *, pairs: int = 8, max_tokens: int = 48) -> Objective:
    wordpiece = TextTokenizer.load(model)
    chosen = ObjectiveConfig(max_tokens=max_tokens)
    return Objective(prepare(documents(24), wordpiece), wordpiece, chosen, pairs=pairs)


def trainer(model: Path, folder: Path, *, add_layers: int = 0, **config: object) -> Trainer:
    """Return a trainer before its first step: steps of 8 pairs, in two micro-batches."""
    settings = {"steps": 4, "pairs": 8, "micro": 4, "learning_rate": 1e-3, **config}
    chosen = TrainingConfig(**settings)  # type: ignore[arg-type]
    start = start_from(Checkpoint(model.name, model), seed=0, dropout=chosen.dropout, add_layers=add_layers)
    teacher = start_from(Checkpoint(model.name, model), seed=0).model
    return Trainer(
        start.model, objective(model), chosen, folder, CPU, "fp32", lambda model: {"mlm_loss": 0.0}, teacher=teacher
    )
