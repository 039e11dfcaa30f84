"""Checks of an adaptation against what is there: its sources, its models and its folder. Without PyTorch.

Changes nothing and reads no text, so that a mistake is told at once.
"""

from __future__ import annotations

from pathlib import Path

from polyseme.storage.errors import UsageError
from polyseme.tasks.adaptation.models import Models
from polyseme.tasks.adaptation.request import Adaptation
from polyseme.tasks.model.device_kind import device_and_precision
from polyseme.tasks.reading.resolving import resolve


def training_folder(out: Path) -> Path:
    """Return the folder beside `out` that holds the tokenized text and the checkpoints."""
    return out.with_name(f"{out.name}.training")


def check(adaptation: Adaptation) -> Models:
    """Return the models of an adaptation. Raises UsageError if it could not be begun or continued, whatever its text.

    Raises ModelError if a model or a device is not available.
    """
    resolve(adaptation.sources)
    device_and_precision(adaptation.device, adaptation.precision)
    out = Path(adaptation.out)
    folder = training_folder(out)
    models = Models(adaptation, folder / "tokenizer")
    models.check()
    if not folder.is_dir() and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} exists already and is not from a run that can be continued. Name another --out.")
    return models
