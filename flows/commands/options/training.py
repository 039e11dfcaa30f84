"""Options of continued pretraining: its budget, its objective, the size of a new model, and the model card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from polyseme.tasks.adaptation.request import Shape
    from polyseme.tasks.training.objective import ObjectiveConfig
    from polyseme.tasks.training.settings import TrainingConfig

TRAINING = Group("Training", sort_key=1)
OBJECTIVE = Group("Objective", sort_key=2)
NETWORK = Group("Network and teacher", sort_key=3)
SCRATCH = Group("A model from scratch", sort_key=4)
CARD = Group("Evaluation and model card", sort_key=7)


@Parameter(name="*", group=TRAINING)
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """The budget of a training run and its optimizer."""

    minutes: float | None = None
    """Minutes of training, e.g. 30; the learning rate falls to 0 by then. Held-out evaluations come on top."""

    steps: int | None = None
    """Steps of training, e.g. 2000. With steps instead of minutes the same seed gives the same losses."""

    pairs: int = 32
    """Pairs of segments in a step, a multiple of 8."""

    learning_rate: float = 1e-4
    """The peak, after a short warm-up. New heads and --scratch learn faster with 4e-4; a trained model forgets."""

    distill: float = 0.0
    """Weight of staying close to the teacher's token vectors (1 - cosine), e.g. 1: keeps word senses, takes a third
    more time."""

    distill_sentences: float = 5.0
    """Weight of staying close to the teacher's sentence vectors (1 - cosine): keeps search as good as it was, takes a
    third more time. 0 leaves it out; from scratch there is no teacher."""

    freeze_layers: int = 0
    """The lowest layers that do not move, with the embeddings below them. With all layers up to the one that vectors
    are taken from, vectors stay what they were."""

    dropout: float = 0.0
    """Share of activations that are dropped. BERT's was 0.1; with less text than a few epochs 0 learns faster."""

    checkpoint_minutes: float = 5.0
    """Minutes between two checkpoints: how much training is lost if the process is killed."""

    def config(self) -> TrainingConfig:
        """Return the trainer's settings. Raises UsageError for those that make no sense."""
        from polyseme.tasks.training.settings import TrainingConfig

        return TrainingConfig(
            steps=self.steps, minutes=self.minutes, pairs=self.pairs,
            learning_rate=self.learning_rate, dropout=self.dropout, distill=self.distill,
            distill_sentences=self.distill_sentences, freeze_layers=self.freeze_layers,
            checkpoint_seconds=60 * self.checkpoint_minutes,
        )  # fmt: skip


@Parameter(name="*", group=OBJECTIVE)
@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveOptions:
    """What a training example looks like."""

    mask_share: float = 0.15
    """Share of the tokens to mask and predict, between 0 and 1. BERT's is 0.15."""

    whole_words: Annotated[bool, Parameter(negative="")] = False
    """Mask whole words instead of single tokens."""

    max_tokens: int = 128
    """Length of a pair of segments in tokens, special tokens included."""

    max_sentences: int = 3
    """Sentences on each side of a pair: 1 to this many, within one paragraph."""

    same_document: float = 0.25
    """Share of the negative pairs whose second segment is from elsewhere in the same document. The rest, but for
    --swapped, are from another document."""

    swapped: float = 0.25
    """Share of the negative pairs that are neighbours in swapped order."""

    seed: int = 0
    """Seed of everything that is drawn at random."""

    def config(self) -> ObjectiveConfig:
        """Return the objective. Raises UsageError for settings that make no sense."""
        from polyseme.tasks.training.objective import ObjectiveConfig

        return ObjectiveConfig(
            max_tokens=self.max_tokens, max_sentences=self.max_sentences, mask_share=self.mask_share,
            whole_words=self.whole_words, same_document=self.same_document, swapped=self.swapped, seed=self.seed,
        )  # fmt: skip


@Parameter(name="*", group=NETWORK)
@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """What is trained beside the start model's own layers and heads, and what its vectors are compared with."""

    teacher: str | None = None
    """Model whose vectors are kept: a folder, a hub id or polyseme-mini. By default the start model."""

    blend: float = 0.0
    """Begin from an average of --model's and --teacher's weights with this share of the teacher's, e.g. 0.5. For two
    models trained from one start."""

    add_layers: int = 0
    """Layers to put above those of --model, for MLM and NSP alone: vectors are taken from below, at the old cost."""

    order_head: Annotated[bool, Parameter(negative="")] = False
    """Add a head that tells pairs of neighbours in order from swapped ones: the column order_margin of transitions."""


@Parameter(name="*", group=SCRATCH)
@dataclass(frozen=True, slots=True, kw_only=True)
class ScratchOptions:
    """The size of a model that starts from nothing."""

    scratch: Annotated[bool, Parameter(negative="")] = False
    """Start from random weights, with a vocabulary learned from the sources, instead of from --model."""

    vocabulary: int = 8000
    """Tokens in the vocabulary, with --scratch."""

    layers: int = 4
    """Layers of the model, with --scratch."""

    hidden: int = 256
    """Hidden size, the dimensions of a vector: a multiple of --heads, with --scratch."""

    heads: int = 4
    """Attention heads in a layer, with --scratch."""

    def shape(self) -> Shape | None:
        """Return the size of the new model; None to start from a checkpoint. Raises UsageError for one that is none."""
        from polyseme.tasks.adaptation.request import Shape

        if not self.scratch:
            return None
        return Shape(vocabulary=self.vocabulary, layers=self.layers, hidden=self.hidden, heads=self.heads)


@Parameter(name="*", group=CARD)
@dataclass(frozen=True, slots=True, kw_only=True)
class CardOptions:
    """How the finished model is evaluated, and what is added to its card."""

    held_out: float = 0.02
    """Share of the documents that are kept out of training and measured on, two at least."""

    evaluation_pairs: int | None = None
    """Pairs of sentences of each kind on which the finished model and its start are evaluated for the card; by default
    one for every second of training, at least 50 and at most 500. 0 leaves the evaluation out."""

    license: str | None = None
    """The licence under which the model may be passed on, e.g. "CC BY-SA 3.0". Goes into the card."""

    data_note: str | None = None
    """Where the text is from, in a few words, e.g. "notes of 2019 to 2024". Goes into the card."""
