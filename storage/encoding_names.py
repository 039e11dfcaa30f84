"""Names of encodings: those that SQL need not quote, chosen by a user or made from what the encoding is."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import count

from polyseme.storage.errors import UsageError
from polyseme.storage.layers import in_a_name
from polyseme.storage.records import EncodingSpec

_LONGEST = 48
_USUAL = {"layers": "last", "pooling": "mean", "context": "sentence", "precision": "fp32"}


def encoding_name(spec: EncodingSpec, *, taken: Collection[str]) -> str:
    """Return the model's last path segment and its unusual options: `polyseme_mini`, `polyseme_mini_window_last4`."""
    model = re.sub(r"[^a-z0-9]+", "_", spec.model.rstrip("/").rpartition("/")[2].lower()).strip("_")
    if not model[:1].isalpha():
        model = f"model_{model}".rstrip("_")
    unusual = [
        in_a_name(value) if option == "layers" else value
        for option in ("context", "layers", "pooling", "precision")
        if (value := getattr(spec, option)) != _USUAL[option]
    ]
    unusual += [] if spec.store == "float16" else ["stored", *re.findall("[a-z0-9]+(?=,|$)", spec.store)]
    name = "_".join([model[:_LONGEST], *unusual])
    candidates = (name if i == 1 else f"{name}_{i}" for i in count(1))
    return next(c for c in candidates if c not in taken)


def check_name(name: str) -> str:
    """Return a name chosen by a user. Raises UsageError if SQL would have to quote it."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or len(name) > _LONGEST:
        raise UsageError(
            f"An encoding's name is up to {_LONGEST} lower-case letters, digits and underscores, letter first, "
            f"but {name!r} was given. Choose another."
        )
    return name
