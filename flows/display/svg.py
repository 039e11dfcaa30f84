"""Pictures as plain SVG: the sense map of a word, the coherence curve of a text. No library, no script, no request.

Numbers in, markup out; the caller knows what they mean. Hovering over a mark shows its label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from polyseme.storage.errors import UsageError

COLOURS = ("#2f6fb3", "#d9772b", "#2e8b57", "#b8405e", "#7a5cb3", "#8a6d3b", "#3aa6a6", "#6b6b6b")
"""One for each group; they differ in brightness too, for readers who do not see all hues."""
_BARS = "▁▂▃▄▅▆▇█"
_INK, _FAINT, _ALARM = "#333", "#ccc", "#c0392b"
STYLE = "font-family:system-ui,'Segoe UI',Helvetica,Arial,sans-serif;font-size:12px"


@dataclass(frozen=True, slots=True)
class Dot:
    """One mark of a map: its place, its group (from 1), and the label that hovering shows."""

    x: float
    y: float
    group: int
    label: str


@dataclass(frozen=True, slots=True)
class Step:
    """One point of a curve."""

    value: float
    marked: bool
    label: str


def scatter(dots: Sequence[Dot], groups: Sequence[str], *, title: str, width: int = 760, height: int = 460) -> str:
    """Return a map of dots with a legend; `groups` names group 1, 2, …"""
    left, top, right = 20, 40, width - 20
    bottom = height - 28 - 18 * len(groups)
    xs, ys = _scale([d.x for d in dots], left + 8, right - 8), _scale([d.y for d in dots], bottom - 8, top + 8)
    body = [
        f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" fill="none" stroke="{_FAINT}"/>'
    ]
    for dot, x, y in zip(dots, xs, ys, strict=True):
        body.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{_colour(dot.group)}" fill-opacity="0.75">'
            f"<title>{escape(dot.label)}</title></circle>"
        )
    for i, name in enumerate(groups):
        y = bottom + 24 + 18 * i
        body.append(f'<circle cx="{left + 6}" cy="{y - 4}" r="5" fill="{_colour(i + 1)}"/>')
        body.append(f'<text x="{left + 18}" y="{y}" fill="{_INK}">{escape(_short(name, 120))}</text>')
    return _svg(title, body, width, height)


def curve(steps: Sequence[Step], *, title: str, width: int = 760, height: int = 240) -> str:
    """Return a curve over the steps of a text with zero drawn in and marked steps in red."""
    left, top, right, bottom = 44, 40, width - 16, height - 30
    values = [s.value for s in steps]
    low, high = min([0.0, *values]), max([0.0, *values])
    span = high - low or 1.0
    ys = [bottom - (v - low) / span * (bottom - top) for v in values]
    xs = [left + (right - left) * (i + 0.5) / len(steps) for i in range(len(steps))]
    zero = bottom - (0 - low) / span * (bottom - top)
    body = [f'<line x1="{left}" y1="{zero:.1f}" x2="{right}" y2="{zero:.1f}" stroke="{_FAINT}"/>']
    for value, y in ((high, top), (0.0, zero), (low, bottom)):
        body.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="{_INK}">{value:.0f}</text>')
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    body.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[0]}" stroke-width="1.5"/>')
    for i, (step, x, y) in enumerate(zip(steps, xs, ys, strict=True)):
        if step.marked:
            body.append(
                f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="{_ALARM}" stroke-dasharray="3 3"/>'
            )
        body.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{4 if step.marked else 2.5}" '
            f'fill="{_ALARM if step.marked else COLOURS[0]}"><title>{i}: {escape(step.label)}</title></circle>'
        )
    for i in range(0, len(steps), max(1, len(steps) // 12)):
        body.append(f'<text x="{xs[i]:.1f}" y="{height - 10}" text-anchor="middle" fill="{_INK}">{i}</text>')
    return _svg(title, body, width, height)


def shares(
    rows: Sequence[tuple[str, Sequence[float], str]], groups: Sequence[str], *, title: str, width: int = 760
) -> str:
    """Return a bar a row, divided into its share of each group; a row is a name, the shares, and a label for hovering.

    `groups` names group 1, 2, …
    """
    left, top, step = 180, 44, 26
    bottom, span = top + step * len(rows), width - 200
    body = []
    for i, (name, parts, label) in enumerate(rows):
        y, x = top + step * i, float(left)
        shown = escape(_short(name, 24))
        body.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end" fill="{_INK}">{shown}</text>')
        for group, part in enumerate(parts, 1):
            body.append(
                f'<rect x="{x:.1f}" y="{y}" width="{span * part:.1f}" height="{step - 6}" fill="{_colour(group)}">'
                f"<title>{escape(f'{name}, {groups[group - 1]}: {part:.0%} {label}'.strip())}</title></rect>"
            )
            x += span * part
    for i, name in enumerate(groups):
        y = bottom + 18 + 18 * i
        body.append(f'<circle cx="{left + 6}" cy="{y - 4}" r="5" fill="{_colour(i + 1)}"/>')
        body.append(f'<text x="{left + 18}" y="{y}" fill="{_INK}">{escape(_short(name, 90))}</text>')
    return _svg(title, body, width, bottom + 18 + 18 * len(groups))


def sparkline(values: Sequence[float]) -> str:
    """Return one block character a value."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    span = high - low or 1.0
    return "".join(_BARS[min(7, int((v - low) / span * 8))] for v in values)


def write_picture(svg: str, path: Path) -> None:
    """Write a picture as .svg, or in a page as .html. Raises UsageError for another ending or a failed write."""
    if path.suffix not in (".svg", ".html"):
        raise UsageError(
            f"--plot writes .svg or .html, not '{path.suffix or path.name}'. Name a file such as plot.svg."
        )
    page = f'<!doctype html><meta charset="utf-8"><title>Polyseme</title><body style="background:#fff">{svg}</body>\n'
    try:
        path.write_text(svg + "\n" if path.suffix == ".svg" else page, "utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write {path} ({error.strerror}). Name a file in a folder that exists.") from error


def _svg(title: str, body: Sequence[str], width: int, height: int) -> str:
    head = f'<text x="20" y="24" fill="{_INK}" font-size="15" font-weight="600">{escape(_short(title, 96))}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'style="{STYLE};max-width:100%;height:auto" role="img"><rect width="100%" height="100%" fill="#fff"/>'
        f"{head}{''.join(body)}</svg>"
    )


def _scale(values: Sequence[float], first: float, last: float) -> list[float]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high == low:
        return [(first + last) / 2 for _ in values]
    return [first + (v - low) / (high - low) * (last - first) for v in values]


def _colour(group: int) -> str:
    return COLOURS[(group - 1) % len(COLOURS)]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
