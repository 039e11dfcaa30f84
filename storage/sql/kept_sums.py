"""Sums of word vectors, kept in the user's cache folder: a file for each encoding of a lake, that of its latest state.

Derived from the parts, and computed again wherever it cannot be read. What it is the state of is in it: which parts
were summed, and which of their rows were hidden. So a part that is new is added to it, the rows of a document that was
replaced or deleted are taken out, and where a part is gone, as after a compaction, all is summed again.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.parquet.vector_sums import Doubles, Hidden
from polyseme.storage.sql.kept_tables import load_table, save_table
from polyseme.storage.user_cache import cached_file, remove_given_up

AT_LEAST = 5
"""The least occurrences of a word whose sum is kept: half of the words of a corpus occur once."""
_KIND = "word-sums"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums `(words, width)` of the vectors of some words with their occurrences.

    Of all rows of `parts` but those in `hidden`.
    """

    words: tuple[str, ...]
    occurrences: npt.NDArray[np.int64]
    sums: Doubles
    parts: frozenset[str]
    hidden: Hidden

    @staticmethod
    def nothing(width: int) -> Sums:
        """Return the sums of no part."""
        return Sums((), np.zeros(0, np.int64), np.zeros((0, width)), frozenset(), Hidden((), ()))

    def is_of(self, snapshot: Snapshot, encoding: Encoding) -> bool:
        """Return True if they are those of a snapshot, and need no change."""
        return (
            self.parts == live_parts(snapshot, encoding) and self.hidden.pairs == hidden_rows(snapshot, encoding).pairs
        )


def live_parts(snapshot: Snapshot, encoding: Encoding) -> frozenset[str]:
    """Return the paths of an encoding's parts with words."""
    return frozenset(snapshot.parts.get((encoding.encoding_id, "words"), ()))


def hidden_rows(snapshot: Snapshot, encoding: Encoding) -> Hidden:
    """Return the rows of an encoding's parts that are not shown, because their document was replaced or deleted."""
    mine = snapshot.superseded.filter(pc.equal(snapshot.superseded["encoding_id"], encoding.encoding_id))
    return Hidden(mine["doc_id"].to_pylist(), mine["version"].to_pylist())


def load(snapshot: Snapshot, encoding: Encoding, *, by_lemma: bool) -> Sums | None:
    """Return the sums that are kept of an encoding, of whatever state; None if there are none that can be read."""
    file = _file(snapshot, encoding.encoding_id, by_lemma=by_lemma)
    width = encoding.spec.width
    return None if file is None else load_table(file, lambda table, state: _read(table, state, width))


def save(snapshot: Snapshot, encoding: Encoding, kept: Sums, *, by_lemma: bool) -> None:
    """Keep sums, in place of those before."""
    file = _file(snapshot, encoding.encoding_id, by_lemma=by_lemma)
    if file is None:
        return
    state = {"format": _FORMAT, "parts": sorted(kept.parts), "hidden": sorted(kept.hidden.pairs)}
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(kept.sums.reshape(-1)), kept.sums.shape[1])
    table = pa.table({"word": pa.array(kept.words, pa.string()), "occurrences": kept.occurrences, "sum": vectors})
    save_table(file, table, state, "Sums of word vectors")


def forget_gone(snapshot: Snapshot) -> None:
    """Remove what this user keeps of a lake's encodings that are gone, or of rows that are no longer shown."""
    folder = cached_file(_KIND, "any", "arrow")
    if folder is None:
        return
    current: set[Path] = set()
    for encoding in snapshot.encodings:
        for by_lemma in (False, True):
            kept = load(snapshot, encoding, by_lemma=by_lemma)
            file = _file(snapshot, encoding.encoding_id, by_lemma=by_lemma)
            if kept is not None and file is not None and _holds_nothing_gone(kept, snapshot, encoding):
                current.add(file)
    with suppress(OSError):  # a folder of somebody else
        for file in folder.parent.glob("*.arrow"):
            if file.name.startswith(f"{snapshot.lake_id}-") and file not in current:
                with suppress(OSError):
                    file.unlink()
        remove_given_up(folder.parent)


def _holds_nothing_gone(kept: Sums, snapshot: Snapshot, encoding: Encoding) -> bool:
    hidden = hidden_rows(snapshot, encoding).pairs
    return kept.parts <= live_parts(snapshot, encoding) and hidden <= kept.hidden.pairs


def _file(snapshot: Snapshot, encoding_id: str, *, by_lemma: bool) -> Path | None:
    return cached_file(_KIND, f"{snapshot.lake_id}-{encoding_id}{'-lemmas' if by_lemma else ''}", "arrow")


def _read(table: pa.Table, state: Any, width: int) -> Sums | None:
    parts, hidden = state["parts"], state["hidden"]
    occurrences = table["occurrences"].to_numpy()
    sums = table["sum"].combine_chunks().flatten().to_numpy().reshape(-1, width)
    words = tuple(table["word"].to_pylist())
    whole = state["format"] == _FORMAT and len(words) == len(occurrences) == len(sums) and len(set(words)) == len(words)
    right = occurrences.dtype == np.int64 and sums.dtype == np.float64 and bool((occurrences >= AT_LEAST).all())
    if not (whole and right and _are_texts(parts) and None not in words and np.isfinite(sums).all()):
        return None
    return Sums(words, occurrences, sums, frozenset(parts), Hidden([doc for doc, _ in hidden], [v for _, v in hidden]))


def _are_texts(values: Collection[object]) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
