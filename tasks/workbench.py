"""A model taught a corpus: what is asked for, the folder it is made in, and the stages from sources to a checkpoint.

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
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout

from storage.errors import PolysemeError, UsageError
from storage.records import Document, Precision
from tasks import vocabulary
from tasks.checkpoint import EMBEDDED, Checkpoint, find
from tasks.devices import resolve_device
from tasks.documents import ReadOptions
from tasks.held_out import answers, fixed_batches
from tasks.model_card import Made, card
from tasks.objective import Objective, ObjectiveConfig
from tasks.pretraining import Start, export, start_from, start_from_scratch
from tasks.sources import read_sources, resolve
from tasks.training import Trainer, TrainingConfig
from tasks.training_state import Progress, StepLog, latest, read_progress
from tasks.training_text import TrainingText, prepare, read, require_pairs, write
from tasks.wordpiece import WordPiece

HELD_OUT_PAIRS = 192
"""Pairs of held-out text that evaluations during training ask for."""
_HELD_OUT_MOST = 200
_EXTENDABLE = ("steps", "minutes", "checkpoint_seconds", "evaluations")
"""Settings that may change between two processes of one run: a finished one can be given more time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The size of a model trained from scratch."""

    vocabulary: int = 8000
    layers: int = 4
    hidden: int = 256
    heads: int = 4
    positions: int = 512

    def __post_init__(self) -> None:
        if min(self.layers, self.hidden, self.heads, self.positions) < 1 or self.hidden % self.heads:
            raise UsageError(f"--hidden must be a multiple of --heads, all at least 1; got {self.hidden}/{self.heads}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """What to train on which text. Plain values, so that a deployment can carry it as parameters.

    `model` is where to start; with a `shape` a new model is started from scratch instead, with a vocabulary learned
    from the sources. `held_out` is the share of documents kept out of training.
    """

    sources: list[str]
    out: str
    training: TrainingConfig
    model: str = EMBEDDED
    shape: Shape | None = None
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    reading: ReadOptions = field(default_factory=ReadOptions)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Precision | Literal["auto"] = "auto"
    held_out: float = 0.02
    limit: int | None = None

    def __post_init__(self) -> None:
        if not self.sources:
            raise UsageError("Nothing to learn from: name at least one file, folder or glob.")
        if "-" in self.sources and self.shape is not None:
            raise UsageError("Standard input can be read only once; from scratch the text is read twice. Name a file.")
        if not 0 < self.held_out < 1:
            raise UsageError(f"--held-out must lie between 0 and 1, got {self.held_out}.")
        if self.precision == "int8":
            raise UsageError("Training runs in fp32 or bf16, not int8.")


@contextmanager
def at_work(adaptation: Adaptation) -> Iterator[Bench]:
    """Open the folder an adaptation is made in, alone. Raises UsageError where it belongs to another one or is busy."""
    resolve(adaptation.sources)
    bench = Bench(adaptation)
    identity = bench.identity()
    if not bench.folder.is_dir() and bench.out.exists() and not (bench.out.is_dir() and not any(bench.out.iterdir())):
        raise UsageError(f"{bench.out} exists already and was not made by a run that can go on. Name another --out.")
    try:
        bench.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(bench.folder / "lock", timeout=0):
            bench.claim(identity)
            yield bench
    except Timeout as error:
        raise UsageError(f"Another process is training {bench.out}. Wait for it, or name another --out.") from error


class Bench:
    """The folder of one run, and the stages of its work."""

    def __init__(self, adaptation: Adaptation) -> None:
        self.adaptation = adaptation
        self.out = Path(adaptation.out)
        self.folder = self.out.with_name(f"{self.out.name}.training")
        self.checkpoints = self.folder / "checkpoints"

    def claim(self, mine: dict[str, Any]) -> None:
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
            held = _held_out(whole, self.adaptation)
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

    def train(self, between: Callable[[StepLog], None] = lambda log: None) -> Progress:
        """Train, or go on training, until the budget is spent. Needs `prepare` done.

        `between` is called after every step and may raise to stop; then the steps so far are kept.
        """
        trainer = self.trainer()
        trainer.resume()
        return trainer.run(between)

    def finish(self) -> Path:
        """Write the trained model, with its card, into `out`. Needs `train` done."""
        path = latest(self.checkpoints)
        if path is None:
            raise PolysemeError(f"Nothing was trained in {self.folder} yet. Run polyseme adapt again.")
        trainer = self.trainer()
        trainer.resume()
        export(trainer.model, self.out, tokenizer=self.tokenizer, card=card(self._made(trainer)))
        return self.out

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
            return answers(model, held, device=device, precision=precision).scores()

        return Trainer(
            start.model, objective, asked.training, self.checkpoints, device, precision, judge, created=start.created
        )

    @property
    def progress(self) -> Progress | None:
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

    def identity(self) -> dict[str, Any]:
        """Return everything that decides what the run makes, as plain JSON values."""
        settings = asdict(self.adaptation)
        for name in _EXTENDABLE:
            del settings["training"][name]
        del settings["out"], settings["reading"], settings["device"]
        flat = {**settings.pop("training"), **settings.pop("objective"), **settings}
        start = None if self.adaptation.shape else self.start.sha256
        return {**flat, "sources": [str(Path(s).resolve()) for s in self.adaptation.sources], "start_sha256": start}

    def _text(self, name: str) -> TrainingText | None:
        return read(self.folder / name)

    def _prepared(self, name: str) -> TrainingText:
        text = self._text(name)
        if text is None:
            raise PolysemeError(f"The text in {self.folder} is not prepared. Run polyseme adapt again.")
        return text

    def _made(self, trainer: Trainer) -> Made:
        return Made(
            name=self.out.name,
            start=None if self.adaptation.shape else self.start.label,
            created=trainer.created,
            parameters=sum(p.numel() for p in trainer.model.parameters()),
            documents=self.text.n_documents,
            text_tokens=self.text.n_tokens,
            held_out_documents=self.held_out.n_documents,
            settings={**asdict(self.adaptation.training), **asdict(self.adaptation.objective)},
            precision=trainer.precision,
            device=trainer.device.type,
            progress=trainer.progress,
        )


def _held_out(text: TrainingText, asked: Adaptation) -> Any:
    """Return which documents stay out of training, True for those: drawn by the seed, two at least, 200 at most."""
    n = text.n_documents
    if n < 4:
        raise UsageError(
            f"The sources hold {n} documents; at least 4 are needed, two of them to measure on. Give one document a "
            "file or a record."
        )
    count = int(np.clip(round(n * asked.held_out), 2, min(_HELD_OUT_MOST, n - 2)))
    held = np.zeros(n, bool)
    held[np.random.default_rng(asked.objective.seed).permutation(n)[:count]] = True
    return held
