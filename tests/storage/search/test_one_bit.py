"""One-bit codes: an estimate of the cosine, unbiased and better the wider vectors are, the same on every machine."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from polyseme.storage.search.one_bit import Coded, Frame, estimates
from polyseme.storage.search.unit_vectors import Floats, unit_rows


def drawn(rows: int, width: int, seed: int = 0) -> Floats:
    return unit_rows(np.random.default_rng(seed).standard_normal((rows, width)) + 0.3)


@pytest.mark.parametrize("width", [1, 7, 64, 100, 384, 513, 1024])
def test_the_estimate_is_unbiased_and_its_error_falls_with_the_root_of_the_width(width: int) -> None:
    vectors = drawn(4000, width)
    frame = Frame(vectors.mean(0))
    coded = frame.encode(vectors)
    assert coded.bits.shape == (-(-width // 64), 4000)
    errors = np.concatenate(
        [estimates(frame.question(q), coded, frame).cosine - vectors @ q for q in drawn(20, width, seed=1)]
    )
    if width >= 64:  # of few dimensions the rotation has not enough to mix
        assert abs(errors.mean()) < 0.1 / np.sqrt(width)
    assert errors.std() < 1.1 / np.sqrt(width)


@pytest.mark.parametrize("width", [64, 384])
def test_the_deviation_is_that_of_the_error(width: int) -> None:
    vectors = drawn(4000, width)
    frame = Frame(vectors.mean(0))
    off: list[Floats] = []
    for question in drawn(20, width, seed=1):
        found = estimates(frame.question(question), frame.encode(vectors), frame)
        off.append((found.cosine - vectors @ question) / found.deviation)
    assert np.std(off) == pytest.approx(1, abs=0.1)
    assert np.mean(np.concatenate(off) < -2.5) < 0.01


def test_of_the_ten_nearest_of_many_the_best_estimates_have_all() -> None:
    centres = drawn(100, 128)
    vectors = unit_rows(np.repeat(centres, 50, 0) + drawn(5000, 128, seed=2) * 0.5)
    frame = Frame(vectors.mean(0))
    coded = frame.encode(vectors)
    for question in centres:
        nearest = np.argsort(-(vectors @ question))[:10]
        assert set(nearest) <= set(np.argsort(-estimates(frame.question(question), coded, frame).cosine)[:200])


def test_outlying_dimensions_do_not_decide_alone() -> None:
    vectors = drawn(4000, 256)
    vectors[:, 3] *= 30
    vectors = unit_rows(vectors)
    frame = Frame(vectors.mean(0))
    question = vectors[0]
    error = estimates(frame.question(question), frame.encode(vectors), frame).cosine - vectors @ question
    assert error.std() < 0.1


def test_codes_are_the_same_on_every_machine() -> None:
    """A change here makes the codes that users have kept wrong: give segments another format then."""
    numbers = (np.arange(3 * 384).reshape(3, 384) * 7919 % 997 - 498).astype(np.float32)
    coded = Frame(np.zeros(384, np.float32)).encode(unit_rows(numbers))
    assert hashlib.sha256(coded.bits.tobytes()).hexdigest()[:16] == "c05b8d71017c98db"


def test_a_vector_of_zeros_and_no_vector_at_all_have_codes() -> None:
    frame = Frame(drawn(10, 64).mean(0))
    question = frame.question(drawn(1, 64)[0])
    assert estimates(question, frame.encode(np.zeros((1, 64), np.float32)), frame).cosine == pytest.approx([0], abs=0.1)
    nothing = frame.encode(np.zeros((0, 64), np.float32))
    assert estimates(question, nothing, frame).cosine.tolist() == []


def test_the_codes_of_the_centre_say_its_cosine() -> None:
    centre = drawn(1, 64)[0] * np.float32(0.5)
    frame = Frame(centre)
    coded = Coded(*frame.encode(centre[None]))
    assert estimates(frame.question(drawn(1, 64, seed=3)[0]), coded, frame).cosine[0] == pytest.approx(
        centre @ drawn(1, 64, seed=3)[0], abs=1e-3
    )


def test_rows_whose_numbers_were_damaged_may_be_near() -> None:
    vectors = drawn(100, 64)
    frame = Frame(vectors.mean(0))
    bits, scale, offset, cell = frame.encode(vectors)
    scale[3], offset[7] = np.nan, np.nan
    found = estimates(frame.question(vectors[0]), Coded(bits, scale, offset, cell), frame)
    most = found.cosine + found.deviation
    assert not np.isnan(most).any()
    assert most[3] >= 1
    assert most[7] >= 1
