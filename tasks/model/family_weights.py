"""The weights of a family other than BERT: found by their names, checked against its configuration, then read.

A body may be saved under the class that has heads (`roberta.encoder…`) or alone (`encoder…`), in one file or in many.
All shapes are compared before a byte of a weight is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polyseme.storage.errors import ModelError
from polyseme.tasks.model.families.family import Config, Family, HeadName, Shapes

if TYPE_CHECKING:
    from torch import Tensor

_RENAMED = {"gamma": "weight", "beta": "bias"}
POSITIONS = "bert.embeddings.position_embeddings.weight"


@dataclass(frozen=True, slots=True)
class Located:
    """The stored names of a family's weights by BERT's names of them, and the heads that are there."""

    stored: Mapping[str, str]
    heads: frozenset[HeadName]


def locate(folder: Path, family: Family, config: Config, shapes: Shapes) -> Located:
    """Return where each weight is among the stored `shapes`. A head of another shape is missing.

    Raises ModelError if a weight of the body is missing or has another shape than `config` gives.
    """
    by_name = {current_name(name): name for name in shapes}

    def place(name: str, shape: tuple[int, ...]) -> str | None:
        own = family.spelling(name, config)
        stored = by_name.get(own, by_name.get(own.removeprefix(family.prefix)))
        return stored if stored is not None and shapes[stored] == shape else None

    wanted = family.body(config)
    found = {name: place(name, shape) for name, shape in wanted.items()}
    missing = [name for name, stored in found.items() if stored is None]
    if missing:
        first = family.spelling(missing[0], config)
        raise ModelError(
            f"{folder} lacks {len(missing)} weights of the {family.title} body, or has them in another shape than in "
            f"its config.json (first: {first}, {_expected(wanted[missing[0]])}), so its vectors would be random. "
            "Choose a complete checkpoint."
        )
    heads: set[HeadName] = set()
    tied = bool(config.get("tie_word_embeddings", True))
    for title, head in family.heads(config).items():
        there = {name: stored for name, shape in head.shapes.items() if (stored := place(name, shape)) is not None}
        if head.is_there(there.keys(), tied=tied):
            heads.add(title)
            found |= there
    return Located({name: stored for name, stored in found.items() if stored is not None}, frozenset(heads))


def read(files: Sequence[Path], family: Family, config: Config, located: Located) -> dict[str, Tensor]:
    """Return the weights as float32, by BERT's names. Raises ModelError for a file that cannot be read.

    Rows of positions that are never used are left out, so that position 0 is the first row.
    """
    import torch
    from safetensors import safe_open

    wanted = {stored: name for name, stored in located.stored.items()}
    tensors: dict[str, Tensor] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                for stored in file.keys():  # noqa: SIM118
                    if stored in wanted:
                        tensors[wanted[stored]] = file.get_tensor(stored).to(torch.float32)
        except Exception as error:
            raise ModelError(
                f"The weights in {path} could not be loaded ({type(error).__name__}: {error}). Fetch the checkpoint "
                "again or choose another."
            ) from error
    if POSITIONS in tensors:
        tensors[POSITIONS] = tensors[POSITIONS][family.first_position(config) :]
    return tensors


def current_name(name: str) -> str:
    """Return the name that a weight has since 2019: `gamma` and `beta` are from TensorFlow."""
    stem, _, kind = name.rpartition(".")
    return f"{stem}.{_RENAMED.get(kind, kind)}" if stem else name


def _expected(shape: tuple[int, ...]) -> str:
    return "expected " + " by ".join(f"{size:,}" for size in shape)
