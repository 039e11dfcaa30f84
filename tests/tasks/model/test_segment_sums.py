"""Sentence vectors from sums on the device equal those from token vectors that were copied back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from polyseme.storage.records import Context, Pooling
from polyseme.tasks.encode.pooling import sentence_vectors
from polyseme.tasks.engine import Engine
from polyseme.tasks.model.segment_sums import Segments, SentencePooling, pooled
from polyseme.tasks.text.windows import (
    SentencePairs,
    Windows,
    context_windows,
    paired_context_windows,
    sentence_windows,
)
from tests.frames import CASED
from tests.reference import TOLERANCE

PTR = np.array([0, 7, 12, 12, 29, 60, 61, 180], dtype=np.int64)
IDS = np.random.default_rng(0).integers(5, 140, 180).astype(np.int32)
NEAR = SentencePairs(np.array([0, 1, 3, 4, 5]), np.array([1, 2, 4, 5, 6]))
"""Neighbours in sentences of which one is empty, one has a single token, and one needs several windows of 37."""


def windows_for(context: Context) -> Windows:
    if context == "sentence":
        return sentence_windows(PTR, range(7), 37, CASED)
    if context == "window":
        return context_windows(PTR, [(0, 3), (3, 7)], 37, np.zeros(7, np.uint64), CASED)
    return paired_context_windows(PTR, NEAR, 7, 37, CASED)[0]


@pytest.mark.parametrize("context", ["sentence", "window", "pair"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_sentences_are_the_same_as_from_tokens(foreign: Engine, context: Context, pooling: Pooling) -> None:
    windows, encoder = windows_for(context), foreign.encoder
    pairs = 5 if context == "pair" else 0
    tokens = encoder.encode(IDS, windows, sentences=7, pairs=pairs)
    found, logits = encoder.encode_sentences(IDS, windows, sentence_ptr=PTR, pooling=pooling, pairs=pairs)
    np.testing.assert_array_equal(logits, tokens.logits)
    np.testing.assert_allclose(found, sentence_vectors(tokens, PTR, pooling), atol=TOLERANCE)


def test_segments_cover_every_row_and_special_tokens_belong_to_their_sentence() -> None:
    windows = sentence_windows(PTR, [0, 1], 37, CASED)
    source = np.array([-1, *range(7), -1, -1, *range(7, 12), -1])
    segments = SentencePooling(windows, PTR, "mean").segments(np.array([0, 1]), source)
    assert segments.sentence.tolist() == [0, 1]
    assert segments.lengths.tolist() == [9, 7]
    assert (segments.weights == 1).all()

    segments = SentencePooling(windows, PTR, "cls").segments(np.array([0, 1]), source)
    assert segments.sentence.tolist() == [0, -1, 1, -1]
    assert segments.lengths.tolist() == [1, 8, 1, 6]


def test_the_special_tokens_of_several_windows_of_a_sentence_are_averaged() -> None:
    windows = sentence_windows(np.array([0, 50], dtype=np.int64), [0], 37, CASED)
    source = np.concatenate([[-1, *range(a, b), -1] for a, b in zip(windows.a_start, windows.a_stop, strict=True)])
    segments = SentencePooling(windows, np.array([0, 50]), "mean").segments(np.arange(len(windows)), source)
    kept = np.repeat(segments.sentence, segments.lengths) == 0
    assert len(windows) == 2
    assert segments.weights[kept].sum() == pytest.approx(50 + 2)


def test_sums_are_of_each_segment_in_float32() -> None:
    rows = torch.arange(10, dtype=torch.bfloat16).reshape(5, 2)
    weights = np.array([1, 0.5, 1, 1, 1], dtype=np.float32)
    sentence, added = pooled(rows, Segments(np.array([3, -1, 0]), np.array([2, 1, 2]), weights), "mean")
    assert sentence.tolist() == [3, 0]
    assert added.dtype == torch.float32
    assert added.tolist() == [[0 + 1, 1 + 1.5], [6 + 8, 7 + 9]]


def test_pairs_give_vectors_without_being_scored(foreign: Engine) -> None:
    vectors, logits = foreign.encoder.encode_sentences(IDS, windows_for("pair"), sentence_ptr=PTR, pooling="mean")
    assert logits.shape == (0, 3)
    assert np.isfinite(vectors[[0, 1, 3, 4, 5, 6]]).all()
