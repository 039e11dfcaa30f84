"""The workbench of an adaptation: the folder a model is made in, and the stages from sources to a checkpoint.

    adaptation = Adaptation(sources=["notes/"], out="my-model", training=TrainingConfig(minutes=30))
    with at_work(adaptation) as bench:
        bench.prepare(); bench.train(); bench.finish()

Beside the folder `out`, `out.training` holds the tokenized text and the checkpoints. A stage that was finished is not
done again, so running the same adaptation once more goes on wherever it stopped.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.files.durable import write_atomically
from polyseme.storage.records import Document
from polyseme.tasks.adaptation.model_card import TrainingRecord, card
from polyseme.tasks.adaptation.request import Adaptation
from polyseme.tasks.evaluation.comparison import COMPARISON_FILE, Comparison, compare, read_comparison
from polyseme.tasks.evaluation.evaluation import EvaluationConfig, OnBatch
from polyseme.tasks.model.checkpoint import Checkpoint, find
from polyseme.tasks.model.devices import hardware, resolve_device
from polyseme.tasks.reading.sources import read_sources, resolve
from polyseme.tasks.text.wordpiece import WordPiece
from polyseme.tasks.training import vocabulary
from polyseme.tasks.training.checkpoints import StepLog, TrainingProgress, latest, read_progress
from polyseme.tasks.training.corpus import TrainingText, held_out, prepare, read, require_pairs, write
from polyseme.tasks.training.export import export
from polyseme.tasks.training.network import Start, start_from, start_from_scratch
from polyseme.tasks.training.objective import Objective
from polyseme.tasks.training.trainer import Trainer
from polyseme.tasks.training.validation import fixed_batches, validate

HELD_OUT_PAIRS = 192
"""Pairs of held-out text that evaluations during training ask for."""
_LEAST_PAIRS, _MOST_PAIRS = 50, 500
"""What a finished model is asked: a pair a second of training costs a quarter of it, on two cores."""


@contextmanager
def open_workspace(adaptation: Adaptation) -> Iterator[Workspace]:
    """Open the folder an adaptation is made in, alone. Raises UsageError where it belongs to another one or is busy."""
    resolve(adaptation.sources)
    workspace = Workspace(adaptation)
    identity = adaptation.identity(None if adaptation.shape else workspace.start.sha256)
    if (
        not workspace.folder.is_dir()
        and workspace.out.exists()
        and not (workspace.out.is_dir() and not any(workspace.out.iterdir()))
    ):
        raise UsageError(
            f"{workspace.out} exists already and was not made by a run that can go on. Name another --out."
        )
    try:
        workspace.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(workspace.folder / "lock", timeout=0):
            workspace.check_settings(identity)
            yield workspace
    except Timeout as error:
        raise UsageError(f"Another process is training {workspace.out}. Wait for it, or name another --out.") from error


class Workspace:
    """The folder of one run, and the stages of its work."""

    def __init__(self, adaptation: Adaptation) -> None:
        self.adaptation = adaptation
        self.out = Path(adaptation.out)
        self.folder = self.out.with_name(f"{self.out.name}.training")
        self.checkpoints = self.folder / "checkpoints"

    def check_settings(self, mine: dict[str, Any]) -> None:
        """Write down what this run is; on its return, check that it is still the same."""
        path = self.folder / "run.json"
        if not path.is_file() or self._text("held-out") is None:
            # Nothing was made yet that other settings would spoil.
            shutil.rmtree(self.folder / "tokenizer", ignore_errors=True)
            path.write_text(json.dumps(mine, indent=2) + "\n", "utf-8")
            return
        there = json.loads(path.read_text("utf-8"))
        changed = [name for name in mine if mine[name] != there.get(name)]
        if changed:
            raise UsageError(
                f"{self.folder} holds a run with other settings ({', '.join(changed)}: {there.get(changed[0])} there, "
                f"{mine[changed[0]]} now). Repeat them to go on, name another --out, or remove that folder."
            )

    def prepare(self) -> dict[str, int]:
        """Read, split and tokenize the sources once. Returns what there is to learn from.

        Raises UsageError where there is too little, ModelError for a checkpoint that cannot be had.
        """
        if self._text("text") is None or self._text("held-out") is None:
            # The held-out text is written last: with it, both are whole.
            if self.adaptation.shape is not None and not (self.folder / "tokenizer" / "tokenizer.json").is_file():
                vocabulary.learn(
                    (d.text for d in self._documents()),
                    self.folder / "tokenizer",
                    size=self.adaptation.shape.vocabulary,
                )
            whole = prepare(self._documents(), self.wordpiece)
            held = held_out(whole, self.adaptation.held_out, seed=self.adaptation.objective.seed)
            train, kept = whole.only(~held), whole.only(held)
            require_pairs(train, "text to train on")
            require_pairs(kept, "held-out text")
            write(train, self.folder / "text")
            write(kept, self.folder / "held-out")
        text, kept_text = self.text, self.held_out
        return {
            "documents": text.n_documents,
            "tokens": text.n_tokens,
            "pairs": len(text.joints()),
            "held_out_documents": kept_text.n_documents,
        }

    def train(self, on_step: Callable[[StepLog], None] = lambda log: None) -> TrainingProgress:
        """Train, or go on training, until the budget is spent. Needs `prepare` done.

        `on_step` is called after every step and may raise to stop; then the steps so far are kept.
        """
        trainer = self.trainer()
        trainer.resume()
        return trainer.run(on_step)

    def finish(self, on_batch: OnBatch = lambda tokens: None) -> Path:
        """Write the trained model into `out`, then measure it for its card. Needs `train` done.

        What was measured before at the same step is not measured again, so a card is cheap to write anew. `on_batch` is
        called with the tokens of every batch and may raise to stop: the model is written by then.
        """
        if self.progress is None:
            raise PolysemeError(f"Nothing was trained in {self.folder} yet. Run polyseme adapt again.")
        trainer = self.trainer()
        trainer.resume()
        made = self._made(trainer)
        known = self.comparison
        export(trainer.model, self.out, tokenizer=self.tokenizer, card=card(made, known))
        del trainer  # two more models are loaded now
        if found := known or self._appraise(made.progress, on_batch):
            write_atomically(self.folder / COMPARISON_FILE, found.to_json())
            write_atomically(self.out / COMPARISON_FILE, found.to_json())
            write_atomically(self.out / "README.md", card(made, found))
        return self.out

    @property
    def comparison(self) -> Comparison | None:
        """What was measured of the run's newest step with today's questions; None where nothing was."""
        if (progress := self.progress) is None:
            return None
        return read_comparison(self.folder, step=progress.step, config=self._questions(progress))

    def _questions(self, progress: TrainingProgress) -> EvaluationConfig:
        asked = self.adaptation
        pairs = asked.evaluation_pairs
        if pairs is None:
            pairs = min(max(round(progress.seconds), _LEAST_PAIRS), _MOST_PAIRS)
        return EvaluationConfig(
            probe_pairs=pairs, masked_pairs=max(1, pairs // 2), max_tokens=asked.objective.max_tokens
        )

    def _appraise(self, progress: TrainingProgress, on_batch: OnBatch) -> Comparison | None:
        asked, questions = self.adaptation, self._questions(progress)
        if not questions.probe_pairs:
            return None
        return compare(
            None if asked.shape else asked.model, self.out, self.held_out,
            step=progress.step, config=questions, device=asked.device, on_batch=on_batch,
        )  # fmt: skip

    def trainer(self) -> Trainer:
        """Return the run's trainer, at its start."""
        asked = self.adaptation
        device, precision = resolve_device(asked.device, asked.precision)
        start = self._start()
        objective = Objective(self.text, self.wordpiece, asked.objective, pairs=asked.training.pairs)
        held = fixed_batches(
            Objective(self.held_out, self.wordpiece, asked.objective, pairs=32), pairs=HELD_OUT_PAIRS, size=16
        )

        def judge(model: Any) -> dict[str, float]:
            return validate(model, held, device=device, precision=precision).scores()

        return Trainer(
            start.model, objective, asked.training, self.checkpoints, device, precision, judge, created=start.created
        )

    @property
    def progress(self) -> TrainingProgress | None:
        """How far the run is by its newest checkpoint; None before the first."""
        path = latest(self.checkpoints)
        return None if path is None else read_progress(path)

    @property
    def text(self) -> TrainingText:
        return self._prepared("text")

    @property
    def held_out(self) -> TrainingText:
        return self._prepared("held-out")

    @property
    def tokenizer(self) -> Path:
        """The folder with the run's tokenizer: the start model's, or the one learned from the sources."""
        return self.folder / "tokenizer" if self.adaptation.shape else self.start.folder

    @cached_property
    def wordpiece(self) -> WordPiece:
        return WordPiece.load(self.tokenizer)

    @cached_property
    def start(self) -> Checkpoint:
        """The checkpoint to start from."""
        return find(self.adaptation.model)

    def _start(self) -> Start:
        asked, seed, dropout = self.adaptation, self.adaptation.objective.seed, self.adaptation.training.dropout
        limit = asked.shape.positions if asked.shape else self.start.max_tokens
        if asked.objective.max_tokens > limit:
            raise UsageError(f"--max-tokens is {asked.objective.max_tokens}; the model takes {limit} at most.")
        if asked.shape is None:
            return start_from(self.start, seed=seed, dropout=dropout)
        shape = {
            "vocab_size": self.wordpiece.vocab_size,
            "num_hidden_layers": asked.shape.layers,
            "hidden_size": asked.shape.hidden,
            "num_attention_heads": asked.shape.heads,
            "intermediate_size": 4 * asked.shape.hidden,
            "max_position_embeddings": asked.shape.positions,
            "pad_token_id": self.wordpiece.pad_id,
        }
        return start_from_scratch(shape, seed=seed, dropout=dropout)

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

    def _made(self, trainer: Trainer) -> TrainingRecord:
        return TrainingRecord(
            name=self.out.name,
            start=None if self.adaptation.shape else self.start.label,
            created=trainer.created,
            parameters=sum(p.numel() for p in trainer.model.parameters()),
            documents=self.text.n_documents,
            text_tokens=self.text.n_tokens,
            held_out_documents=self.held_out.n_documents,
            settings={**asdict(self.adaptation.training), **asdict(self.adaptation.objective)},
            precision=trainer.precision,
            hardware=hardware(trainer.device),
            progress=trainer.progress,
            license=self.adaptation.license,
            data_note=self.adaptation.data_note,
        )
