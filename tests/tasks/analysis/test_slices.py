"""Values are cut into slices in their order, equal ones together, without empty slices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.errors import UsageError
from polyseme.tasks.analysis.slices import cut

YEARS = ["1999", "1850", "1901", None, "1850", "1949", "1950"]


@pytest.mark.parametrize(
    ("bins", "names", "of"),
    [
        ("1900,1950", ("before 1900", "1900 to before 1950", "from 1950"), [2, 0, 1, -1, 0, 1, 2]),
        ("[1950, 1900]", ("before 1900", "1900 to before 1950", "from 1950"), [2, 0, 1, -1, 0, 1, 2]),
        ("[1900]", ("before 1900", "from 1900"), [1, 0, 1, -1, 0, 1, 1]),
        ("decade", ("1850s", "1900s", "1940s", "1950s", "1990s"), [4, 0, 1, -1, 0, 2, 3]),
        ("century", ("1800–1899", "1900–1999"), [1, 0, 1, -1, 0, 1, 1]),
        ("values", ("1850", "1901", "1949", "1950", "1999"), [4, 0, 1, -1, 0, 2, 3]),
        ("2", ("1850–1901", "1949–1999"), [1, 0, 0, -1, 0, 1, 1]),
    ],
)
def test_numbers_are_cut_as_asked(bins: str, names: tuple[str, ...], of: list[int]) -> None:
    found = cut(YEARS, bins)
    assert (found.names, found.of.tolist()) == (names, of)


def test_without_bins_many_numbers_are_four_slices_and_few_are_themselves() -> None:
    assert len(cut([str(n) for n in range(100)]).names) == 4
    assert np.bincount(cut([str(n) for n in range(100)]).of).tolist() == [25] * 4
    assert cut(["2", "10", "2"]).names == ("2", "10"), "as numbers, not as text"


def test_dates_are_on_one_scale_with_years() -> None:
    found = cut(["2001-09-11", "2001", "2001-09-11T12:00:00Z", "1999-12"], "2001-06-30")
    assert (found.names, found.of.tolist()) == (("before 2001-06-30", "from 2001-06-30"), [1, 0, 1, 0])
    assert cut(["2001-09-11", "1999-12"], "decade").names == ("1990s", "2000s")


def test_text_has_a_slice_a_value_by_name() -> None:
    found = cut(["news", "fiction", "news", None])
    assert (found.names, found.of.tolist()) == (("fiction", "news"), [1, 0, 1, -1])


@pytest.mark.parametrize(
    ("values", "bins", "says"),
    [
        (["news", "1"], "5", "'news' is neither"),
        (["1", "2"], "many", "say no slices"),
        (["1", "2"], "1", "from 2 to 100"),
        ([f"v{n}" for n in range(101)], "auto", "at most 100"),
        (["1", "2"], "1900,x", "say no slices"),
    ],
)  # fmt: skip
def test_bins_that_do_not_fit_are_an_error_that_says_what_does(values: list[str], bins: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        cut(values, bins)


@given(st.lists(st.one_of(st.none(), st.integers(-50, 50)), max_size=60), st.integers(2, 6))
def test_equal_counts_keep_the_order_and_equal_values_together(numbers: list[int | None], slices: int) -> None:
    found = cut([None if n is None else str(n) for n in numbers], str(slices))
    pairs = sorted({(n, s) for n, s in zip(numbers, found.of.tolist(), strict=True) if n is not None})
    assert [s for _, s in pairs] == sorted(s for _, s in pairs)
    assert len({n for n, _ in pairs}) == len(pairs)
    assert {s for _, s in pairs} == set(range(len(found.names)))
    assert len(found.names) <= slices
