"""Search: sentences are drawn alike from every document, and find those of their own document or do not."""

from __future__ import annotations

import numpy as np
import pytest

from polyseme.storage.records import Document
from polyseme.tasks.engine import Engine
from polyseme.tasks.evaluation.neighbour_probe import draw_sentences, neighbour_figures
from polyseme.tasks.training.corpus import prepare
from tests.tasks.training.training_corpus import documents

NONE = {"article_first": None, "article_precision": None}


def test_up_to_eight_sentences_of_medium_length_are_drawn_from_each_document(mini: Engine) -> None:
    text = prepare(documents(12), mini.wordpiece)
    drawn = draw_sentences(text, 5, seed=1)
    lengths = np.diff(text.sentence_ptr)[drawn]
    _, counts = np.unique(text.document[drawn], return_counts=True)
    assert len(counts) == 5
    assert 2 <= counts.min() <= counts.max() <= 8
    assert 8 <= lengths.min() <= lengths.max() <= 64
    assert (np.diff(drawn) > 0).all()
    assert draw_sentences(text, 5, seed=1).tolist() == drawn.tolist()
    assert draw_sentences(text, 5, seed=2).tolist() != drawn.tolist()


def test_a_document_with_one_usable_sentence_is_left_out(mini: Engine) -> None:
    alone = Document("alone", "file:///alone", "The ferry had not left the harbour when the storm began. It rained.")
    text = prepare([alone, *documents(2)], mini.wordpiece)
    assert 0 not in text.document[draw_sentences(text, 3, seed=0)]


def test_figures_of_neighbours_worked_out_by_hand() -> None:
    angles = np.radians([0, 10, 25, 90, 99])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = neighbour_figures(vectors * np.array([[1], [5], [1], [2], [1]], np.float32), np.array([0, 0, 1, 1, 1]))
    assert found["article_first"] == 4 / 5
    # The sentence at 25 degrees finds its document third and fourth; every other one finds all of its own in front,
    # but those at 90 and 99 have the one at 25 next.
    assert found["article_precision"] == pytest.approx((1 + 1 + (1 / 3 + 2 / 4) / 2 + 1 + 1) / 5)


def test_a_vector_of_zeros_is_a_neighbour_of_none_and_no_error() -> None:
    vectors = np.array([[1, 0], [1, 0.1], [0, 0], [0, 1]], np.float32)
    assert neighbour_figures(vectors, np.array([0, 0, 1, 1]))["article_first"] == 0.5


def test_one_document_or_sentences_without_another_of_theirs_have_no_figures() -> None:
    vectors = np.eye(4, dtype=np.float32)
    assert neighbour_figures(vectors, np.zeros(4, np.int64)) == NONE
    assert neighbour_figures(vectors, np.arange(4)) == NONE
    assert neighbour_figures(vectors[:0], np.arange(0)) == NONE
