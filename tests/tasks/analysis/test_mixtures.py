"""Mixtures have as many groups as asked for, each with its own share, the same for the same points."""

from __future__ import annotations

import numpy as np

from polyseme.tasks.analysis.mixtures import mixtures


def clouds() -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat([0, 1], [90, 10])
    points = np.eye(6)[labels] * 6 + np.random.default_rng(0).standard_normal((100, 6))
    return points.astype(np.float32), labels


def test_shares_follow_the_groups() -> None:
    points, labels = clouds()
    mixture = mixtures(points, 2)[2]
    found = mixture.nearest(points)
    assert sorted(mixture.shares.round(1)) == [0.1, 0.9]
    assert len(set(found[labels == 0])) == len(set(found[labels == 1])) == 1
    assert abs(mixture.variance - 1) < 0.2


def test_there_is_one_mixture_for_each_number() -> None:
    points, _ = clouds()
    found = mixtures(points, 5)
    assert list(found) == [2, 3, 4, 5]
    assert all(mixture.centres.shape == (k, 6) for k, mixture in found.items())
    assert all(np.isclose(mixture.shares.sum(), 1) for mixture in found.values())


def test_the_same_points_give_the_same_mixture() -> None:
    points, _ = clouds()
    assert (mixtures(points, 3)[3].centres == mixtures(points, 3)[3].centres).all()
