"""Marks: what a target remembers of the lake that it was exported from, as JSON inside the target."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from polyseme.storage.errors import UsageError

Table = Literal["sentences", "words", "documents"]
Vectors = Literal["float32", "float16"]

_KEY = "polyseme_export"
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a target holds: the rows of `table` in one encoding of one lake, for the documents that meet `where`.

    `catalog_version` and `epoch` name the state of the lake that it was last brought up to. `digest` is of the states
    of its documents (see `source`). Until `complete` some rows may be missing.
    """

    format: str
    lake_id: str
    encoding_id: str
    encoding: str
    table: Table
    vectors: Vectors
    where: str | None
    catalog_version: int
    epoch: str
    documents: int
    rows: int
    digest: str
    complete: bool = True

    def to_json(self) -> str:
        """Return the mark as text on one line."""
        return json.dumps({_KEY: _VERSION, **asdict(self)}, ensure_ascii=False)

    @staticmethod
    def parse(text: str, where: str) -> Mark:
        """Return the mark that a target has. Raises UsageError for text that is none; `where` says of what."""
        try:
            found = json.loads(text)
            version = found.pop(_KEY)
            if version == _VERSION:
                return Mark(**_checked(found))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{where} has no mark of `polyseme export` that can be read, so it is left as it is. Name another "
                "target, or remove this one."
            ) from error
        raise UsageError(f"{where} was exported by a newer Polyseme (format {version!r}). Update Polyseme.")

    def is_same_state(self, other: Mark) -> bool:
        """Return whether both are of one state of one lake, with the same condition, and whole."""
        ours, theirs = (replace(mark, documents=0, rows=0, digest="") for mark in (self, other))
        return self.complete and ours == theirs

    def require_same_content(self, wanted: Mark, where: str) -> None:
        """Raise UsageError unless a target with this mark may be brought up to `wanted`."""
        for name, what in _FIXED.items():
            ours, theirs = getattr(self, name), getattr(wanted, name)
            if ours != theirs:
                known = f"{self.encoding} ({ours})" if name == "encoding_id" else ours
                asked = f"{wanted.encoding} ({theirs})" if name == "encoding_id" else theirs
                raise UsageError(
                    f"{where} is an export of {what} {known}, and {asked} was asked for. It is left as it is: name "
                    "another target, or remove this one."
                )


_FIXED = {
    "format": "the format",
    "lake_id": "the lake",
    "encoding_id": "the encoding",
    "table": "the table",
    "vectors": "vectors in",
}
"""What does not change in a target, and how a message names it."""
_TEXTS = frozenset({"format", "lake_id", "encoding_id", "encoding", "epoch", "digest"})
_NUMBERS = frozenset({"catalog_version", "documents", "rows"})
_CHOICES = {"table": get_args(Table), "vectors": get_args(Vectors)}


def _checked(found: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a mark, which anybody may have written. Raises ValueError for one of another kind."""
    for name, value in found.items():
        if name in _TEXTS:
            allowed = isinstance(value, str)
        elif name in _NUMBERS:
            allowed = isinstance(value, int) and value >= 0
        elif name in _CHOICES:
            allowed = value in _CHOICES[name]
        else:
            allowed = isinstance(value, bool) if name == "complete" else value is None or isinstance(value, str)
        if not allowed:
            raise ValueError(name)
    return found
