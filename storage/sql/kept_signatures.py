"""Signatures of texts, kept in the user's cache folder: a file for each lake, by the hash of the text.

Derived from the texts, and made again wherever they cannot be read. A signature depends on its text and on how it was
made, which the file says. So it holds in every encoding, for a document that was moved, renamed or described anew, and
a document that is new or has changed has none yet. Texts that are gone are left out when all are asked for, and by
vacuum. Knows nothing of what a signature means.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.storage.sql.kept_tables import load_table, save_table
from polyseme.storage.user_cache import cached_file

_KIND = "signatures"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class KeptSignatures:
    """The signatures `(texts, numbers)` of texts by their hash, how many shingles each has, and how they were made.

    A text without shingles has zeros.
    """

    scheme: str
    contents: tuple[str, ...]
    shingles: npt.NDArray[np.int64]
    signatures: npt.NDArray[np.uint32]

    @staticmethod
    def nothing(scheme: str, numbers: int) -> KeptSignatures:
        """Return those of no text."""
        return KeptSignatures(scheme, (), np.zeros(0, np.int64), np.zeros((0, numbers), np.uint32))

    def is_like(self, other: KeptSignatures) -> bool:
        """Return True if they can be compared with others, because they were made the same way."""
        return self.scheme == other.scheme and self.signatures.shape[1] == other.signatures.shape[1]

    def of(self, contents: Iterable[str]) -> KeptSignatures:
        """Return those of some texts, as far as they are among them, in the order that is given."""
        place = {content: i for i, content in enumerate(self.contents)}
        found = [content for content in contents if content in place]
        places = [place[content] for content in found]
        return KeptSignatures(self.scheme, tuple(found), self.shingles[places], self.signatures[places])

    def with_more(self, more: Sequence[KeptSignatures]) -> KeptSignatures:
        """Return these and those of other texts, made the same way."""
        every = [self, *more]
        return KeptSignatures(
            self.scheme,
            tuple(content for one in every for content in one.contents),
            np.concatenate([one.shingles for one in every]),
            np.concatenate([one.signatures for one in every]),
        )


def load(lake_id: str, like: KeptSignatures | None = None) -> KeptSignatures | None:
    """Return what is kept of a lake; None if nothing can be read, or it was made otherwise than `like`."""
    file = cached_file(_KIND, lake_id, "arrow")
    found = None if file is None else load_table(file, _read)
    return found if found is not None and (like is None or found.is_like(like)) else None


def save(lake_id: str, kept: KeptSignatures) -> None:
    """Keep signatures, in place of those before."""
    file = cached_file(_KIND, lake_id, "arrow")
    if file is None:
        return
    rows = pa.FixedSizeListArray.from_arrays(pa.array(kept.signatures.reshape(-1)), kept.signatures.shape[1])
    columns = {"content_sha256": pa.array(kept.contents, pa.string()), "shingles": kept.shingles, "signature": rows}
    save_table(file, pa.table(columns), {"format": _FORMAT, "scheme": kept.scheme}, "Signatures of texts")


def forget_gone(lake_id: str, live: Callable[[], Collection[str]]) -> None:
    """Remove what this user keeps of texts that a lake no longer has. `live` returns the hashes of those it has."""
    file = cached_file(_KIND, lake_id, "arrow")
    with suppress(OSError):  # a folder of somebody else
        if file is None or not file.exists():
            return
        kept, lives = load(lake_id), live()
        left = None if kept is None else kept.of(content for content in kept.contents if content in lives)
        if kept is None or left is None or not left.contents:
            file.unlink()
        elif left.contents != kept.contents:
            save(lake_id, left)


def _read(table: pa.Table, state: Any) -> KeptSignatures | None:
    contents, shingles = tuple(table["content_sha256"].to_pylist()), table["shingles"].to_numpy()
    rows = table["signature"].combine_chunks()
    signatures = rows.flatten().to_numpy().reshape(-1, rows.type.list_size)
    whole = state["format"] == _FORMAT and len(contents) == len(shingles) == len(signatures) == len(set(contents))
    right = shingles.dtype == np.int64 and signatures.dtype == np.uint32 and bool((shingles >= 0).all())
    if not (whole and right and None not in contents and isinstance(state["scheme"], str)):
        return None
    return KeptSignatures(state["scheme"], contents, shingles, signatures)
