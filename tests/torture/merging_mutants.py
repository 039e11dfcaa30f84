"""Mutants of merging and of describing anew: each shows rows twice or loses some, also when nothing is killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.torture import scenario


def old_parts_stay(*args: Any, **named: Any) -> None:
    """Add a merged part and leave those that it was made of: their rows are shown twice."""
    from polyseme.storage.database import part_rows

    part_rows.retire = lambda *args, **named: None
    scenario.work(*args, **named)


def live_row_lost(*args: Any, **named: Any) -> None:
    """Lose the last row of words in every merge."""
    from polyseme.storage.maintenance import merging

    order = merging._order

    def lossy(keys: Any, table: str, dead: Any) -> Any:
        return order(keys, table, dead)[:-1] if table == "words" else order(keys, table, dead)

    merging._order = lossy
    scenario.work(*args, **named)


def described_twice(*args: Any, **named: Any) -> None:
    """Describe documents anew without hiding the row that they had."""
    from sqlalchemy import Connection, delete

    from polyseme.storage.database import redescribing
    from polyseme.storage.database.schema import redescribed

    take = redescribing.take_rows

    def forgetful(connection: Connection, encoding_id: str, documents: Any) -> Any:
        kept = take(connection, encoding_id, documents)
        connection.execute(delete(redescribed))
        return kept

    redescribing.take_rows = forgetful
    scenario.work(*args, **named)


MERGING_MUTANTS: dict[str, Callable[..., None]] = {
    "old-parts-stay": old_parts_stay,
    "live-row-lost": live_row_lost,
    "described-twice": described_twice,
}
