"""Encodings: those of a catalog, each registered once under a name, one of them the default.

Every function works inside a transaction that it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from itertools import count

from sqlalchemy import Connection, insert, select

from polyseme.storage import checks
from polyseme.storage.database import meta
from polyseme.storage.database.schema import encodings
from polyseme.storage.errors import UsageError
from polyseme.storage.records import EncodingSpec, PrecisionLoss

_LONGEST = 48
_USUAL = {"layers": "last", "pooling": "mean", "context": "sentence", "precision": "fp32"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """A registered encoding. `name` ends the names of its views; `fidelity` is None if nothing was measured.

    `created_at` is ISO 8601 in UTC.
    """

    encoding_id: str
    name: str
    spec: EncodingSpec
    created_at: str
    fidelity: PrecisionLoss | None = None


def read_encodings(connection: Connection) -> tuple[Encoding, ...]:
    """Return every encoding, oldest first. Raises LakeError for a value that no encoding has."""
    e = encodings.c
    losses = meta.precision_losses(connection)
    rows = connection.execute(select(e.encoding_id, e.name, e.spec, e.created_at).order_by(e.created_at, e.name))
    origin = meta.origin(connection)
    return tuple(
        Encoding(
            encoding_id=origin.text(encoding_id, "encodings.encoding_id", checks.ENCODING_ID, "16 hex digits"),
            name=origin.text(name, "encodings.name", checks.ENCODING_NAME, "lower-case letters, digits and _"),
            spec=checks.spec(origin, spec),
            created_at=origin.time(created_at, "encodings.created_at"),
            fidelity=losses.get(encoding_id),
        )
        for encoding_id, name, spec, created_at in rows
    )


def register(connection: Connection, spec: EncodingSpec, name: str | None, *, at: str) -> tuple[str, bool]:
    """Return the encoding's name and whether it is new, registering it if so. The first one becomes the default.

    Raises UsageError if `name` is malformed or belongs to another encoding, or if this one has another name.
    """
    known = {e.name: e.encoding_id for e in read_encodings(connection)}
    registered = next((n for n, encoding_id in known.items() if encoding_id == spec.encoding_id), None)
    if registered is not None:
        if name not in (None, registered):
            raise UsageError(f"This encoding is named {registered!r} already. Leave the other name out.")
        return registered, False
    if name in known:
        raise UsageError(f"The name {name!r} belongs to encoding {known[name]}. Choose another.")
    chosen = check_name(name) if name else encoding_name(spec, taken=known)
    connection.execute(
        insert(encodings).values(
            encoding_id=spec.encoding_id,
            name=chosen,
            spec=json.dumps(asdict(spec), sort_keys=True),
            width=spec.width,
            created_at=at,
        )
    )
    if not known:
        meta.set_default_encoding(connection, spec.encoding_id)
    return chosen, True


def choose_default(connection: Connection, name: str) -> None:
    """Make an encoding the default. Raises UsageError for a name that is not registered."""
    known = {e.name: e.encoding_id for e in read_encodings(connection)}
    if name not in known:
        raise UsageError(f"No encoding is named {name!r}; there are: {', '.join(known) or 'none yet'}.")
    meta.set_default_encoding(connection, known[name])


def encoding_name(spec: EncodingSpec, *, taken: Collection[str]) -> str:
    """Return the model's last path segment and its unusual options: `polyseme_mini`, `polyseme_mini_window_last4`."""
    model = re.sub(r"[^a-z0-9]+", "_", spec.model.rstrip("/").rpartition("/")[2].lower()).strip("_")
    if not model[:1].isalpha():
        model = f"model_{model}".rstrip("_")
    unusual = [
        getattr(spec, option)
        for option in ("context", "layers", "pooling", "precision")
        if getattr(spec, option) != _USUAL[option]
    ]
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
