"""Pairs of alike codes: nearly all that are similar enough, each once, and none that differs in many bits."""

from __future__ import annotations

import numpy as np
import pytest

from polyseme.storage.search import pairs as searched
from polyseme.storage.search.one_bit import Frame
from polyseme.storage.search.pairs import Alike, pairs
from polyseme.storage.search.unit_vectors import Floats, unit_rows

WIDTH = 384


def near_copies(rows: int, cosine: float, seed: int = 0) -> Floats:
    """Return twice as many vectors: random ones, and of each one with that cosine."""
    random = np.random.default_rng(seed)
    one, aside = (unit_rows(random.standard_normal((rows, WIDTH))) for _ in range(2))
    aside = unit_rows(aside - np.einsum("ij,ij->i", one, aside)[:, None] * one)
    return np.concatenate([one, cosine * one + np.sqrt(1 - cosine**2) * aside]).astype(np.float32)


def found(unit: Floats, frame: Frame, at_least: float) -> list[tuple[int, int]]:
    coded = frame.encode(unit)
    every = list(pairs(coded.bits, Alike.of(frame, coded.offset, at_least), lambda share: None))
    one, other = (np.concatenate([some[n] for some in every]) for n in (0, 1))
    return [(min(pair), max(pair)) for pair in zip(one.tolist(), other.tolist(), strict=True)]


@pytest.mark.parametrize(("cosine", "at_least"), [(0.99, 0.95), (0.96, 0.95), (0.91, 0.9), (0.86, 0.85), (0.81, 0.8)])
def test_as_many_are_found_as_are_promised(cosine: float, at_least: float) -> None:
    frame, unit = Frame(np.zeros(WIDTH, np.float32)), near_copies(500, cosine)
    right = {(row, row + 500) for row in range(500)}
    lanes = Alike.of(frame, np.zeros(1, np.float16), at_least).by_lanes
    promised = lanes if lanes >= 0.95 else 1
    assert len(right & set(found(unit, frame, at_least))) / 500 >= promised - 0.03


def test_more_bits_differ_where_vectors_are_seen_from_a_near_centre() -> None:
    centre = np.full(WIDTH, np.sqrt(0.5 / WIDTH), np.float32)
    unit = unit_rows(centre + 0.7 * near_copies(300, 0.9))
    right = {(row, row + 300) for row in range(300) if unit[row] @ unit[row + 300] >= 0.9}
    assert len(right) > 250
    assert len(right & set(found(unit, Frame(centre), 0.9))) / len(right) > 0.99


@pytest.mark.parametrize("at_least", [0.95, 0.82])
def test_each_pair_is_found_once_and_what_differs_in_many_bits_is_not(at_least: float) -> None:
    frame, unit = Frame(np.zeros(WIDTH, np.float32)), np.repeat(near_copies(200, 0.97), 3, axis=0)
    every, alike = found(unit, frame, at_least), Alike.of(frame, np.zeros(1, np.float16), at_least)
    assert len(every) == len(set(every))
    codes = frame.encode(unit).bits.T
    assert all(np.bitwise_count(codes[one] ^ codes[other]).sum() <= alike.most(WIDTH) for one, other in every)
    assert {(3 * row, 3 * row + 1) for row in range(400)} <= set(every)


def test_blocks_are_compared_with_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, unit = Frame(np.zeros(WIDTH, np.float32)), near_copies(50, 0.85)
    whole = set(found(unit, frame, 0.8))
    monkeypatch.setattr(searched, "_BLOCK", 7)
    assert set(found(unit, frame, 0.8)) == whole >= {(row, row + 50) for row in range(50)}


def test_one_row_or_none_has_no_pair() -> None:
    frame = Frame(np.zeros(WIDTH, np.float32))
    for rows in (0, 1):
        bits = frame.encode(np.ones((rows, WIDTH), np.float32)).bits
        assert [len(one) for one, _ in pairs(bits, Alike(WIDTH, 0.1, 0.1), lambda share: None)] in ([], [0])


def test_a_check_that_raises_stops_it() -> None:
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    frame = Frame(np.zeros(WIDTH, np.float32))
    with pytest.raises(KeyboardInterrupt):
        list(pairs(frame.encode(np.ones((5, WIDTH), np.float32)).bits, Alike(WIDTH, 0.1, 0.1), stop))
