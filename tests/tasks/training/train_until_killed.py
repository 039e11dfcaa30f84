"""Train a tiny model in a process of its own that kills itself at a given point: `python … MODEL FOLDER WHERE`.

WHERE is `never`, `step:N` (after step N), `gradients:N` (inside step N) or `writing:N` (when the checkpoint of step N
is complete on disk but not yet renamed).
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
    started = trainer(Path(model), Path(folder), steps=8, checkpoint_seconds=0.0)
    replace, forward = training_state.replace_folder, training.forward

    def replace_or_die(temporary: Path, final: Path) -> None:
        die() if kind == "writing" and int(number) == started.progress.step else replace(temporary, final)

    def forward_or_die(*arguments: Any) -> Any:
        return die() if kind == "gradients" and int(number) == started.progress.step + 1 else forward(*arguments)

    training_state.replace_folder, training.forward = replace_or_die, forward_or_die
    started.resume()
    started.run(lambda log: die() if kind == "step" and int(number) == log.step else None)


if __name__ == "__main__":
    main()
