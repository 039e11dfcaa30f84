"""The script for a GPU works before there is one: every part of it, at toy size, on CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_setting import Figure
from tests.reference import one_thread


@pytest.mark.slow
def test_every_part_gives_figures_at_toy_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "gpu.json"
    with one_thread():
        code = gpu.main(["--device", "cpu", "--tiny", "--seconds", "5", "--json", str(written)])
    result = json.loads(written.read_text())
    assert {name: part for name, part in result["parts"].items() if "failed" in part} == {}
    assert code == 0
    assert list(result["parts"]) == list(gpu.PARTS)
    assert all(part["figures"] and "not measured" not in part for part in result["parts"].values())
    # What must hold at any size: the numbers are right, and memory that is full loses nothing.
    right = [f for name in ("correctness", "memory") for f in result["parts"][name]["figures"]]
    assert {f["what"]: f["value"] for f in right if f["holds"] is False} == {}
    assert "one pass against two" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
def test_without_a_gpu_it_says_so_and_measures_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == gpu.EXIT_NO_DEVICE
    said = capsys.readouterr()
    assert "No CUDA device" in said.err
    assert not said.out


def test_a_figure_is_held_against_its_bound() -> None:
    assert Figure("x", 0.5, "", at_least=0.5).holds
    assert Figure("x", 1.2, "times", at_most=1.15).holds is False
    assert Figure("x", 1, "").holds is None


def test_a_missing_package_ends_one_part_and_is_named() -> None:
    def part(setting: object):  # type: ignore[no-untyped-def]
        yield Figure("first", 1.0, "")
        raise ModuleNotFoundError("No module named 'orjson'", name="orjson")

    class Here:
        device = torch.device("cpu")

    found = gpu.measured(part, Here())  # type: ignore[arg-type]
    assert [figure["what"] for figure in found["figures"]] == ["first"]
    assert "orjson" in found["not measured"]
