"""Figures by matplotlib: the style of all, and a picture as the bytes of a file. The same input gives the same bytes.

Colours are those of Okabe and Ito (2008), which readers with any colour vision tell apart; groups differ in their marks
too. Text stays text in SVG and PDF, so that it can be searched, read aloud and set in the paper's font.
"""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from polyseme.flows.display.terminal import escaped
from polyseme.flows.pictures.picture import short

if TYPE_CHECKING:
    from polyseme.flows.pictures.picture import Picture

_INCHES, _DPI = 7.0, 300
"""As wide as the text of a page; pixels an inch of .png, as journals ask for."""
_STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "polyseme",
    "pdf.fonttype": 42,
    "text.parse_math": False,  # titles are anybody's, and `$` is no formula in them
    "text.usetex": False,
}


def drawn(picture: Picture, form: str) -> bytes:
    """Return the bytes of a file of this form: svg, png or pdf."""
    out = BytesIO()
    title = escaped(short(picture.title))
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A script that no font of this machine has is drawn as boxes; in SVG it stays text, for fonts of the reader's.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure = Figure(figsize=(_INCHES, picture.inches), layout="constrained")
        picture.draw(figure)
        figure.suptitle(title, wrap=True)
        figure.savefig(out, format=form, dpi=_DPI, metadata=_metadata(form, title))
    return out.getvalue()


def _metadata(form: str, title: str) -> dict[str, str | None]:
    """Return the title, which screen readers say, and no date."""
    return {"Title": title, **({"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {}))}
