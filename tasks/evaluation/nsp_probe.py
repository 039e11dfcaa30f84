"""Pairs of single sentences that put Next Sentence Prediction to the test, and figures of how it did.

True pairs are neighbours of one paragraph. Against them stand second sentences from another document (topic helps),
from another place of the same document (topic does not), and the true pair turned around (order alone).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from polyseme.tasks.arrays import Ints
from polyseme.tasks.text.windows import SentencePairs
from polyseme.tasks.training.corpus import TrainingText

Floats = npt.NDArray[np.float64]
_BINS = 10


@dataclass(frozen=True, slots=True)
class ProbePairs:
    """Four ways to go on from the same first sentences, `(n,)` each. `hard` names the trials that have one."""

    true: SentencePairs
    random: SentencePairs
    same_document: SentencePairs
    turned: SentencePairs
    hard: Ints


def probe_pairs(text: TrainingText, count: int, seed: int) -> ProbePairs:
    """Draw up to `count` trials from `text`, the same for the same seed."""
    random = np.random.default_rng(seed)
    joints = text.joints()
    first = np.sort(random.permutation(joints)[:count])
    elsewhere = random.choice(joints, len(first)) + 1
    while (same := text.document[elsewhere] == text.document[first]).any():
        elsewhere[same] = random.choice(joints, int(same.sum())) + 1
    found = [_same_document(text, joints, sentence, random) for sentence in first.tolist()]
    hard = np.array([i for i, other in enumerate(found) if other is not None], np.int64)
    others = np.array([other for other in found if other is not None], np.int64)
    return ProbePairs(
        SentencePairs(first, first + 1),
        SentencePairs(first, elsewhere),
        SentencePairs(first[hard], others),
        SentencePairs(first + 1, first),
        hard,
    )


def figures(margins: dict[str, Floats], hard: Ints) -> dict[str, float | None]:
    """Return shares between 0 and 1 from the margins of `true`, `random`, `same_document` and `turned` pairs.

    Calibration is the expected calibration error of P(is next) over true and random pairs, in ten bins: 0 is perfect.
    Where no document has two places far enough apart, the figures of one document are None.
    """
    true, random, near, turned = (margins[name] for name in ("true", "random", "same_document", "turned"))
    return {
        "nsp_accuracy": _accuracy(true, random),
        "nsp_auc": _auc(true, random),
        "nsp_calibration_error": calibration_error(
            np.concatenate([true, random]), np.repeat([1.0, 0.0], [len(true), len(random)])
        ),
        "nsp_hard_accuracy": _accuracy(true[hard], near) if len(hard) else None,
        "nsp_hard_auc": _auc(true[hard], near) if len(hard) else None,
        "order_accuracy": float((true > turned).mean()),
    }


def calibration_error(margins: Floats, is_next: Floats) -> float:
    """Return the mean distance between stated probability and observed share, bins weighed by what they hold."""
    stated = 1 / (1 + np.exp(-np.clip(margins, -700, 700)))
    bins = np.minimum((stated * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=stated - is_next, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(stated))


def _same_document(text: TrainingText, joints: Ints, first: int, random: np.random.Generator) -> int | None:
    """A sentence of `first`'s document that stands neither right before nor up to two after it; None without one."""
    low, high = np.searchsorted(text.document, [text.document[first], text.document[first] + 1])
    inside = joints[np.searchsorted(joints, low) : np.searchsorted(joints, high)] + 1
    far = inside[(inside < first - 1) | (inside > first + 2)]
    return int(random.choice(far)) if len(far) else None


def _accuracy(true: Floats, false: Floats) -> float:
    return float(((true > 0).mean() + (false <= 0).mean()) / 2)


def _auc(true: Floats, false: Floats) -> float:
    label = np.repeat([1, 0], [len(true), len(false)])
    return float(roc_auc_score(label, np.concatenate([true, false])))
