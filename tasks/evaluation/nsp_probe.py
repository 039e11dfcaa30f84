"""A probe of Next Sentence Prediction: pairs of single sentences, and accuracy, AUC and calibration on them.

True pairs are neighbours in one paragraph. Negatives are of three kinds: the second sentence is from another document
(topic helps) or from elsewhere in the same document (topic helps little), or the pair is reversed (order alone).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Ints
from polyseme.tasks.text.windows import SentencePairs
from polyseme.tasks.training.corpus import TrainingText

Doubles = npt.NDArray[np.float64]
_BINS = 10


@dataclass(frozen=True, slots=True)
class ProbePairs:
    """True and false pairs with the same first sentences, `(n,)` each, and the `reversed` true pairs.

    `hard` are the indices of the first sentences that have a pair in `same_document`.
    """

    true: SentencePairs
    random: SentencePairs
    same_document: SentencePairs
    reversed: SentencePairs
    hard: Ints


def probe_pairs(text: TrainingText, count: int, seed: int) -> ProbePairs:
    """Draw up to `count` true pairs of `text` with their negatives, the same for the same seed."""
    random = np.random.default_rng(seed)
    joints = text.joints()
    first = np.sort(random.permutation(joints)[:count])
    elsewhere = random.choice(joints, len(first)) + 1
    while (same := text.document[elsewhere] == text.document[first]).any():
        elsewhere[same] = random.choice(joints, int(same.sum())) + 1
    drawn = [_same_document(text, joints, sentence, random) for sentence in first.tolist()]
    hard = np.array([i for i, other in enumerate(drawn) if other is not None], np.int64)
    others = np.array([other for other in drawn if other is not None], np.int64)
    return ProbePairs(
        SentencePairs(first, first + 1),
        SentencePairs(first, elsewhere),
        SentencePairs(first[hard], others),
        SentencePairs(first + 1, first),
        hard,
    )


def nsp_figures(margins: dict[str, Doubles], hard: Ints) -> dict[str, float | None]:
    """Return figures between 0 and 1 from the margins of `true`, `random`, `same_document` and `reversed` pairs.

    Accuracy (margin above 0 or not) and AUC for each kind of negatives, calibration over true and random pairs and
    over true pairs and all three kinds, each kind of the same weight and all of them as much as the true pairs.
    Figures that need `same_document` pairs are None if there are none: every document is too short.
    """
    true, random, near, swapped = (margins[name] for name in ("true", "random", "same_document", "reversed"))
    return {
        "nsp_accuracy": _accuracy(true, random),
        "nsp_auc": _auc(true, random),
        "nsp_calibration_error": _calibration(true, [random]),
        "nsp_hard_accuracy": _accuracy(true[hard], near) if len(hard) else None,
        "nsp_hard_auc": _auc(true[hard], near) if len(hard) else None,
        "nsp_swapped_accuracy": _accuracy(true, swapped),
        "nsp_swapped_auc": _auc(true, swapped),
        "nsp_kinds_calibration_error": _calibration(true, [random, near, swapped]) if len(hard) else None,
        "order_accuracy": order_accuracy(true, swapped),
    }


def order_accuracy(true: Doubles, swapped: Doubles) -> float:
    """Return the share of pairs, `(pairs,)` in both, whose true order has the higher score; chance is 0.5."""
    return float((true > swapped).mean())


def calibration_error(margins: Doubles, is_next: Doubles, weights: Doubles) -> float:
    """Return the expected calibration error of P(is next) in ten bins; 0 is perfect.

    It is |predicted probability - observed share| of each bin, averaged over the bins by their total weight.
    """
    predicted = 1 / (1 + np.exp(-np.clip(margins, -700, 700)))
    bins = np.minimum((predicted * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=weights * (predicted - is_next), minlength=_BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def _calibration(true: Doubles, negatives: Sequence[Doubles]) -> float:
    """Return the calibration error if half of the pairs are true and each kind of negatives is as frequent."""
    groups = [true, *negatives]
    sizes = [len(group) for group in groups]
    shares = np.array([1, *(1 / len(negatives) for _ in negatives)]) / sizes
    is_next = np.repeat([1.0, *(0.0 for _ in negatives)], sizes)
    return calibration_error(np.concatenate(groups), is_next, np.repeat(shares, sizes))


def _same_document(text: TrainingText, joints: Ints, first: int, random: np.random.Generator) -> int | None:
    """Draw a sentence of `first`'s document that is not the one before it or one of the next two; None without one."""
    low, high = np.searchsorted(text.document, [text.document[first], text.document[first] + 1])
    inside = joints[np.searchsorted(joints, low) : np.searchsorted(joints, high)] + 1
    far = inside[(inside < first - 1) | (inside > first + 2)]
    return int(random.choice(far)) if len(far) else None


def _accuracy(true: Doubles, false: Doubles) -> float:
    return float(((true > 0).mean() + (false <= 0).mean()) / 2)


def _auc(true: Doubles, false: Doubles) -> float:
    from sklearn.metrics import roc_auc_score  # only here: training imports this module, and does without

    label = np.repeat([1, 0], [len(true), len(false)])
    return float(roc_auc_score(label, np.concatenate([true, false])))
