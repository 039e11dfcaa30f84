"""The workspace of an adaptation: its folder, and the stages from sources to a trained checkpoint with a model card.

    adaptation = Adaptation(sources=["notes/"], out="my-model", training=TrainingConfig(minutes=30))
    with open_workspace(adaptation) as workspace:
        workspace.prepare(); workspace.train(); workspace.finish()

Beside the folder `out`, `out.training` holds the tokenized text and the checkpoints. A finished stage is not repeated,
so running the same adaptation again continues where it stopped.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.files.durable import write_atomically
from polyseme.storage.records import Document
from polyseme.tasks.adaptation.checks import check, training_folder
from polyseme.tasks.adaptation.model_card import TrainingRecord, card
from polyseme.tasks.adaptation.models import Models
from polyseme.tasks.adaptation.request import Adaptation
from polyseme.tasks.evaluation.comparison import COMPARISON_FILE, Comparison, compare, read_comparison
from polyseme.tasks.evaluation.evaluation import EvaluationConfig, OnBatch
from polyseme.tasks.model.batch_pool import cores
from polyseme.tasks.model.devices import hardware, resolve_device
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources
from polyseme.tasks.training import vocabulary
from polyseme.tasks.training.checkpoints import StepLog, TrainingProgress, latest, read_progress
from polyseme.tasks.training.corpus import TrainingText, held_out, read, require_pairs, write
from polyseme.tasks.training.corpus_processes import prepare_in_processes
from polyseme.tasks.training.export import export
from polyseme.tasks.training.network import vector_layer
from polyseme.tasks.training.objective import Objective
from polyseme.tasks.training.trainer import Trainer
from polyseme.tasks.training.validation import fixed_batches, validate

HELD_OUT_PAIRS = 192
"""Pairs of held-out text in each evaluation during training."""
_LEAST_PAIRS, _MOST_PAIRS = 50, 500
"""Bounds of the evaluation of a finished model: a pair per second of training takes a quarter of its time (2 cores)."""


@contextmanager
def open_workspace(adaptation: Adaptation) -> Iterator[Workspace]:
    """Open and lock the workspace of an adaptation.

    Raises UsageError if it is locked, has other settings, or no step could be taken with them, ModelError if a model is
    not available.
    """
    workspace = Workspace(adaptation, check(adaptation))
    identity = adaptation.identity(*workspace.models.fingerprints)
    try:
        workspace.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(workspace.folder / "lock", timeout=0):
            workspace.check_settings(identity)
            yield workspace
    except Timeout as error:
        raise UsageError(f"Another process is training {workspace.out}. Wait for it, or name another --out.") from error


class Workspace:
    """The folder of one run, and the stages of the run."""

    def __init__(self, adaptation: Adaptation, models: Models) -> None:
        self.adaptation, self.models = adaptation, models
        self.out = Path(adaptation.out)
        self.folder = training_folder(self.out)
        self.checkpoints = self.folder / "checkpoints"

    def check_settings(self, settings: dict[str, Any]) -> None:
        """Store `settings` in a new run; raise UsageError if an existing run has others."""
        path = self.folder / "run.json"
        if not path.is_file() or self._text("held-out") is None:
            # Nothing was prepared yet that depends on the settings.
            shutil.rmtree(self.folder / "tokenizer", ignore_errors=True)
            path.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
            return
        stored = json.loads(path.read_text("utf-8"))
        if any(name not in stored for name in settings):
            raise UsageError(
                f"{self.folder} holds a run that an earlier version of Polyseme began. Name another --out, or remove "
                "that folder."
            )
        changed = [name for name in settings if settings[name] != stored[name]]
        if changed:
            raise UsageError(
                f"{self.folder} holds a run with other settings ({', '.join(changed)}: {stored[changed[0]]} there, "
                f"{settings[changed[0]]} now). Repeat them to continue it, name another --out, or remove that folder."
            )

    def prepare(self) -> dict[str, int]:
        """Read, split and tokenize the sources once. Return counts of the text to train on.

        Raises UsageError if there is too little text, ModelError if the checkpoint is not available.
        """
        if self._text("text") is None or self._text("held-out") is None:
            # The held-out text is written last: if it is there, both are complete.
            if self.adaptation.shape is not None and not (self.folder / "tokenizer" / "tokenizer.json").is_file():
                vocabulary.learn(
                    (d.text for d in self._documents()),
                    self.folder / "tokenizer",
                    size=self.adaptation.shape.vocabulary,
                )
            text = prepare_in_processes(self._documents(), self.models.tokenizer, cores())
            chosen = held_out(text, self.adaptation.held_out, seed=self.adaptation.objective.seed)
            training, validation = text.only(~chosen), text.only(chosen)
            require_pairs(training, "text to train on")
            require_pairs(validation, "held-out text")
            write(training, self.folder / "text")
            write(validation, self.folder / "held-out")
        training, validation = self.text, self.held_out
        return {
            "documents": training.n_documents,
            "tokens": training.n_tokens,
            "pairs": len(training.joints()),
            "held_out_documents": validation.n_documents,
        }

    def train(self, on_step: Callable[[StepLog], None] = lambda log: None) -> TrainingProgress:
        """Train, or continue training, until the budget is spent. Requires `prepare`.

        `on_step` is called after every step and may raise to stop; the steps so far are kept.
        """
        trainer = self.trainer()
        trainer.resume()
        return trainer.run(on_step)

    def finish(self, on_batch: OnBatch = lambda tokens: None) -> Path:
        """Write the trained model into `out`, then evaluate it for its card. Requires `train`.

        A comparison of the same step is not repeated, so a card is cheap to rewrite. `on_batch` is called with the
        number of tokens of every batch and may raise to stop: the model is written by then.
        """
        if self.progress is None:
            raise PolysemeError(f"Nothing was trained in {self.folder} yet. Run polyseme adapt again.")
        trainer = self.trainer()
        trainer.resume()
        record = self._record(trainer)
        comparison = self.comparison
        export(trainer.model, self.out, tokenizer=self.models.tokenizer, card=card(record, comparison))
        del trainer  # two more models are loaded now
        comparison = comparison or self._compare(record.progress, on_batch)
        if comparison is not None:
            write_atomically(self.folder / COMPARISON_FILE, comparison.to_json())
            write_atomically(self.out / COMPARISON_FILE, comparison.to_json())
            write_atomically(self.out / "README.md", card(record, comparison))
        return self.out

    @property
    def comparison(self) -> Comparison | None:
        """The stored comparison of the run's newest step with the current settings; None if there is none."""
        if (progress := self.progress) is None:
            return None
        return read_comparison(self.folder, step=progress.step, config=self._evaluation_config(progress))

    def _evaluation_config(self, progress: TrainingProgress) -> EvaluationConfig:
        pairs = self.adaptation.evaluation_pairs
        if pairs is None:
            pairs = min(max(round(progress.seconds), _LEAST_PAIRS), _MOST_PAIRS)
        return EvaluationConfig(
            probe_pairs=pairs, masked_pairs=max(1, pairs // 2), max_tokens=self.adaptation.objective.max_tokens
        )

    def _compare(self, progress: TrainingProgress, on_batch: OnBatch) -> Comparison | None:
        adaptation, config = self.adaptation, self._evaluation_config(progress)
        if not config.probe_pairs:
            return None
        return compare(
            None if adaptation.shape else adaptation.model, self.out, self.held_out,
            step=progress.step, config=config, device=adaptation.device, on_batch=on_batch,
        )  # fmt: skip

    def trainer(self) -> Trainer:
        """Return the run's trainer before its first step."""
        adaptation = self.adaptation
        device, precision = resolve_device(adaptation.device, adaptation.precision)
        start = self.models.network()
        objective = Objective(self.text, self.models.wordpiece, adaptation.objective, pairs=adaptation.training.pairs)
        batches = fixed_batches(
            Objective(self.held_out, self.models.wordpiece, adaptation.objective, pairs=32),
            pairs=HELD_OUT_PAIRS,
            size=16,
        )

        def evaluate(model: Any) -> dict[str, float]:
            return validate(model, batches, device=device, precision=precision).scores()

        return Trainer(
            start.model, objective, adaptation.training, self.checkpoints, device, precision, evaluate,
            created=start.created, teacher=self.models.teacher_network(),
        )  # fmt: skip

    @property
    def progress(self) -> TrainingProgress | None:
        """The progress of the run at its newest checkpoint; None before the first."""
        path = latest(self.checkpoints)
        return None if path is None else read_progress(path)

    @property
    def text(self) -> TrainingText:
        """The prepared text to train on. Raises PolysemeError before `prepare`."""
        return self._prepared("text")

    @property
    def held_out(self) -> TrainingText:
        """The prepared text held out of training. Raises PolysemeError before `prepare`."""
        return self._prepared("held-out")

    def _documents(self) -> Iterator[Document]:
        items = read_sources(resolve(self.adaptation.sources), self.adaptation.reading, stdin=sys.stdin.buffer)
        return islice((item for item in items if isinstance(item, Document)), self.adaptation.limit)

    def _text(self, name: str) -> TrainingText | None:
        return read(self.folder / name)

    def _prepared(self, name: str) -> TrainingText:
        text = self._text(name)
        if text is None:
            raise PolysemeError(f"The text in {self.folder} is not prepared. Run polyseme adapt again.")
        return text

    def _record(self, trainer: Trainer) -> TrainingRecord:
        adaptation = self.adaptation
        network: dict[str, Any] = {"order_head": adaptation.order_head}
        if not adaptation.shape:
            teacher = None if self.models.teacher is None else self.models.teacher.label
            network |= {"teacher": teacher, "blend": adaptation.blend, "add_layers": adaptation.add_layers}
        return TrainingRecord(
            name=self.out.name,
            start=None if adaptation.shape else self.models.start.label,
            created=trainer.created,
            parameters=sum(p.numel() for p in trainer.model.parameters()),
            layers=int(trainer.model.config.num_hidden_layers),
            vector_layer=vector_layer(trainer.model),
            documents=self.text.n_documents,
            text_tokens=self.text.n_tokens,
            held_out_documents=self.held_out.n_documents,
            settings={**asdict(adaptation.training), **asdict(adaptation.objective), **network},
            precision=trainer.precision,
            hardware=hardware(trainer.device),
            progress=trainer.progress,
            license=adaptation.license,
            data_note=adaptation.data_note,
        )
