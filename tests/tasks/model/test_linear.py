"""Integer products: close to the exact ones, the same on every machine, each row's result independent of the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from polyseme.tasks.model.linear import Dense, Int8, Linear, Packed, runs_int8
from tests import processes
from tests.reference import one_thread

pytestmark = pytest.mark.skipif(not runs_int8(torch.device("cpu")), reason="int8 runs on x86 CPUs")

SHAPES = [(384, 1152), (1536, 384), (30, 70), (31, 5)]


def factors(rows: int, wide: int, out: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows with outliers and a mean above 0, as after an activation, a weight `(out, wide)` and a bias."""
    generator = torch.Generator().manual_seed(wide)
    x, weight, bias = (torch.randn(*shape, generator=generator) for shape in ((rows, wide), (out, wide), (out,)))
    x[:, 0] *= 9
    return x + 0.4, weight, bias


def as_stored(x: Tensor) -> Tensor:
    """Return rows rounded to 256 steps of their own range each, in float64."""
    low = x.amin(1, keepdim=True).double()
    step = (x.amax(1, keepdim=True).double() - low) / 255
    return low + ((x - low) / step).round() * step


@pytest.mark.parametrize(("wide", "out"), SHAPES)
def test_the_product_is_that_of_the_rounded_factors(wide: int, out: int) -> None:
    x, weight, bias = factors(50, wide, out)
    linear = Int8.of(weight, bias)
    rounded = linear.weight.double() * linear.scale[:, None]
    assert (rounded - weight).abs().max() <= linear.scale.max() / 2 * 1.001
    expected = as_stored(x) @ rounded.T + bias
    # A number halfway between two steps may be rounded to either: one or two in a long row.
    step = (x.amax(1) - x.amin(1)) / 255
    allowed = 3 * step[:, None] * rounded.abs().amax(1) + 1e-3
    assert ((linear(x) - expected).abs() <= allowed).all()
    exact = Dense.of(weight, bias)(x)
    assert (linear(x) - exact).norm() / exact.norm() < 0.03


def transposed(weight: Tensor, bias: Tensor) -> Dense:
    """Return the map as the heads have it: a view of the checkpoint's weight."""
    return Dense(weight.t(), bias)


@pytest.mark.parametrize(
    "make", [Int8.of, Packed.of, Dense.of, transposed], ids=["int8", "packed", "dense", "transposed"]
)
@pytest.mark.parametrize(("wide", "out"), [*SHAPES, (384, 384), (384, 2), (48, 2), (384, 1), (30, 2), (384, 11)])
def test_no_bit_of_a_row_depends_on_the_other_rows(
    wide: int, out: int, make: Callable[[Tensor, Tensor], Linear]
) -> None:
    x, weight, bias = factors(300, wide, out)
    linear = make(weight, bias)
    with one_thread():
        together = linear(x)
        for count in (1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 64):
            assert (linear(x[40 : 40 + count]) == together[40 : 40 + count]).all()
        order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
        assert (linear(x[order]) == together[order]).all()


def test_some_columns_are_those_of_the_complete_map() -> None:
    x, weight, bias = factors(20, 48, 144)
    for linear in (Int8.of(weight, bias), Dense.of(weight, bias), Packed.of(weight, bias)):
        torch.testing.assert_close(linear.columns(48, None)(x), linear(x)[:, 48:])
        torch.testing.assert_close(linear.columns(0, 48)(x), linear(x)[:, :48])


def test_rows_of_one_value_and_columns_of_zeros_stay_finite() -> None:
    linear = Int8.of(torch.zeros(8, 16), torch.arange(8.0))
    assert (linear(torch.full((5, 16), 3.0)) == torch.arange(8.0)).all()
    _, weight, bias = factors(1, 16, 8)
    constant = torch.full((5, 16), 3.0)
    torch.testing.assert_close(Int8.of(weight, bias)(constant), Dense.of(weight, bias)(constant), atol=0.2, rtol=0.02)


LARGEST = """
import torch
from polyseme.tasks.model.linear import Int8
linear = Int8.of(torch.full((64, 384), 2.0), torch.zeros(64))
rows = torch.full((8, 384), 255.0)
rows[:, 0] = 0
print(linear(rows)[0, 0].item())
"""


@pytest.mark.parametrize("instructions", ["SSE41", "AVX2", "AVX512_CORE_VNNI"])
def test_the_largest_sums_do_not_overflow_on_older_cpus(instructions: str) -> None:
    """Without VNNI oneDNN adds pairs of products in 16 bits, where 255 * 127 * 2 would saturate silently."""
    done = processes.run(sys.executable, "-c", LARGEST, env=os.environ | {"ONEDNN_MAX_CPU_ISA": instructions})
    assert float(done.stdout) == pytest.approx(383 * 255 * 2, rel=1e-6)
