"""Vectors of a few texts: those that a lake would store, from any number of texts."""

from __future__ import annotations

import numpy as np

from polyseme.tasks.engine import Engine
from polyseme.tasks.inference.vectors import text_vectors, word_in_text_vectors


def test_no_texts_have_no_vectors(mini: Engine) -> None:
    assert text_vectors(mini, []).shape == (0, 384)
    assert word_in_text_vectors(mini, []) == []


def test_a_text_has_the_same_vector_alone_and_among_others(mini: Engine) -> None:
    texts = ["The river left its bank.", "", "Rain fell.", "The bank refused the loan, and its manager said so."]
    together = text_vectors(mini, texts)
    for text, vector in zip(texts, together, strict=True):
        assert np.array_equal(text_vectors(mini, [text])[0], vector)


def test_a_word_has_another_vector_in_another_text_and_none_where_it_is_not(mini: Engine) -> None:
    river, vault, none = word_in_text_vectors(
        mini, [("They sat on the river bank.", "bank"), ("The bank lent money.", "Bank"), ("Rain fell.", "bank")]
    )
    assert none is None
    assert river is not None
    assert vault is not None
    assert not np.array_equal(river, vault)
