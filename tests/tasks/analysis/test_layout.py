"""On a map what is alike is near, every vector has a place of its own, and no other vector moves it."""

from __future__ import annotations

import numpy as np
import pytest

from polyseme.tasks.analysis.layout import Keys, Landmarks, lay_landmarks, mixed, place
from polyseme.tasks.arrays import Floats, unit


def vectors(rows: int, *, groups: int = 4, seed: int = 0) -> tuple[Floats, np.ndarray]:
    """Vectors of length 1 in 32 dimensions around one direction per group, and the groups."""
    random = np.random.default_rng(seed)
    group = np.arange(rows) % groups
    return unit((np.eye(32)[group] * 4 + 0.4 * random.standard_normal((rows, 32))).astype(np.float32)), group


def keys(rows: int) -> Keys:
    return mixed(np.full(rows, 7, np.uint64), np.arange(rows))


@pytest.fixture(scope="module")
def landmarks() -> Landmarks:
    return lay_landmarks(vectors(200)[0])


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 50])
def test_any_number_of_vectors_has_a_map(rows: int) -> None:
    found = place(vectors(rows)[0], lay_landmarks(vectors(rows)[0]), keys(rows))
    assert found.shape == (rows, 2)
    assert np.isfinite(found).all()
    assert len(np.unique(found, axis=0)) == rows


def test_no_vectors_have_no_places(landmarks: Landmarks) -> None:
    assert place(np.empty((0, 32), np.float32), landmarks, keys(0)).shape == (0, 2)


def test_the_same_vectors_get_the_same_places(landmarks: Landmarks) -> None:
    again = lay_landmarks(vectors(200)[0])
    assert (again.place == landmarks.place).all()
    assert np.abs(landmarks.place).max() == pytest.approx(1)


def test_what_is_alike_is_near(landmarks: Landmarks) -> None:
    new, group = vectors(400, seed=1)
    found = place(new, landmarks, keys(400))
    centres = np.stack([found[group == g].mean(axis=0) for g in range(4)])
    nearest = np.linalg.norm(found[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == group).mean() > 0.99


def test_a_landmark_is_near_its_own_place(landmarks: Landmarks) -> None:
    moved = np.linalg.norm(place(landmarks.unit, landmarks, keys(200)) - landmarks.place, axis=1)
    assert np.median(moved) < landmarks.spacing
    assert moved.max() < 5 * landmarks.spacing


def test_equal_vectors_land_together_but_not_on_each_other(landmarks: Landmarks) -> None:
    found = place(np.repeat(vectors(1)[0], 30, axis=0), landmarks, keys(30))
    assert len(np.unique(found, axis=0)) == 30
    assert np.linalg.norm(found - found.mean(axis=0), axis=1).max() < landmarks.spacing


def test_a_place_depends_on_no_other_vector(landmarks: Landmarks) -> None:
    new, _ = vectors(300, seed=2)
    whole, part = place(new, landmarks, keys(300)), place(new[100:150], landmarks, keys(300)[100:150])
    assert np.abs(whole[100:150] - part).max() < 1e-4


def test_equal_vectors_and_zeros_are_no_error() -> None:
    for rows in (np.ones((40, 8), np.float32), np.zeros((40, 8), np.float32)):
        assert np.isfinite(place(unit(rows), lay_landmarks(rows), keys(40))).all()


def test_keys_are_spread_evenly() -> None:
    found = keys(10_000)
    assert len(np.unique(found)) == 10_000
    assert abs(float((found >> np.uint64(32)).astype(np.float64).mean()) / 2**32 - 0.5) < 0.02
