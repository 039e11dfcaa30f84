"""Train a tiny model in a process of its own, which kills itself where it is told to: `python … MODEL FOLDER WHERE`.

WHERE is `never`, `step:N` (after step N), `gradients:N` (inside step N) or `writing:N` (while the checkpoint of step N
is whole on disk but has not got its name yet).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from polyseme.tasks.training import checkpoints as training_state
from polyseme.tasks.training import trainer as training
from tests.tasks.training.small_training import trainer


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    model, folder, where = sys.argv[1:]
    kind, _, number = where.partition(":")
    made = trainer(Path(model), Path(folder), steps=8, checkpoint_seconds=0.0)
    settle, forward = training_state.replace_folder, training.forward

    def settle_or_die(temporary: Path, final: Path) -> None:
        die() if kind == "writing" and int(number) == made.progress.step else settle(temporary, final)

    def say_or_die(*words: Any) -> Any:
        return die() if kind == "gradients" and int(number) == made.progress.step + 1 else forward(*words)

    training_state.replace_folder, training.forward = settle_or_die, say_or_die
    made.resume()
    made.run(lambda log: die() if kind == "step" and int(number) == log.step else None)


if __name__ == "__main__":
    main()
