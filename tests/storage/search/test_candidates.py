"""Candidates: more are listed for a question whose neighbours its bits say less about."""

from __future__ import annotations

import numpy as np
import pytest

from polyseme.storage.search.candidates import _listed
from polyseme.storage.search.one_bit import Frame
from polyseme.storage.search.unit_vectors import unit_rows


@pytest.mark.parametrize(("of_centre", "least", "most"), [(0, 1, 1), (1, 1, 1.5), (2, 1.5, 2.5), (4, 4, 4)])
def test_a_question_near_the_centre_has_a_longer_list_and_not_without_end(
    of_centre: float, least: float, most: float
) -> None:
    """The mean of many sentences lies there: a tenth of its neighbours is missed with a list as short as others'."""
    random = np.random.default_rng(0)
    centre, away = unit_rows(random.standard_normal((2, 384)).astype(np.float32)) * np.float32([[0.3], [1]])
    away -= centre * (away @ centre) / (centre @ centre)
    frame = Frame(centre)
    lengths = [
        _listed(1_000_000, 10, frame.question(unit_rows((away + share * centre)[None])[0]), frame)
        for share in (0, of_centre)
    ]
    assert least <= lengths[1] / lengths[0] <= most
