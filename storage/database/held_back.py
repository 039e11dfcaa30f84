"""Deletions held back: those that a run did not make because they were too many, until a later run settles them.

Every function works inside a transaction that it is given. Knows neither the limits nor how documents were counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import get_args

from sqlalchemy import Connection, RowMapping, delete, insert, select

from polyseme.storage import checks
from polyseme.storage.database import meta
from polyseme.storage.database.dialects import chunks
from polyseme.storage.database.schema import held_back
from polyseme.storage.records import HeldBack, Reason

_LIMIT = re.compile(r"100%|[0-9]{1,18}")


def read(connection: Connection) -> tuple[HeldBack, ...]:
    """Return what is held back, by source and encoding."""
    rows = connection.execute(select(held_back).order_by(held_back.c.source, held_back.c.encoding_id)).mappings()
    origin = meta.origin(connection)
    return tuple(_checked(origin, row) for row in rows)


def _checked(origin: checks.Origin, row: RowMapping) -> HeldBack:
    """Return a row as a record. Raises LakeError for a value that no run records."""
    origin.one_of(row["reason"], "held_back.reason", get_args(Reason))
    return HeldBack(
        encoding_id=origin.text(row["encoding_id"], "held_back.encoding_id", checks.ENCODING_ID, "16 hex digits"),
        source=origin.string(row["source"], "held_back.source"),
        run_id=origin.text(row["run_id"], "held_back.run_id", checks.LINE, "one line of text"),
        reason=row["reason"],
        documents=origin.integer(row["documents"], "held_back.documents"),
        had=origin.integer(row["had"], "held_back.had"),
        examples=tuple(origin.strings(row["examples"], "held_back.examples")),
        confirm_with=origin.text(row["confirm_with"], "held_back.confirm_with", _LIMIT, "100% or a number"),
        held_at=origin.time(row["held_at"], "held_back.held_at"),
    )


def replace(
    connection: Connection, encoding_id: str, found: Iterable[HeldBack], *, judged: Callable[[str], bool], at: str
) -> bool:
    """Record what a run held back of an encoding, and drop the records of sources that it has `judged`.

    Return False if nothing changed.
    """
    h = held_back.c
    sources = connection.scalars(select(h.source).where(h.encoding_id == encoding_id)).all()
    settled = [source for source in sources if judged(source)]
    for some in chunks(settled):
        connection.execute(delete(held_back).where(h.encoding_id == encoding_id, h.source.in_(some)))
    rows = [{**asdict(held), "examples": json.dumps(held.examples), "held_at": at} for held in found]
    if rows:
        connection.execute(insert(held_back), rows)
    return bool(rows or settled)
