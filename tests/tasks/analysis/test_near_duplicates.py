"""MinHash and stars: sets that are alike are found, compared exactly, and grouped around one of them."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from polyseme.storage.errors import PolysemeError
from polyseme.tasks.analysis.minhash import NUMBERS, RECALL, Buckets, band_rows, scheme, sign
from polyseme.tasks.analysis.near_duplicates import Star, stars
from polyseme.tasks.analysis.shingles import Shingles, jaccard
from tests.extras import require

RNG = np.random.default_rng(7)


def random_set(size: int) -> Shingles:
    return np.unique(RNG.integers(0, 2**63, size).astype(np.uint64))


def like(other: Shingles, similarity: float) -> Shingles:
    """Return a set of the same size with that share of both in common, or slightly more."""
    kept = int(np.ceil(2 * len(other) * similarity / (1 + similarity)))
    return np.unique(np.concatenate([RNG.permutation(other)[:kept], random_set(len(other) - kept)]))


def groups(sets: list[Shingles], at_least: float) -> list[Star]:
    signatures = sign(sets)
    sizes = np.array([len(one) for one in sets])
    return list(stars(signatures, sizes, Buckets(signatures, at_least), sets.__getitem__, at_least=at_least))


@pytest.mark.parametrize("at_least", [0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_bands_are_as_long_as_leave_nearly_all_pairs(at_least: float) -> None:
    def found(rows: int) -> float:
        return 1 - (1 - at_least**rows) ** (NUMBERS // rows)

    rows = band_rows(at_least)
    assert found(rows) >= RECALL
    assert rows == NUMBERS or found(rows + 1) < RECALL


@pytest.mark.extra
@pytest.mark.parametrize("size", [20, 300, 5000])
def test_pairs_that_are_just_as_alike_as_asked_for_are_found(size: int) -> None:
    require("rensa", "duplicates")
    firsts = [random_set(size) for _ in range(100)]
    sets = [*firsts, *(like(one, 0.8) for one in firsts)]
    shared = Buckets(sign(sets), 0.8).shared()
    assert shared.sum() >= 2 * 97
    found = groups(sets, 0.8)
    assert len(found) >= 97
    assert all(abs(star.first - other) == 100 for star in found for other, _ in star.others)
    assert not Buckets(sign([random_set(size) for _ in range(100)]), 0.8).shared().any()


@pytest.mark.extra
def test_similarity_is_exact_and_what_is_less_alike_is_not_grouped() -> None:
    require("rensa", "duplicates")
    one = random_set(400)
    sets = [one, *(like(one, similarity) for similarity in np.linspace(0.5, 0.99, 40))]
    (star,) = groups(sets, 0.75)
    assert dict(star.others) == {
        i: similarity for i, other in enumerate(sets) if i and (similarity := jaccard(one, other)) >= 0.75
    }
    assert [similarity for _, similarity in star.others] == sorted(dict(star.others).values(), reverse=True)


@pytest.mark.extra
def test_the_largest_is_the_first_and_no_group_is_a_chain() -> None:
    require("rensa", "duplicates")
    whole = random_set(1000)
    # Each is .9 of the one before; the last is .66 of the first.
    chain = [whole[: int(1000 * 0.9**i)] for i in (4, 2, 0, 1, 3)]
    assert groups(chain, 0.8) == [
        Star(2, ((3, pytest.approx(0.9)), (1, pytest.approx(0.81)))),
        Star(4, ((0, pytest.approx(0.9, abs=0.01)),)),
    ]
    assert groups(list(reversed(chain)), 0.8)[0].first == 2


@pytest.mark.extra
def test_sets_that_are_equal_are_one_group_around_the_earliest() -> None:
    require("rensa", "duplicates")
    one = random_set(9)
    assert groups([random_set(9), one, one, one], 1.0) == [Star(1, ((2, 1.0), (3, 1.0)))]
    assert groups([], 0.8) == []


@pytest.mark.extra
def test_signatures_are_the_same_every_time_and_everywhere() -> None:
    """If another version of the package makes others, its `ALGORITHM_VERSION` has to tell, or ours."""
    require("rensa", "duplicates")
    made = sign([np.arange(1, 200, dtype=np.uint64), np.array([7], np.uint64)])
    assert made.shape == (2, NUMBERS)
    assert made.dtype == np.uint32
    assert made[:, 0].tolist() == [285261799, 3932032750]
    assert (sign([np.zeros(0, np.uint64)]) == 0).all()
    assert scheme() == "R-MinHash 2, 128 numbers, seed 1"
    assert (made == sign([np.arange(1, 200, dtype=np.uint64), np.array([7], np.uint64)])).all()


def test_without_the_package_an_error_names_it_and_what_works_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(PolysemeError, match=r"pip install 'polyseme\[duplicates\]'.*FROM duplicate_documents"):
        scheme()
