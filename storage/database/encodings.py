"""The encodings of a catalog: each registered once under a name, one of them the default.

Every function works inside a transaction that it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from itertools import count

from sqlalchemy import Connection, Row, insert, select, update

from polyseme.storage.database.schema import encodings, meta
from polyseme.storage.errors import UsageError
from polyseme.storage.records import EncodingSpec, PrecisionLoss

_LONGEST = 48
_USUAL = {"layers": "last", "pooling": "mean", "context": "sentence", "precision": "fp32"}
_DEFAULT = "default_encoding"
_FIDELITY = "fidelity/"
"""Begins the keys of `meta` that keep what was measured of an encoding: a Polyseme that knows none passes them by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """An encoding as the catalog knows it. `name` ends its views' names, `fidelity` is None where none was measured."""

    encoding_id: str
    name: str
    spec: EncodingSpec
    created_at: str
    fidelity: PrecisionLoss | None = None

    @staticmethod
    def from_row(row: Row[tuple[str, str, str, str, str | None]]) -> Encoding:
        """Build from `encoding_id, name, spec, created_at, fidelity`."""
        encoding_id, name, spec, created_at, fidelity = row
        return Encoding(
            encoding_id=encoding_id,
            name=name,
            spec=EncodingSpec(**json.loads(spec)),
            created_at=created_at,
            fidelity=None if fidelity is None else PrecisionLoss(**json.loads(fidelity)),
        )


def read_encodings(connection: Connection) -> tuple[Encoding, ...]:
    """Return every encoding, oldest first."""
    e, m = encodings.c, meta.c
    query = select(e.encoding_id, e.name, e.spec, e.created_at, m.value).select_from(
        encodings.outerjoin(meta, m.key == _FIDELITY + e.encoding_id)
    )
    rows = connection.execute(query.order_by(e.created_at, e.name))
    return tuple(Encoding.from_row(row) for row in rows)


def register(connection: Connection, spec: EncodingSpec, name: str | None, *, at: str) -> tuple[str, bool]:
    """Return the encoding's name and whether it is new, registering it then. The first one becomes the default.

    Raises UsageError where `name` is malformed, belongs to another encoding, or this one has another.
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
        connection.execute(insert(meta).values(key=_DEFAULT, value=spec.encoding_id))
    return chosen, True


def record_precision_loss(connection: Connection, encoding_id: str, fidelity: PrecisionLoss) -> bool:
    """Keep what was measured of an encoding; False where an earlier run or another process did."""
    key = _FIDELITY + encoding_id
    if connection.scalar(select(meta.c.key).where(meta.c.key == key)) is not None:
        return False
    connection.execute(insert(meta).values(key=key, value=json.dumps(asdict(fidelity), sort_keys=True)))
    return True


def choose_default(connection: Connection, name: str) -> None:
    """Make an encoding the default. Raises UsageError for a name that is not registered."""
    known = {e.name: e.encoding_id for e in read_encodings(connection)}
    if name not in known:
        raise UsageError(f"No encoding is named {name!r}; there are: {', '.join(known) or 'none yet'}.")
    connection.execute(update(meta).where(meta.c.key == _DEFAULT).values(value=known[name]))


def encoding_name(spec: EncodingSpec, *, taken: Collection[str]) -> str:
    """Return the model's last path segment and every unusual option: `polyseme_mini`, `polyseme_mini_window_last4`."""
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
    """Return a name chosen by a user. Raises UsageError where it could not stand unquoted in SQL."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or len(name) > _LONGEST:
        raise UsageError(
            f"An encoding's name is up to {_LONGEST} lower-case letters, digits and underscores, letter first, "
            f"but {name!r} was given. Choose another."
        )
    return name
