"""Progress of a training run: its last steps as one line, for whoever listens in this process. Draws nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from polyseme.flows.runs.progress import announce, duration
from polyseme.storage.wording import many
from polyseme.tasks.training.checkpoints import StepLog
from polyseme.tasks.training.settings import TrainingConfig

_SMOOTHED_OVER = 50
"""Steps over which losses and speed are averaged."""


def step_reporter(config: TrainingConfig) -> Callable[[StepLog], None]:
    """Return what a trainer calls after every step."""
    recent: deque[StepLog] = deque(maxlen=_SMOOTHED_OVER)

    def report(log: StepLog) -> None:
        recent.append(log)
        share = config.share_done(log.step, log.seconds)
        announce(describe(recent, share), share)

    return report


def evaluation_reporter() -> Callable[[int], None]:
    """Return what is called with the tokens of every batch while the finished model is evaluated."""
    read = 0

    def report(tokens: int) -> None:
        nonlocal read
        read += tokens
        announce(f"evaluating the model for its card, {many(read, 'tokens')} read", 1.0)

    return report


def describe(recent: deque[StepLog], share: float) -> str:
    """Return a line about a run, from its last steps and the share of its budget that is spent."""
    mlm, nsp = (sum(getattr(log, name) for log in recent) / len(recent) for name in ("mlm", "nsp"))
    last, spent = recent[-1], recent[-1].seconds - recent[0].seconds
    rate = f", {sum(log.tokens for log in list(recent)[1:]) / spent:,.0f} tokens/s" if spent else ""
    left = last.seconds * (1 - share) / share if share else 0.0
    return f"step {last.step:,}, MLM loss {mlm:.2f}, NSP loss {nsp:.3f}{rate}, about {duration(left)} left"
