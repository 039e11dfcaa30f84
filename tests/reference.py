"""What transformers itself says, one sequence at a time: the truth every encoding is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers

Floats = npt.NDArray[np.float32]

TOLERANCE = 1e-4
"""Largest difference allowed in float32, before vectors are stored as float16."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute as a batch of ours does. Several threads for so little wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Reference:
    """A checkpoint as transformers runs it: its classes, its tokenizer, its framing, never a batch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self._models: dict[str, Any] = {}

    def _model(self, name: str) -> Any:
        if name not in self._models:
            loaded = getattr(transformers, name).from_pretrained(self._folder, dtype=torch.float32)
            self._models[name] = loaded.eval()
        return self._models[name]

    def _run(self, name: str, first: Sequence[int], second: Sequence[int] | None) -> Any:
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        ids = [cls, *first, sep] + ([] if second is None else [*second, sep])
        types = [0] * (len(first) + 2) + [1] * (0 if second is None else len(second) + 1)
        with torch.inference_mode(), one_thread():
            return self._model(name)(
                torch.tensor([ids]), token_type_ids=torch.tensor([types]), output_hidden_states=True
            )

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, special ones left out."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def hidden(
        self, first: Sequence[int], second: Sequence[int] | None = None, *, last: int = 1, of: slice | None = None
    ) -> Floats:
        """(tokens, hidden), special tokens included: the mean of the `last` layers up to the vector layer.

        Or that `of` the hidden states, which begin with those of the embeddings.
        """
        config = self._model("BertModel").config
        top = getattr(config, "vector_layer", config.num_hidden_layers)
        states = self._run("BertModel", first, second).hidden_states[of or slice(top + 1 - last, top + 1)]
        mean: Floats = torch.stack(states).mean(0)[0].numpy()
        return mean

    def next_sentence(self, first: Sequence[int], second: Sequence[int]) -> Floats:
        """(2,): logits, column 0 *is next*."""
        logits: Floats = self._run("BertForNextSentencePrediction", first, second).logits[0].numpy()
        return logits

    def masked(self, ids: Sequence[int]) -> Floats:
        """(tokens, vocabulary), special tokens left out."""
        logits: Floats = self._run("BertForMaskedLM", ids, None).logits[0, 1:-1].numpy()
        return logits


@cache
def reference(folder: Path) -> Reference:
    """Return the reference for a checkpoint, loaded once a session."""
    return Reference(folder)


def assert_close(ours: npt.NDArray[Any], theirs: npt.NDArray[Any], tolerance: float = TOLERANCE) -> None:
    """Fail where any number differs by `tolerance` or more."""
    assert ours.shape == theirs.shape
    worst = float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max()) if ours.size else 0.0
    assert worst < tolerance, f"largest difference {worst:.2e}, not below {tolerance:.2e}"


def assert_stored(ours: Any, theirs: Floats, tolerance: float = TOLERANCE) -> None:
    """Fail where a stored float16 vector is further from the truth than `tolerance` and its own rounding."""
    stored = np.asarray(ours, dtype=np.float16)
    assert stored.shape == theirs.shape
    allowed = tolerance + np.spacing(np.abs(stored)).astype(np.float64) / 2
    assert (np.abs(stored.astype(np.float64) - theirs) <= allowed).all()


def ulps(ours: npt.NDArray[np.float16], theirs: npt.NDArray[np.float16]) -> npt.NDArray[np.int64]:
    """How many float16 numbers lie between two arrays, number by number."""
    steps = [a.view(np.int16).astype(np.int64) for a in (ours, theirs)]
    # Negative numbers count down in their bits, from -0 on.
    first, second = (np.where(s < 0, -32768 - s, s) for s in steps)
    distance: npt.NDArray[np.int64] = np.abs(first - second)
    return distance
