"""Tiers: what is stored reads as float16 exactly, within its bound, and storing that again changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.tiers import Centre, Layout, Layouts, parse_store, tier_of, zero_centres
from tests.lakes import make_spec

WIDTH = 13
HALVES = st.floats(-65504, 65504, width=16, allow_nan=False)
VECTORS = arrays.arrays(np.float16, st.tuples(st.integers(0, 9), st.just(WIDTH)), elements=HALVES)


def layout(tier: str, vectors: np.ndarray) -> Layout:
    centre = Centre.of(vectors.astype(np.float32).clip(-1e4, 1e4)) if len(vectors) else Centre(np.zeros(WIDTH, "f2"), 1)
    return Layout(tier, WIDTH, centre if tier == "binary" else None)


@settings(max_examples=300)
@given(vectors=VECTORS, tier=st.sampled_from(["float16", "int8", "binary"]))
def test_storing_what_was_read_changes_nothing(vectors: np.ndarray, tier: str) -> None:
    stored = layout(tier, vectors)
    read = stored.rounded(vectors)
    assert read.dtype == np.float16
    assert read.shape == vectors.shape
    assert (stored.rounded(read) == read).all()
    for once, again in zip(stored.pack(vectors), stored.pack(read), strict=True):
        assert (once is None and again is None) or (once == again).all()


@settings(max_examples=300)
@given(vectors=VECTORS)
def test_a_code_and_its_scale_multiply_to_a_float16_exactly(vectors: np.ndarray) -> None:
    codes, scales = Layout("int8", WIDTH).pack(vectors)
    assert codes.dtype == np.int8
    assert scales is not None
    exact = codes.astype(np.float64) * scales.astype(np.float64)[:, None]
    assert (exact.astype(np.float16) == exact).all()
    most = np.abs(vectors.astype(np.float64)).max(1, initial=0)
    # Above 127 times the greatest scale there are only 480 more.
    bound = (most / 127 * 1.125 + 2.0**-24) / 2 + (most > 127 * 512) * 480
    assert (np.abs(exact - vectors) <= bound[:, None]).all()


@pytest.mark.parametrize("tier", ["int8", "binary"])
def test_what_is_no_number_is_refused_and_not_stored_as_one(tier: str) -> None:
    vectors = np.ones((2, WIDTH), np.float16)
    stored = layout(tier, vectors)
    vectors[1, 3] = np.nan
    with pytest.raises(PolysemeError, match=f"NaN in it, which {tier} cannot store"):
        stored.pack(vectors)


@given(vectors=arrays.arrays(np.float16, (5, WIDTH), elements=st.floats(-4, 4, width=16)))
def test_a_bit_is_whether_a_number_is_above_the_middle(vectors: np.ndarray) -> None:
    stored = layout("binary", vectors)
    assert stored.centre is not None
    read = stored.rounded(vectors)
    assert ((read > stored.centre.middle) == (vectors > stored.centre.middle)).all()
    assert stored.values == 2
    places = stored.looked_up().reshape(2, 256, 8)
    codes, _ = stored.pack(vectors)
    by_byte = places[np.arange(2), codes].reshape(5, 16)[:, :WIDTH]
    assert (by_byte == read).all()


def test_a_centre_survives_as_text() -> None:
    centre = Centre.of(np.random.default_rng(1).standard_normal((20, WIDTH)))
    again = Centre.from_text(centre.to_text())
    assert (again.middle == centre.middle).all()
    assert again.spread == centre.spread
    for broken in ("", "AAAA", "not base64", Centre(np.full(3, np.nan, np.float16), 1.0).to_text()):
        with pytest.raises(ValueError, match=r"."):
            Centre.from_text(broken)


@pytest.mark.parametrize(
    ("text", "spelling", "sentences", "words"),
    [
        ("int8", "int8", "int8", "int8"),
        ("words=int8", "sentences=float16,words=int8", "float16", "int8"),
        ("words=binary, sentences=int8", "sentences=int8,words=binary", "int8", "binary"),
        ("words=int8,sentences=int8", "int8", "int8", "int8"),
    ],
)
def test_a_store_has_one_spelling(text: str, spelling: str, sentences: str, words: str) -> None:
    assert parse_store(text) == parse_store(spelling) == spelling
    assert [tier_of(spelling, table) for table in ("sentences", "words", "tokens")] == [sentences, words, words]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "'' is no tier"), ("int4", "'int4' is no tier"), ("words", "'words' is no tier"),
        ("words=int8,", "'' is no tier"), ("words=int8;sentences=int8", "'int8;sentences=int8' is no tier"),
        ("tokens=int8", "'tokens' has no tier of its own"), ("binary,words=int8", "'binary' is for no table: give it"),
        ("words=int8,words=binary", "words are named twice"),
    ],
)  # fmt: skip
def test_what_is_no_store_is_refused_with_what_is_wrong_in_it(text: str, wrong: str) -> None:
    with pytest.raises(UsageError, match=f"--store is float16, int8, binary.* in which {wrong}"):
        parse_store(text)


def test_the_store_is_part_of_an_encoding_and_float16_is_what_encodings_had_before() -> None:
    assert make_spec(store="float16").encoding_id == make_spec().encoding_id
    ids = {make_spec(store=s).encoding_id for s in ("float16", "int8", "binary", "sentences=float16,words=int8")}
    assert len(ids) == 4


def test_binary_vectors_without_a_centre_are_refused() -> None:
    assert Layouts("int8", 4, {}).of("words").tier == "int8"
    assert Layouts("binary", 4, zero_centres("binary", 4)).of("tokens").centre is not None
    with pytest.raises(ValueError, match="no centre"):
        Layouts("binary", 4, {}).of("words")
