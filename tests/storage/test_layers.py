"""Layers as they are written: one spelling for the same layers of a model, and an error for what a model lacks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage import checks
from polyseme.storage.encoding_names import check_name, encoding_name
from polyseme.storage.errors import LakeError, UsageError
from polyseme.storage.layers import LayerSpan, canonical, is_canonical, layer_span, spelling_of
from tests.lakes import make_spec

NUMBERS = st.integers(0, 12)
SPELLINGS = st.one_of(
    NUMBERS.map(str),
    st.integers(1, 8).map("last{}".format),
    st.tuples(NUMBERS, NUMBERS).map(lambda pair: "mean:{}-{}".format(*sorted(pair))),
)


def span(layers: str, *, top: int = 12, vector_layer: int = 8) -> LayerSpan:
    return layer_span(layers, model="m", top=top, vector_layer=vector_layer)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("last", "last"), ("last1", "last"), ("last4", "last4"), ("last04", "last4"), ("5", "5"), ("05", "5"),
        ("0", "0"), ("mean:3-6", "mean:3-6"), ("mean:03-06", "mean:3-6"), ("mean:6-6", "6"), ("mean:0-0", "0"),
    ],
)  # fmt: skip
def test_what_is_written_has_one_spelling(written: str, stored: str) -> None:
    assert canonical(written) == stored
    assert is_canonical(stored)
    assert is_canonical(written) is (written == stored)


@pytest.mark.parametrize(
    "written",
    [
        "", "lats", "Last", "last0", "last-4", "first", "5.0", "-1", "1e1", "٥", "5 ", "3-6", "mean", "mean:", "mean:5",
        "mean:3-", "mean:-6", "mean:3-6-9", "mean:3,6", "mean_last4", "99999", "last\n", "x" * 10_000,
    ],
)  # fmt: skip
def test_garbage_is_refused_with_what_is_expected(written: str) -> None:
    with pytest.raises(UsageError, match=r"--layers takes last, last4 .* 5 \(layer 5\) or mean:3-6") as error:
        canonical(written)
    assert len(str(error.value)) < 200


def test_layers_that_count_down_are_refused_with_the_right_order() -> None:
    with pytest.raises(UsageError, match=r"mean:6-3 counts down\. Write the lower layer first: mean:3-6\."):
        canonical("mean:6-3")


@given(SPELLINGS)
def test_the_same_layers_of_a_model_have_one_spelling_which_names_them(layers: str) -> None:
    stored = spelling_of(span(layers), vector_layer=8)
    assert is_canonical(stored)
    assert span(stored) == span(layers)
    assert spelling_of(span(stored), vector_layer=8) == stored
    assert check_name(encoding_name(make_spec(layers=stored), taken=()))


@given(SPELLINGS, SPELLINGS)
def test_other_layers_have_another_spelling_and_another_name(one: str, other: str) -> None:
    first, second = (spelling_of(span(layers), vector_layer=8) for layers in (one, other))
    names = {encoding_name(make_spec(layers=layers), taken=()) for layers in (first, second)}
    assert (first == second) is (span(one) == span(other)) is (len(names) == 1)


@pytest.mark.parametrize(
    ("written", "stored"),
    [("8", "last"), ("mean:5-8", "last4"), ("mean:1-8", "last8"), ("mean:0-8", "mean:0-8"), ("12", "12"), ("7", "7")],
)
def test_numbers_that_are_what_last_is_are_stored_as_ever(written: str, stored: str) -> None:
    assert spelling_of(span(written), vector_layer=8) == stored


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("13", "--layers 13 asks for layer 13; m has layers 1 to 12. Use --layers last, a number from 0 (the "
               "embeddings) to 12 or their means, such as mean:1-12."),
        ("mean:3-13", "--layers mean:3-13 asks for layer 13; m has layers 1 to 12."),
        ("last9", "--layers last9 needs at least 9 layers; m has 8 up to the one that `last` is (vector_layer in its "
                  "config.json)."),
    ],
)  # fmt: skip
def test_layers_that_a_model_lacks_are_refused_with_those_that_it_has(layers: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        span(layers)
    assert str(error.value).startswith(message)


def test_a_model_of_one_layer_has_no_means() -> None:
    with pytest.raises(UsageError, match=r"has layers 1 to 1\. Use --layers last, a number from 0 \S* \S* to 1\.$"):
        span("2", top=1, vector_layer=1)
    with pytest.raises(UsageError, match=r"at least 2 layers; m has 1\. Use"):
        span("last2", top=1, vector_layer=1)


def test_the_ids_of_encodings_of_earlier_releases_never_change() -> None:
    assert make_spec().encoding_id == "ac6cfe5d4c769657"
    assert make_spec(layers="last4").encoding_id == "ec26fb06c34a29de"
    assert len({make_spec(layers=layers).encoding_id for layers in ("last", "last4", "3", "4", "mean:3-4")}) == 5


@pytest.mark.parametrize("layers", ["mean_last4", "06", "mean:6-6", "last1", "", 5, None, ["last"]])
def test_a_catalog_with_another_spelling_is_refused(layers: object) -> None:
    stored = make_spec().stated() | {"layers": layers}
    with pytest.raises(LakeError, match=r"encodings\.spec layers, expected last, last4"):
        checks.spec(checks.Origin("the catalog"), json.dumps(stored))


@pytest.mark.parametrize("layers", ["last", "last4", "last12", "0", "5", "mean:3-6"])
def test_a_catalog_gives_the_layers_back(layers: str) -> None:
    spec = make_spec(layers=layers)
    assert checks.spec(checks.Origin("the catalog"), json.dumps(spec.stated())) == spec
