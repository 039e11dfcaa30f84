"""Encodings: those of a catalog, each registered once under a name, one of them the default.

Every function works inside a transaction that it is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, insert, select, update

from polyseme.storage import checks
from polyseme.storage.database import meta
from polyseme.storage.database.schema import encodings
from polyseme.storage.encoding_names import check_name, encoding_name
from polyseme.storage.errors import UsageError
from polyseme.storage.records import EncodingSpec, PrecisionLoss, StoreLoss
from polyseme.storage.tiers import Centre, Layouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """A registered encoding. `name` ends the names of its views; `fidelity` is None if nothing was measured.

    `created_at` is ISO 8601 in UTC. `centres` are those of tables with binary vectors, `losses` what was measured of
    tables that are not stored in float16.
    """

    encoding_id: str
    name: str
    spec: EncodingSpec
    created_at: str
    fidelity: PrecisionLoss | None = None
    centres: Mapping[str, Centre] = field(default_factory=dict)
    losses: Mapping[str, StoreLoss] = field(default_factory=dict)

    @property
    def layouts(self) -> Layouts:
        """How its tables are stored."""
        return Layouts(self.spec.store, self.spec.width, self.centres)


def read_encodings(connection: Connection) -> tuple[Encoding, ...]:
    """Return every encoding but those that were dropped, oldest first.

    Raises LakeError for a value that no encoding has.
    """
    e = encodings.c
    losses, stored = meta.precision_losses(connection), meta.store_losses(connection)
    centres = meta.centres(connection)
    rows = connection.execute(select(e.encoding_id, e.name, e.spec, e.created_at).order_by(e.created_at, e.name))
    origin, dropped = meta.origin(connection), meta.dropped(connection)
    found = tuple(
        Encoding(
            encoding_id=origin.text(encoding_id, "encodings.encoding_id", checks.ENCODING_ID, "16 hex digits"),
            name=origin.text(name, "encodings.name", checks.ENCODING_NAME, "lower-case letters, digits and _"),
            spec=checks.spec(origin, spec),
            created_at=origin.time(created_at, "encodings.created_at"),
            fidelity=losses.get(encoding_id),
            centres=centres.get(encoding_id, {}),
            losses=stored.get(encoding_id, {}),
        )
        for encoding_id, name, spec, created_at in rows
        if encoding_id not in dropped
    )
    for encoding in found:
        checks.require_centres(origin, encoding.spec, encoding.centres)
    return found


def register(
    connection: Connection, spec: EncodingSpec, name: str | None, *, centres: Mapping[str, Centre], at: str
) -> tuple[str, bool]:
    """Return the encoding's name and whether it is new, registering it if so. The first one becomes the default.

    `centres` are those of tables with binary vectors; an encoding that is registered keeps its own.
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
    row = {
        "encoding_id": spec.encoding_id,
        "name": chosen,
        "spec": json.dumps(spec.stated(), sort_keys=True),
        "width": spec.width,
        "created_at": at,
    }
    if spec.encoding_id in meta.dropped(connection):
        connection.execute(update(encodings).where(encodings.c.encoding_id == spec.encoding_id).values(row))
        meta.forget_dropped(connection, spec.encoding_id)
    else:
        connection.execute(insert(encodings).values(row))
    checks.require_centres(meta.origin(connection), spec, centres)
    if centres:
        meta.record_centres(connection, spec.encoding_id, centres)
    if not known:
        meta.set_default_encoding(connection, spec.encoding_id)
    return chosen, True


def choose_default(connection: Connection, name: str) -> None:
    """Make an encoding the default. Raises UsageError for a name that is not registered."""
    known = {e.name: e.encoding_id for e in read_encodings(connection)}
    if name not in known:
        raise UsageError(f"No encoding is named {name!r}; there are: {', '.join(known) or 'none yet'}.")
    meta.set_default_encoding(connection, known[name])
