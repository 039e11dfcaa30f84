"""Figures for papers: read back as what they are, with named axes, all points, and text that is text."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from polyseme.flows.pictures.picture import Picture, write_picture
from tests.extras import require
from tests.flows.pictures.examples import coherence, losses, senses, shares

pytestmark = pytest.mark.extra
require("matplotlib", "plot")
SVG = "{http://www.w3.org/2000/svg}"


def drawn(picture: Picture, path: Path) -> ElementTree.Element:
    write_picture(picture, path)
    return ElementTree.parse(path).getroot()


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(text.itertext()).strip() for text in root.iter(f"{SVG}text")]


def marks(root: ElementTree.Element, kind: str) -> list[int]:
    """Return how many marks there are in each group of this kind that is in the axes."""
    inside = [axes for axes in root.iter(f"{SVG}g") if re.fullmatch(r"axes_\d+", axes.get("id", ""))]
    groups = [g for axes in inside for g in axes if re.match(kind, g.get("id", ""))]
    return [len(list(g.iter(f"{SVG}use"))) for g in groups]


@pytest.mark.parametrize(
    ("picture", "names"),
    [
        (senses(), ["first principal component", "second principal component", "sense 1 (4): river, water"]),
        (coherence(), ["sentence", "NSP margin (log-odds)", "break"]),
        (coherence(margin=None), ["sentence", "order margin (log-odds)", "break"]),
        (shares(), ["share of occurrences (%)", "slice (occurrences)", "1850–1900 (1,200)", "sense 2"]),
        (losses(), ["step", "MLM loss (nats a token)", "NSP loss (nats a pair)", "held-out NSP accuracy"]),
    ],
)
def test_axes_and_groups_are_named_and_titles_are_text(tmp_path: Path, picture: Picture, names: list[str]) -> None:
    root = drawn(picture, tmp_path / "figure.svg")
    assert set(names) <= set(texts(root))
    (title,) = (found.text or "" for found in root.findall(f"{SVG}title"))
    assert title.startswith(r"$50 & <b>more</b> \u202e银行\x07")
    assert title in texts(root)


def test_every_point_is_drawn(tmp_path: Path) -> None:
    assert marks(drawn(senses(), tmp_path / "senses.svg"), "PathCollection") == [4, 4]
    assert 9 in marks(drawn(coherence(), tmp_path / "coherence.svg"), "line2d")
    counts = marks(drawn(losses(), tmp_path / "losses.svg"), "line2d")
    assert (counts.count(30), counts.count(1)) == (2, 2)


def test_bars_are_as_long_as_the_shares(tmp_path: Path) -> None:
    root = drawn(shares(), tmp_path / "shares.svg")
    (axes,) = (g for g in root.iter(f"{SVG}g") if g.get("id") == "axes_1")
    bars = [path.get("d", "") for g in axes if re.match(r"patch_\d", g.get("id", "")) for path in g.iter(f"{SVG}path")]
    widths = sorted({round(max(xs) - min(xs)) for xs in (_abscissas(bar) for bar in bars[1:5])})
    assert len(widths) == 4
    assert widths[1] == pytest.approx(widths[3] / 4, abs=1)
    assert widths[2] == pytest.approx(widths[3] * 3 / 4, abs=1)


def _abscissas(path: str) -> list[float]:
    return [float(x) for x in re.findall(r"[ML] ([\d.]+) ", path)]


@pytest.mark.parametrize(("ending", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_same_picture_is_the_same_file(tmp_path: Path, ending: str, begins: bytes) -> None:
    for name in ("a", "b"):
        write_picture(senses(), tmp_path / f"{name}.{ending}")
    first = (tmp_path / f"a.{ending}").read_bytes()
    assert first.startswith(begins)
    assert first == (tmp_path / f"b.{ending}").read_bytes()
