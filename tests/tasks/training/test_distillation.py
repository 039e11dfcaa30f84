"""Distillation: the student's sentence vectors are those of `polyseme embed`, and the teacher's its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from polyseme.tasks.encode.pooling import sentence_vectors
from polyseme.tasks.engine import Engine
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.text.windows import sentence_windows
from polyseme.tasks.training.distillation import Teacher, sentence_drift
from polyseme.tasks.training.network import start_from
from tests.frames import MINI
from tests.tasks.training.small_training import CPU, objective


def test_sentences_are_compared_as_polyseme_embeds_them(tiny_folder: Path, tiny: Engine) -> None:
    (batch,) = objective(tiny_folder).step(0, 8)
    model, other = (start_from(Checkpoint("x", tiny_folder), seed=0, add_layers=layers).model for layers in (2, 0))
    with torch.no_grad():
        other.bert.encoder.layer[-1].output.dense.weight.mul_(3)
    (apart, count) = sentence_drift(model.eval(), Teacher.of(other, CPU), batch, CPU, "fp32")
    segments = []
    for row, types, attention in zip(batch.original[::2], batch.types[::2], batch.attention[::2], strict=True):
        segments.append(row[(attention == 1) & (types == 0)])
    ptr = np.cumsum([0, *(len(segment) - 2 for segment in segments)]).astype(np.int64)
    inner = np.concatenate([segment[1:-1] for segment in segments]).astype(np.int32)
    encoded = tiny.encoder.encode(inner, sentence_windows(ptr, range(count), 64, MINI), sentences=count)
    ours = sentence_vectors(encoded, ptr, "mean")
    with torch.inference_mode():
        theirs = [other.bert(torch.from_numpy(segment)[None]).last_hidden_state[0].mean(0) for segment in segments]
    expected = 1 - torch.cosine_similarity(torch.from_numpy(ours), torch.stack(theirs))
    assert float(apart.detach()) == pytest.approx(float(expected.sum()), rel=1e-3)
