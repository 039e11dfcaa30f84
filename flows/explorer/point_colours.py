"""What the points of a map are coloured by: a number for each point, and what the numbers mean.

The ten most frequent values have a colour each, the rest are *other*; margins have an order, so theirs are steps of a
scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from polyseme.flows.explorer.page import Asked
from polyseme.flows.explorer.pages.facets import path_of
from polyseme.flows.explorer.point_maps import Places, PointMap
from polyseme.storage.errors import UsageError

Codes = npt.NDArray[np.uint8]
MOST_COLOURS = 10
OTHER, NONE = 10, 11
FIRST_OF_SCALE = 12
"""Codes of a scale follow those of kinds, so that a page has a style for each code."""
EDGES = (-8, -4, -2, 0, 2, 4, 8)
MOST_GROUPED = 20_000
"""Occurrences that are grouped by sense, as on the page of a word."""
_BY_DOCUMENT = {
    "language": "SELECT doc_id, language AS value FROM documents",
    "document": "SELECT doc_id, coalesce(title, doc_id) AS value FROM documents",
}
_METADATA = "SELECT doc_id, metadata->>$path AS value FROM documents"
_MARGINS = "SELECT doc_id, sentence_index, margin FROM coherence WHERE margin IS NOT NULL"
_SENSES = "SELECT doc_id, sentence_index, word_index, sense FROM senses($word, by_lemma := $by_lemma)"


@dataclass(frozen=True, slots=True)
class Colours:
    """A code for each point, and the label of each code that may occur."""

    code: Codes
    labels: dict[int, str]


def colour(lake: Asked, points: PointMap, by: str, *, word: str = "", by_lemma: bool = False) -> Colours:
    """Return the colours of all points by `language`, `document`, `margin`, `sense` or `m.` and a key of the metadata.

    Raises UsageError for anything else.
    """
    if not len(points):
        return Colours(np.empty(0, np.uint8), {})
    if by == "margin":
        return _by_margin(lake.ask(_MARGINS), points)
    if by == "sense" and points.word is not None:
        if len(points) > MOST_GROUPED:
            raise UsageError(f"Only words with up to {MOST_GROUPED:,} occurrences are coloured by sense.")
        return _by_sense(lake.ask(_SENSES, word=word, by_lemma=by_lemma), points)
    if by.startswith("m.") and len(by) > 2:
        return _by_kind(lake.ask(_METADATA, path=path_of(by.removeprefix("m."))), points)
    if by in _BY_DOCUMENT:
        return _by_kind(lake.ask(_BY_DOCUMENT[by]), points)
    raise UsageError(
        f"A map has no colours by {by[:40]!r}, but by language, document, margin or m.KEY of the metadata."
    )


def _by_kind(of_documents: pa.Table, points: PointMap) -> Colours:
    at = pc.index_in(points.docs, value_set=of_documents["doc_id"].combine_chunks())
    value = of_documents["value"].combine_chunks().cast(pa.string()).take(at).dictionary_encode()
    kind = value.indices.fill_null(len(value.dictionary)).to_numpy(zero_copy_only=False)
    return _ranked(kind[points.doc], [*value.dictionary.to_pylist(), None])


def _by_sense(senses: pa.Table, points: PointMap) -> Colours:
    assert points.word is not None
    found = _looked_up(senses, points, "sense", word=points.word[:, 0]).astype(np.int64)
    most = int(found.max(initial=0))
    return _ranked(np.where(found < 1, most + 1, found), [None, *(f"sense {n}" for n in range(1, most + 1)), None])


def _by_margin(margins: pa.Table, points: PointMap) -> Colours:
    margin = _looked_up(margins, points, "margin")
    code = np.where(np.isnan(margin), NONE, FIRST_OF_SCALE + np.searchsorted(EDGES, margin)).astype(np.uint8)
    labels = [f"below {EDGES[0]}", *(f"{a} to {b}" for a, b in pairwise(EDGES)), f"{EDGES[-1]} up"]
    return Colours(code, {**{FIRST_OF_SCALE + n: label for n, label in enumerate(labels)}, NONE: "no next sentence"})


def _ranked(kind: npt.NDArray[np.integer], names: Sequence[str | None]) -> Colours:
    """Return codes by frequency; `None` names what has no value."""
    counts = np.bincount(kind, minlength=len(names))
    ranked = [int(n) for n in np.argsort(-counts, kind="stable") if names[n] is not None and counts[n]]
    code = np.full(len(names), OTHER, np.uint8)
    code[ranked[:MOST_COLOURS]] = np.arange(len(ranked[:MOST_COLOURS]))
    code[[n for n, name in enumerate(names) if name is None]] = NONE
    labels = {rank: str(names[n]) for rank, n in enumerate(ranked[:MOST_COLOURS])}
    return Colours(code[kind], {**labels, OTHER: f"other ({len(ranked) - MOST_COLOURS:,})", NONE: "none"})


def _looked_up(rows: pa.Table, points: PointMap, name: str, *, word: Places | None = None) -> npt.NDArray[np.float64]:
    """Return a value of `rows` for each point, NaN where there is none."""
    at = pc.index_in(rows["doc_id"], value_set=points.docs)
    known = pc.is_valid(at).to_numpy(zero_copy_only=False)
    doc = at.fill_null(0).to_numpy().astype(np.int64)
    key = _key(doc, rows["sentence_index"].to_numpy(), None if word is None else rows["word_index"].to_numpy())
    value = rows[name].to_numpy().astype(np.float64)
    order = np.argsort(key[known])
    key, value = key[known][order], value[known][order]
    wanted = _key(points.doc.astype(np.int64), points.sentence, word)
    if not len(key):
        return np.full(len(wanted), np.nan)
    found = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    return np.where(key[found] == wanted, value[found], np.nan)


def _key(doc: npt.NDArray[np.int64], sentence: Places, word: Places | None) -> npt.NDArray[np.int64]:
    """Return one number for each place in a text: documents fit into 24 bits, sentences into 24, words into 14."""
    key = (doc << 38) | (sentence.astype(np.int64) << 14)
    return key if word is None else key | word
