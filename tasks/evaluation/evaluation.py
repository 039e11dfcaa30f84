"""Evaluation of a model on held-out text: its vectors of sentences and words, BERT's two objectives, and speed.

The same text, seeds and masks for every model, so that two can be compared; a model with another vocabulary has other
masked tokens. Figures that need a missing head are None. Knows no files but those it is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polyseme.storage.records import Document
from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.encode.pooling import sentence_vectors
from polyseme.tasks.engine import Engine
from polyseme.tasks.evaluation.neighbour_probe import draw_sentences, neighbour_figures
from polyseme.tasks.evaluation.nsp_probe import Doubles, nsp_figures, order_accuracy, probe_pairs
from polyseme.tasks.evaluation.sense_probe import Use, sense_accuracy
from polyseme.tasks.evaluation.similarity_probe import GradedPair, similarity
from polyseme.tasks.model.devices import resolve_device
from polyseme.tasks.model.families.bert import BERT
from polyseme.tasks.shipped import shipped
from polyseme.tasks.text.windows import SentencePairs, pair_windows, sentence_windows
from polyseme.tasks.training.corpus import TrainingText, prepare, require_pairs
from polyseme.tasks.training.network import start_from
from polyseme.tasks.training.objective import Objective, ObjectiveConfig
from polyseme.tasks.training.validation import fixed_batches, validate

Figures = dict[str, float | None]
OnBatch = Callable[[int], None]

FIGURES = {
    "similarity": ("sentence similarity, rank correlation", "higher"),
    "article_first": ("document of a sentence, 1-nearest neighbour", "higher"),
    "article_precision": ("document of a sentence, average precision", "higher"),
    "senses_1nn": ("word senses, 1-nearest neighbour", "higher"),
    "mlm_top1": ("MLM top-1", "higher"),
    "mlm_top5": ("MLM top-5", "higher"),
    "mlm_loss": ("MLM loss, nats a token", "lower"),
    "nsp_accuracy": ("NSP accuracy, random negatives", "higher"),
    "nsp_auc": ("NSP AUC, random negatives", "higher"),
    "nsp_hard_accuracy": ("NSP accuracy, same document", "higher"),
    "nsp_hard_auc": ("NSP AUC, same document", "higher"),
    "nsp_swapped_accuracy": ("NSP accuracy, swapped order", "higher"),
    "nsp_swapped_auc": ("NSP AUC, swapped order", "higher"),
    "nsp_calibration_error": ("NSP calibration error, random negatives", "lower"),
    "nsp_kinds_calibration_error": ("NSP calibration error, all three kinds", "lower"),
    "order_accuracy": ("pair order accuracy", "higher"),
    "order_head_accuracy": ("pair order accuracy, order head", "higher"),
    "tokens_per_second": ("tokens a second", "higher"),
}
"""Every figure of an evaluation, in order: its label, and whether higher or lower is better."""

_TIMED_TOKENS = 10_000
"""About how many tokens the measurement of speed encodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """The size of an evaluation: `masked_pairs` of segments for MLM, `probe_pairs` of sentences for NSP.

    The sentences to search come from `probe_pairs` documents, 200 at most. All are drawn by `seed`. `max_tokens` bounds
    the pairs for MLM, of whose tokens `mask_share` are masked.
    """

    masked_pairs: int = 512
    probe_pairs: int = 1000
    max_tokens: int = 128
    mask_share: float = 0.15
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The figures of one model by the names of `FIGURES`, 1-NN accuracy by word, and counts of the data behind them."""

    model: str
    figures: Figures
    senses: dict[str, float]
    counts: dict[str, int]


def shown(name: str, value: float | None) -> str | None:
    """Return the figure `name` formatted for people; None for None."""
    if value is None:
        return None
    return f"{value:,.0f}" if name == "tokens_per_second" else f"{value:.3f}"


def default_data() -> Path:
    """Return the folder of the texts that ship with Polyseme and were written for it: no model has seen them."""
    return shipped("examples")


def evaluate(
    engine: Engine, documents: Sequence[Document], uses: Sequence[Use], config: EvaluationConfig,
    on_batch: OnBatch = lambda tokens: None, *, graded: Sequence[GradedPair] = (),
) -> Evaluation:  # fmt: skip
    """Evaluate `engine`'s model. Raises UsageError if the documents have no pairs, ModelError for a bad checkpoint.

    `uses` are the data of the word senses, `graded` of sentence similarity. `on_batch` is called with the number of
    tokens of every batch and may raise to stop.
    """
    return evaluate_text(engine, prepare(documents, engine.wordpiece), uses, config, on_batch, graded=graded)


def evaluate_text(
    engine: Engine, text: TrainingText, uses: Sequence[Use], config: EvaluationConfig,
    on_batch: OnBatch = lambda tokens: None, *, graded: Sequence[GradedPair] = (),
) -> Evaluation:  # fmt: skip
    """Evaluate `engine`'s model as `evaluate` does, on text made by its own tokenizer."""
    require_pairs(text, "evaluation text")
    chosen = draw_sentences(text, config.probe_pairs, config.seed)
    vectors = _sentence_vectors(engine, text, chosen, on_batch)
    nsp = _next_sentence(engine, text, config, on_batch)
    mlm, masked = _masked_tokens(engine, text, config, on_batch)
    senses = sense_accuracy(engine, uses, on_batch=on_batch) if uses else {}
    correct = sum(share * sum(use.word == word for use in uses) for word, share in senses.items())
    figures = {
        "similarity": similarity(engine, graded, on_batch=on_batch),
        **neighbour_figures(vectors, text.document[chosen]),
        "senses_1nn": correct / len(uses) if uses else None,
        **mlm,
        **nsp,
        "tokens_per_second": _tokens_per_second(engine, text, on_batch),
    }
    return Evaluation(
        model=engine.checkpoint.label,
        figures={name: figures.get(name) for name in FIGURES},
        senses=senses,
        counts={
            "documents": text.n_documents,
            "tokens": text.n_tokens,
            "graded_pairs": len(graded),
            "sentences": len(chosen),
            "masked_tokens": masked,
            "pairs": min(config.probe_pairs, len(text.joints())),
            "sense_uses": len(uses),
        },
    )


def _sentence_vectors(engine: Engine, text: TrainingText, chosen: Ints, on_batch: OnBatch) -> Floats:
    """Return the vectors of the `chosen` sentences, `(chosen, width)`, as `polyseme embed` stores them."""
    lengths = np.diff(text.sentence_ptr)
    wanted = np.zeros(len(lengths), bool)
    wanted[chosen] = True
    ids = np.asarray(text.ids)[np.repeat(wanted, lengths)]
    ptr = np.concatenate([[0], np.cumsum(lengths[chosen])]).astype(np.int64)
    windows = sentence_windows(ptr, range(len(chosen)), engine.spec.max_tokens, engine.frame)
    pooling = engine.spec.pooling
    encoded = engine.in_lane(
        lambda encoder: encoder.encode(
            ids, windows, sentences=len(chosen), on_batch=on_batch, sentence_ptr=ptr, pooling=pooling
        )
    )
    return engine.sentence_head(sentence_vectors(encoded, ptr, pooling))


def _masked_tokens(
    engine: Engine, text: TrainingText, config: EvaluationConfig, on_batch: OnBatch
) -> tuple[Figures, int]:
    if engine.checkpoint.family is not BERT or not engine.in_lane(lambda encoder: encoder.has_mlm):
        return {}, 0
    device, precision = resolve_device(engine.config.device, engine.config.precision)
    model = start_from(engine.checkpoint, seed=0).model.to(device).eval()
    limit = min(config.max_tokens, engine.checkpoint.max_tokens)
    objective = ObjectiveConfig(
        max_tokens=limit, mask_share=config.mask_share, same_document=0, swapped=0, seed=config.seed
    )
    batches = fixed_batches(Objective(text, engine.wordpiece, objective, pairs=32), pairs=config.masked_pairs, size=16)
    metrics = validate(model, batches, device=device, precision=precision, on_batch=on_batch)
    scores = metrics.scores()
    return {name: scores[name] for name in ("mlm_top1", "mlm_top5", "mlm_loss")}, metrics.masked


def _next_sentence(engine: Engine, text: TrainingText, config: EvaluationConfig, on_batch: OnBatch) -> Figures:
    has_nsp, has_order = engine.in_lane(lambda encoder: (encoder.has_nsp, encoder.has_order))
    if not (has_nsp or has_order):
        return {}
    probe = probe_pairs(text, config.probe_pairs, config.seed)
    ids = np.asarray(text.ids)

    def logits(pairs: SentencePairs) -> Doubles:
        windows, _ = pair_windows(text.sentence_ptr, pairs, engine.spec.max_tokens, engine.frame)
        return engine.in_lane(lambda encoder: encoder.score_pairs(ids, windows, on_batch=on_batch)).astype(np.float64)

    scores = {kind: logits(getattr(probe, kind)) for kind in ("true", "random", "same_document", "reversed")}
    figures: Figures = {}
    if has_nsp:
        figures = nsp_figures({kind: score[:, 0] - score[:, 1] for kind, score in scores.items()}, probe.hard)
    if has_order:
        figures["order_head_accuracy"] = order_accuracy(scores["true"][:, 2], scores["reversed"][:, 2])
    return figures


def _tokens_per_second(engine: Engine, text: TrainingText, on_batch: OnBatch) -> float:
    """Return the speed of encoding sentences as `polyseme embed` does, special tokens included."""
    count = int(np.searchsorted(text.sentence_ptr, _TIMED_TOKENS, side="right")) - 1
    count = max(1, min(count, len(text.document)))
    ids = np.asarray(text.ids)
    windows = sentence_windows(text.sentence_ptr[: count + 1], range(count), engine.spec.max_tokens, engine.frame)
    seconds = []
    for _ in range(2):  # the first pass warms up
        begun = time.perf_counter()
        engine.in_lane(lambda encoder: encoder.encode(ids, windows, sentences=count, on_batch=on_batch))
        seconds.append(time.perf_counter() - begun)
    return float(windows.lengths.sum() / seconds[-1])
