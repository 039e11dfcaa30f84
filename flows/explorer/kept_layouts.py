"""Layouts of maps, kept in the user's cache folder: one file for each encoding of a lake, that of its latest map.

They can be computed again: a file that is absent, broken or cannot be written is no error.
"""

from __future__ import annotations

import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polyseme.storage.user_cache import cached_file, writing
from polyseme.tasks.analysis.layout import Landmarks
from polyseme.tasks.arrays import Floats

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Layout:
    """The places `(points, 2)` of a map of some version, and its landmarks, chosen of `laid_for` points."""

    version: str
    landmarks: Landmarks
    laid_for: int
    place: Floats


def load(identity: tuple[str, str, str]) -> Layout | None:
    """Return the latest layout of a lake's encoding, of whatever version; None if there is none that can be read."""
    file = _file(identity)
    if file is None:
        return None
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
            landmarks = Landmarks(kept["landmarks"], kept["landmark_place"], float(kept["spacing"]))
            found = Layout(str(kept["version"]), landmarks, int(kept["laid_for"]), kept["place"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return found if _is_whole(found) else None


def save(identity: tuple[str, str, str], layout: Layout) -> None:
    """Keep a layout, in place of the one before."""
    file = _file(identity)
    if file is None:
        return
    try:
        with writing(file) as written:
            np.savez(
                written, version=layout.version, laid_for=layout.laid_for, place=layout.place,
                landmarks=layout.landmarks.unit, landmark_place=layout.landmarks.place,
                spacing=layout.landmarks.spacing,
            )  # fmt: skip
    except OSError as error:
        _log.info("A map could not be kept for the next time: %s", error.strerror)


def _file(identity: tuple[str, str, str]) -> Path | None:
    lake, encoding, _ = identity
    return cached_file("maps", f"{lake}-{encoding}", "npz")


def _is_whole(layout: Layout) -> bool:
    landmarks, place = layout.landmarks, layout.place
    shapes = landmarks.unit.ndim == 2 and landmarks.place.shape == (len(landmarks.unit), 2) and place.ndim == 2
    floats = all(array.dtype == np.float32 for array in (landmarks.unit, landmarks.place, place))
    return shapes and floats and len(landmarks.unit) > 0 and place.shape[1] == 2 and bool(np.isfinite(place).all())
