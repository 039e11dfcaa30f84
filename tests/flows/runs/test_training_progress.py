"""Progress of a training run: a line after every step, smoothed, to all who listen."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from polyseme.flows.runs.progress import listening
from polyseme.flows.runs.training_progress import describe, evaluation_reporter, step_reporter
from polyseme.tasks.training.checkpoints import StepLog
from polyseme.tasks.training.settings import TrainingConfig

LOG = StepLog(step=1, mlm=4.0, nsp=0.7, order=0.6, drift=0.0, sentence_drift=0.1, rate=1e-4, tokens=100, seconds=2.0)


def test_a_line_has_losses_speed_and_the_time_left() -> None:
    line = describe(deque([LOG, replace(LOG, step=2, seconds=4.0)]), 0.5)
    assert line == "step 2, MLM loss 4.00, NSP loss 0.700, 50 tokens/s, about 4 s left"


def test_steps_and_the_evaluation_after_them_reach_who_listens_and_nobody_later() -> None:
    heard: list[tuple[str, float | None]] = []
    report, measure = step_reporter(TrainingConfig(steps=4)), evaluation_reporter()
    with listening(lambda text, share: heard.append((text, share))):
        report(LOG)
        report(replace(LOG, step=2, mlm=2.0, seconds=4.0))
        measure(1000)
        measure(500)
    report(replace(LOG, step=3))
    assert [share for _, share in heard] == [0.25, 0.5, 1.0, 1.0]
    assert heard[1][0].startswith("step 2, MLM loss 3.00")
    assert heard[-1][0].endswith("1,500 tokens read")
