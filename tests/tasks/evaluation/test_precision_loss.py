"""Precision loss is measured on fixed sentences, against fp32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.evaluation import precision_loss
from polyseme.tasks.evaluation.precision_loss import PROBE_SENTENCES, measure, nearest, probe, recall
from polyseme.tasks.model.linear import runs_int8


def test_the_probe_is_the_same_distinct_sentences_at_every_call() -> None:
    sentences = probe()
    assert len(set(sentences)) == len(sentences) == PROBE_SENTENCES
    assert sentences == probe()


@pytest.mark.skipif(not runs_int8(torch.device("cpu")), reason="int8 runs on x86 CPUs")
def test_int8_keeps_token_vectors_and_neighbours_and_is_not_fp32() -> None:
    found = measure(Engine(EngineConfig(device="cpu", precision="int8")))
    assert found.sentences == PROBE_SENTENCES
    assert 0.995 <= found.token_cosine < 1
    assert 0.98 <= found.least_token_cosine < found.token_cosine
    assert 0.9 <= found.recall_at_10 <= 1


def test_queries_are_exact_vectors_and_never_find_themselves() -> None:
    exact = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32)
    stored = exact[[0, 2, 1, 3]]
    queries = np.array([0, 2])
    assert nearest(exact, exact, queries, k=1).tolist() == [[1], [3]]
    assert nearest(exact, stored, queries, k=1).tolist() == [[2], [1]]


def test_a_vector_of_zeros_is_like_no_other_and_no_error(monkeypatch: pytest.MonkeyPatch, mini: Engine) -> None:
    exact = np.array([[0, 0], [1, 0], [1, 0.1], [0, 1]], np.float32)
    assert nearest(exact, exact, np.array([0, 1]), k=1).tolist() == [[1], [2]]
    monkeypatch.setattr(precision_loss, "token_and_text_vectors", lambda engine, texts: (exact, exact[: len(texts)]))
    monkeypatch.setattr(precision_loss, "probe", lambda: ["text"] * len(exact))
    found = measure(mini)
    assert found.token_cosine == pytest.approx(0.75)
    assert found.least_token_cosine == 0
    assert found.recall_at_10 == 1


def test_recall_ignores_the_order_of_neighbours() -> None:
    assert recall(np.array([[1, 2], [3, 4]]), np.array([[2, 1], [3, 5]])) == 0.75
