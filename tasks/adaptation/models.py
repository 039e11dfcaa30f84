"""The models of an adaptation: the start model, the teacher and the tokenizer, and whether they fit together.

PyTorch is imported once a network is made: a mistake is told before.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyseme.storage.errors import ModelError, UsageError
from polyseme.tasks.adaptation.request import Adaptation
from polyseme.tasks.model.checkpoint import Checkpoint, find
from polyseme.tasks.model.weights import load_weights
from polyseme.tasks.text.tokenizer import TextTokenizer
from polyseme.tasks.training.settings import require_layers

if TYPE_CHECKING:
    from polyseme.tasks.training.network import Start


class Models:
    """The models of one run. `learned` is the folder of the tokenizer that a model from scratch is trained with."""

    def __init__(self, adaptation: Adaptation, learned: Path) -> None:
        self.adaptation, self.learned = adaptation, learned

    def check(self) -> None:
        """Raise UsageError if model, teacher and settings do not fit together, ModelError if one is not available.

        Before any text is read: prepared text belongs to its settings, so a run that fails later must begin anew.
        """
        adaptation, max_tokens = self.adaptation, self.adaptation.objective.max_tokens
        shape, training = adaptation.shape, adaptation.training
        limit = shape.positions if shape else self.start.max_tokens
        if max_tokens > limit:
            raise UsageError(f"--max-tokens must be at most {limit}, the model's limit, got {max_tokens}.")
        own = shape.layers if shape else int(self.start.config["num_hidden_layers"])
        require_layers(own + adaptation.add_layers, training.freeze_layers)
        if (teacher := self.teacher) is None:
            return
        if teacher.width != self.start.width:
            raise UsageError(
                f"--teacher has vectors of {teacher.width} dimensions and --model of {self.start.width}; they cannot "
                "be compared. Name a teacher of the same size."
            )
        every = range(self.wordpiece.vocab_size)
        if TextTokenizer.load(teacher.folder).pieces(every) != self.wordpiece.pieces(every):
            raise UsageError(
                f"--teacher {teacher.label} has another vocabulary than --model {self.start.label}: it cannot read the "
                "same tokens. Name a teacher with the vocabulary of --model."
            )
        if training.distills and max_tokens > teacher.max_tokens:
            raise UsageError(f"--max-tokens must be at most {teacher.max_tokens}, --teacher's limit, got {max_tokens}.")

    @property
    def tokenizer(self) -> Path:
        """The folder with the run's tokenizer: the start model's, or the one trained on the sources."""
        return self.learned if self.adaptation.shape else self.start.folder

    @cached_property
    def wordpiece(self) -> TextTokenizer:
        """The tokenizer of the run."""
        return TextTokenizer.load(self.tokenizer)

    @cached_property
    def start(self) -> Checkpoint:
        """The checkpoint to start from. Raises ModelError if it is not available."""
        return find(self.adaptation.model)

    @cached_property
    def teacher(self) -> Checkpoint | None:
        """The checkpoint of `--teacher`; None if none is named. Raises ModelError if it is not available."""
        name = self.adaptation.teacher
        try:
            return None if name is None else find(name)
        except ModelError as error:
            raise ModelError(f"The model of --teacher is not available. {error}") from error

    @property
    def fingerprints(self) -> tuple[str | None, str | None]:
        """The SHA-256 of the start model and of the teacher, None if there is none."""
        start = None if self.adaptation.shape else self.start.sha256
        return start, None if self.teacher is None else self.teacher.sha256

    def network(self) -> Start:
        """Return the network before its first step."""
        from polyseme.tasks.training.network import blend, start_from, start_from_scratch

        adaptation, shape = self.adaptation, self.adaptation.shape
        seed, dropout = adaptation.objective.seed, adaptation.training.dropout
        if shape is None:
            start = start_from(
                self.start, seed=seed, dropout=dropout, add_layers=adaptation.add_layers,
                order_head=adaptation.order_head,
            )  # fmt: skip
            if adaptation.blend and self.teacher is not None:
                blend(start.model, load_weights(self.teacher).tensors, adaptation.blend)
            return start
        config = {
            "vocab_size": self.wordpiece.vocab_size,
            "num_hidden_layers": shape.layers,
            "hidden_size": shape.hidden,
            "num_attention_heads": shape.heads,
            "intermediate_size": 4 * shape.hidden,
            "max_position_embeddings": shape.positions,
            "pad_token_id": self.wordpiece.pad_id,
        }
        return start_from_scratch(config, seed=seed, dropout=dropout, order_head=adaptation.order_head)

    def teacher_network(self) -> Any:
        """Return the model whose vectors are kept; None if none are, as from scratch."""
        from polyseme.tasks.training.network import start_from

        if not self.adaptation.training.distills or self.adaptation.shape is not None:
            return None
        return start_from(self.teacher or self.start, seed=0).model
