"""Groups of points as a mixture of spheres of one size, each with its own share. Knows points, not words.

K-means would fill a rare group up from a large one. The same points give the same groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polyseme.tasks.arrays import Floats, Ints

_Doubles = npt.NDArray[np.float64]
_STEPS = 50


@dataclass(frozen=True, slots=True)
class Mixture:
    """Centres `(groups, dimensions)`, the shares of the groups, the variance they have in common."""

    centres: _Doubles
    shares: _Doubles
    variance: float

    def log_densities(self, points: Floats | _Doubles) -> _Doubles:
        """Return `(points, groups)`: the logarithm of share times density."""
        squares = (points**2).sum(axis=1)[:, None] - 2 * points @ self.centres.T + (self.centres**2).sum(axis=1)
        constant = points.shape[1] * np.log(2 * np.pi * self.variance)
        densities: _Doubles = np.log(self.shares) - 0.5 * np.maximum(squares, 0) / self.variance - 0.5 * constant
        return densities

    def nearest(self, points: Floats) -> Ints:
        """Return the most likely group of each point."""
        found: Ints = self.log_densities(points).argmax(axis=1)
        return found


def mixtures(points: Floats, most: int) -> dict[int, Mixture]:
    """Return for 2 to `most` groups the likelier of two mixtures: one starts from Ward's groups, one from k-means."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from sklearn.cluster import KMeans

    exact = points.astype(np.float64)
    tree = linkage(exact, "ward")
    found = {}
    for k in range(2, most + 1):
        starts = fcluster(tree, k, "maxclust") - 1, KMeans(k, n_init=4, random_state=0).fit_predict(exact)
        fits = [_expect_and_maximise(exact, start.astype(np.int64), k) for start in starts]
        found[k] = max(fits, key=lambda fit: fit[0])[1]
    return found


def _expect_and_maximise(points: _Doubles, labels: Ints, k: int) -> tuple[float, Mixture]:
    """Return log-likelihood and mixture after EM from `labels`."""
    count, width = points.shape
    weights = np.eye(k)[labels] * 0.95 + 0.05 / k
    before = -np.inf
    for _ in range(_STEPS):
        sizes = weights.sum(axis=0) + 1e-9
        centres = (weights.T @ points) / sizes[:, None]
        spread = (points**2).sum() - (sizes * (centres**2).sum(axis=1)).sum()
        mixture = Mixture(centres, sizes / count, max(float(spread) / (count * width), 1e-7))
        densities = mixture.log_densities(points)
        highest = densities.max(axis=1, keepdims=True)
        weights = np.exp(densities - highest)
        total = weights.sum(axis=1, keepdims=True)
        weights /= total
        likelihood = float((highest + np.log(total)).sum())
        if likelihood - before < 1e-4 * count:
            break
        before = likelihood
    return likelihood, mixture
