"""Pictures of every kind for tests, with a title that is no formula, no markup and no command to a terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from polyseme.flows.pictures.coherence_curve import coherence_curve
from polyseme.flows.pictures.loss_curve import loss_curve
from polyseme.flows.pictures.picture import Picture
from polyseme.flows.pictures.sense_map import sense_map
from polyseme.flows.pictures.sense_shares import sense_shares
from polyseme.tasks.training.checkpoints import StepLog, TrainingProgress

LOG = StepLog(step=1, mlm=4.0, nsp=0.7, order=0.6, drift=0.0, sentence_drift=0.1, rate=1e-4, tokens=100, seconds=2.0)
EVALUATION = {"step": 0, "mlm_top1": 0.3, "nsp_accuracy": 0.9}
TITLE = "$50 & <b>more</b> \u202e银行\x07"


def occurrence(sense: int, place: float) -> dict[str, Any]:
    return {"x": place, "y": -place, "sense": sense, "word": "bank", "text_before": "the ", "text_after": " was",
            "doc_id": "d", "sentence_index": 0}  # fmt: skip


def senses() -> Picture:
    groups = [{"sense": s, "size": 4, "neighbours": near} for s, near in ((1, ["river", "water"]), (2, []))]
    return sense_map(TITLE, [occurrence(1 + i % 2, i / 8) for i in range(8)], groups)


def coherence(**margins: float | None) -> Picture:
    values = {"margin": 2.0, "order_margin": 0.5} | margins
    return coherence_curve(TITLE, [{"sentence_index": i, "is_break": i == 3, **values} for i in range(9)])


def shares() -> Picture:
    slices = [("1800–1850", [0.25, 0.75], 4), ("1850–1900", [1.0], 1200)]
    return sense_shares(TITLE, [{"slice": name, "shares": parts, "occurrences": n} for name, parts, n in slices])


def losses() -> Picture:
    logs = [replace(LOG, step=i, mlm=4 - i / 100) for i in range(1, 31)]
    return loss_curve(TrainingProgress(log=logs, evaluations=[EVALUATION]), title=TITLE)
