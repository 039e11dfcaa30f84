"""Formats: those that a lake can be exported to, by the name that a user gives, and what each can do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, cast

from polyseme.storage.errors import UsageError
from polyseme.tasks.exports.marks import Vectors
from polyseme.tasks.exports.targets import Target

Format = Literal["npy", "faiss", "lance", "hf-dataset", "pgvector", "delta", "qdrant", "atlas"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """The module of a format, which has `opened(out)`, and what it cannot do."""

    module: str
    float16: bool = True


_KINDS: dict[Format, _Kind] = {
    "npy": _Kind(module="npy_matrix"),
    "faiss": _Kind(module="faiss_index", float16=False),
    "lance": _Kind(module="lance_dataset"),
    "hf-dataset": _Kind(module="hf_dataset"),
    "pgvector": _Kind(module="pgvector_table"),
    "delta": _Kind(module="delta_table", float16=False),
    "atlas": _Kind(module="atlas_file", float16=False),
    "qdrant": _Kind(module="qdrant_collection", float16=False),
}


def opened(format: Format, out: str) -> AbstractContextManager[Target]:
    """Return the target at `out`, to be entered, which locks it.

    Raises UsageError for a library that is not installed and for an address that is none of this format.
    """
    module = import_module(f"polyseme.tasks.exports.{_KINDS[format].module}")
    return cast("Callable[[str], AbstractContextManager[Target]]", module.opened)(out)


def require_vectors(format: Format, vectors: Vectors) -> None:
    """Raise UsageError if a format has no such numbers."""
    if vectors == "float16" and not _KINDS[format].float16:
        able = ", ".join(name for name, kind in _KINDS.items() if kind.float16)
        raise UsageError(f"{format} has no 16-bit floats. Leave --float16 out, or export to one of: {able}.")
