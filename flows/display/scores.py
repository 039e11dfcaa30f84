"""Steps between sentences by default: scored if the model has a head for it, left out with a word if it has none."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from polyseme.flows.display.terminal import note
from polyseme.storage.records import Outputs
from polyseme.tasks.engine import Engine


def without_missing_scores(engine: Engine, outputs: Outputs, *, asked: bool | None) -> Outputs:
    """Return `outputs`, without scores of steps that nobody `asked` for and the model has no head for.

    Says so on stderr, once in a process. Raises ModelError for a model that is not available.
    """
    checkpoint = engine.checkpoint
    if asked is not None or not outputs.nsp or checkpoint.scores_steps:
        return outputs
    _say(checkpoint.label, checkpoint.folder)
    return replace(outputs, nsp=False)


@cache
def _say(label: str, folder: Path) -> None:
    note(
        f"{label} has no NSP head and no sentence-order head: steps between sentences are not scored. Models that "
        "score them are BERTs with their pretraining heads, such as polyseme-mini and google-bert/bert-base-uncased."
    )
