"""Recording: runs that are found dead are recorded as died, if the lake can be written now.

Nothing depends on it: until it is done, snapshots show them as died all the same.
"""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy.exc import DBAPIError

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import dead_runs
from polyseme.storage.errors import LakeError


def record_dead_runs(catalog: Catalog) -> None:
    """Record the dead runs of a lake as died. Does nothing if others write it, or if it may only be read."""
    with catalog.reading() as connection:
        dead = dead_runs.find(connection)
    if dead:
        # DBAPIError: a server's answer to a user who may only read.
        with suppress(LakeError, DBAPIError), catalog.writing(patience=0.0) as connection:
            dead_runs.mark(connection)
