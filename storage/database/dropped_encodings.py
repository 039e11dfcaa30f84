"""Dropped encodings: what a catalog forgets of one, and what it keeps so that nothing of it can come back by accident.

Every function works inside a transaction that it is given. The row of a dropped encoding stays for the runs that made
it, under a name that nobody chooses; its parts become retired, and their files go as those of every retired part do.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update

from polyseme.storage.database import dead_runs, meta, part_rows, schema
from polyseme.storage.database.encodings import read_encodings
from polyseme.storage.database.runs import RUNNING
from polyseme.storage.errors import PolysemeError, UsageError

_OF_DOCUMENTS = (
    schema.superseded, schema.redescribed, schema.moved, schema.deleted_documents, schema.held_back, schema.other_uris,
    schema.files, schema.document_versions,
)  # fmt: skip


def require_droppable(connection: Connection, name: str) -> str:
    """Return the id of an encoding that can be dropped.

    Raises UsageError for a name that is not registered and for the default encoding, PolysemeError if a run that
    encodes into it goes on.
    """
    known = {e.name: e.encoding_id for e in read_encodings(connection)}
    if name not in known:
        raise UsageError(f"No encoding is named {name!r}; there are: {', '.join(known) or 'none yet'}.")
    encoding_id = known[name]
    if encoding_id == meta.default_encoding(connection):
        others = [other for other in known if other != name]
        way = (
            f"Choose another first, such as `polyseme status --default {others[0]}`."
            if others
            else "It is the only one: to be rid of the whole lake, remove its folder."
        )
        raise UsageError(f"{name} is what views without a suffix show. {way}")
    dead_runs.mark(connection)
    r = schema.runs.c
    going = connection.scalar(select(r.run_id).where(r.encoding_id == encoding_id, r.state == RUNNING).limit(1))
    if going is not None:
        raise PolysemeError(f"The run {going} encodes into {name}. Wait for its end, or stop it, and drop {name} then.")
    return encoding_id


def drop(connection: Connection, name: str, *, at: str) -> None:
    """Forget the documents of an encoding and retire its parts. Raises as `require_droppable` does."""
    encoding_id = require_droppable(connection, name)
    live = part_rows.live_parts(connection, encoding_id=encoding_id)
    if live:
        part_rows.retire(connection, live, reason="dropped", at=at)
    for table in _OF_DOCUMENTS:
        connection.execute(delete(table).where(table.c.encoding_id == encoding_id))
    # A shard that is committed again, of an encoding that was made anew, is no retry of this one.
    connection.execute(delete(schema.shards).where(schema.shards.c.encoding_id == encoding_id))
    e = schema.encodings.c
    connection.execute(
        update(schema.encodings).where(e.encoding_id == encoding_id).values(name=f"dropped_{encoding_id}")
    )
    meta.record_dropped(connection, encoding_id, at=at)


def require_kept(connection: Connection, encoding_id: str) -> None:
    """Raise PolysemeError if an encoding was dropped."""
    if encoding_id in meta.dropped(connection):
        raise PolysemeError(
            "The encoding of this run was dropped meanwhile. Nothing more is committed; run the command again to make "
            "the encoding anew."
        )
