"""The catalog's table `meta`: which lake this is, its format, its counters and defaults, as text by key.

The only module that knows the keys. They are never renamed: catalogs of every release have them. Every function works
inside a transaction that it is given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TypeAlias
from uuid import uuid4

from sqlalchemy import Connection, delete, insert, inspect, select, update

from polyseme.storage import checks
from polyseme.storage.catalog_url import place_of
from polyseme.storage.database.dialects import insert_into
from polyseme.storage.database.schema import meta
from polyseme.storage.errors import LakeError
from polyseme.storage.records import PrecisionLoss, StoreLoss
from polyseme.storage.tiers import Centre

_LAKE_ID = "lake_id"
_FORMAT_VERSION = "format_version"
_CATALOG_VERSION = "catalog_version"
_EPOCH = "catalog_epoch"
_LAST_ORDINAL = "last_ordinal"
_LAST_SHARD = "last_shard"
_DEFAULT_ENCODING = "default_encoding"
_LOWER_CASE = "last_shard_in_lower_case"
_PRECISION_LOSS = "fidelity/"
"""Followed by an encoding's id. A Polyseme that does not know these keys passes them by."""
_CENTRES = "centres/"
"""Followed by an encoding's id, of which some vectors are stored as bits."""
_STORE_LOSS = "store_loss/"
"""Followed by an encoding's id, a slash and a table."""
_TOPICS = "topics/"
"""Followed by an encoding's id, a slash and the version of its topics."""
_DROPPED = "dropped_encoding/"
"""Followed by an encoding's id; the value is when."""
_ROUNDED = "rounded/"
"""Followed by a run's id; the value is how many of its documents were rounded and not encoded."""
_BROKEN_PART = "broken_part/"
"""Followed by a part's path."""

State: TypeAlias = tuple[str, int, str]
"""What tells a state of a catalog from all others: the lake's id, the catalog's version and its epoch."""


def exists(connection: Connection) -> bool:
    """Return True if the database holds a catalog."""
    return inspect(connection).has_table(meta.name)


def create(connection: Connection, *, lake_id: str, format_version: int) -> None:
    """Write the first rows of a new catalog, both counters at 0."""
    first = {_FORMAT_VERSION: format_version, _LAKE_ID: lake_id, _CATALOG_VERSION: 0, _LAST_ORDINAL: 0}
    connection.execute(insert(meta), [{"key": key, "value": str(value)} for key, value in first.items()])


def lake_id(connection: Connection) -> str:
    """Return the id of the catalog's lake, which no other has. Raises LakeError if the row is missing."""
    return origin(connection).text(
        _required(connection, _LAKE_ID), "meta lake_id", checks.LAKE_ID, "letters, digits and -"
    )


def origin(connection: Connection) -> checks.Origin:
    """Return where values of this catalog come from, for `checks`."""
    return checks.Origin(f"The catalog {place_of(connection.engine.url)}")


def format_version(connection: Connection) -> int | None:
    """Return the format that the catalog was written in; None if it has no such row."""
    written = _get(connection, _FORMAT_VERSION)
    return None if written is None else origin(connection).counter(written, "meta format_version")


def set_format_version(connection: Connection, number: int) -> None:
    """Record that the catalog has this format from now on."""
    _put(connection, _FORMAT_VERSION, str(number))


def catalog_version(connection: Connection) -> int:
    """Return the number that every change of the catalog raises. Raises LakeError if the row is missing."""
    return origin(connection).counter(_required(connection, _CATALOG_VERSION), "meta catalog_version")


def epoch(connection: Connection) -> str:
    """Return the token of the last change; empty in a catalog that has not been changed since tokens are drawn.

    Versions alone repeat: a catalog that was restored from a copy counts the same numbers again.
    """
    found = _get(connection, _EPOCH)
    return "" if found is None else origin(connection).text(found, "meta catalog_epoch", checks.TOKEN, "32 hex digits")


def state(connection: Connection) -> State:
    """Return what tells this state from every other: of this catalog, before a restore too, and of other lakes."""
    return lake_id(connection), catalog_version(connection), epoch(connection)


def raise_catalog_version(connection: Connection) -> None:
    """Count one more change of the catalog, and draw a token for it."""
    _raise(connection, _CATALOG_VERSION)
    _put(connection, _EPOCH, uuid4().hex)


def next_ordinal(connection: Connection) -> int:
    """Return the ordinal of a new run, one more than the last run's."""
    return _raise(connection, _LAST_ORDINAL)


def next_shard(connection: Connection) -> int:
    """Return the number of the shard that is being committed, one more than the last shard's."""
    number = 1 + origin(connection).counter(_get(connection, _LAST_SHARD) or "0", f"meta {_LAST_SHARD}")
    _put(connection, _LAST_SHARD, str(number))
    return number


def last_shard_in_lower_case(connection: Connection) -> int | None:
    """Return the number of the last shard whose words are stored in lower case, not by their key; None if none are."""
    found = _get(connection, _LOWER_CASE)
    return None if found is None else origin(connection).counter(found, f"meta {_LOWER_CASE}")


def record_lower_case(connection: Connection) -> None:
    """Record that the words of all shards so far are stored in lower case."""
    _put(connection, _LOWER_CASE, _get(connection, _LAST_SHARD) or "0")


def counters(connection: Connection) -> tuple[int, int]:
    """Return the catalog's version and the ordinal of its last run; zeros if the catalog has no rows yet."""
    found = origin(connection)
    version, ordinal = (_get(connection, key) or "0" for key in (_CATALOG_VERSION, _LAST_ORDINAL))
    return found.counter(version, f"meta {_CATALOG_VERSION}"), found.counter(ordinal, f"meta {_LAST_ORDINAL}")


def raise_counters(connection: Connection, *, at_least: tuple[int, int]) -> None:
    """Raise both counters above `at_least`, and above what they are, and draw a token."""
    for key, floor in zip((_CATALOG_VERSION, _LAST_ORDINAL), at_least, strict=True):
        now = origin(connection).counter(_required(connection, key), f"meta {key}")
        _put(connection, key, str(1 + max(floor, now)))
    _put(connection, _EPOCH, uuid4().hex)


def default_encoding(connection: Connection) -> str | None:
    """Return the id of the default encoding; None in a catalog without encodings."""
    found = _get(connection, _DEFAULT_ENCODING)
    if found is not None:
        origin(connection).text(found, "meta default_encoding", checks.ENCODING_ID, "16 hex digits")
    return found


def set_default_encoding(connection: Connection, encoding_id: str) -> None:
    """Make an encoding the default."""
    _put(connection, _DEFAULT_ENCODING, encoding_id)


def precision_losses(connection: Connection) -> dict[str, PrecisionLoss]:
    """Return what was measured of rounded encodings, by encoding id."""
    query = select(meta.c.key, meta.c.value).where(meta.c.key.startswith(_PRECISION_LOSS, autoescape=True))
    found = connection.execute(query)
    source = origin(connection)
    return {key.removeprefix(_PRECISION_LOSS): checks.precision_loss(source, value) for key, value in found}


def record_precision_loss(connection: Connection, encoding_id: str, loss: PrecisionLoss) -> bool:
    """Keep what was measured of an encoding; return False, and change nothing, if something is kept already."""
    key = _PRECISION_LOSS + encoding_id
    if _get(connection, key) is not None:
        return False
    _put(connection, key, json.dumps(asdict(loss), sort_keys=True))
    return True


def centres(connection: Connection) -> dict[str, dict[str, Centre]]:
    """Return the centres of binary vectors by encoding id, then by table."""
    query = select(meta.c.key, meta.c.value).where(meta.c.key.startswith(_CENTRES, autoescape=True))
    source = origin(connection)
    return {key.removeprefix(_CENTRES): checks.centres(source, value) for key, value in connection.execute(query)}


def record_centres(connection: Connection, encoding_id: str, found: Mapping[str, Centre]) -> None:
    """Keep the centres of an encoding's binary vectors, for good: its parts are read by them."""
    _put(connection, _CENTRES + encoding_id, json.dumps({table: c.to_text() for table, c in sorted(found.items())}))


def store_losses(connection: Connection) -> dict[str, dict[str, StoreLoss]]:
    """Return what was measured of stored vectors by encoding id, then by table."""
    query = select(meta.c.key, meta.c.value).where(meta.c.key.startswith(_STORE_LOSS, autoescape=True))
    source, found = origin(connection), dict[str, dict[str, StoreLoss]]()
    for key, value in connection.execute(query):
        encoding_id, _, table = key.removeprefix(_STORE_LOSS).partition("/")
        found.setdefault(encoding_id, {})[table] = checks.store_loss(source, value)
    return found


def record_store_loss(connection: Connection, encoding_id: str, table: str, loss: StoreLoss) -> bool:
    """Keep what was measured of a table; return False, and change nothing, if more vectors were measured already."""
    known = store_losses(connection).get(encoding_id, {}).get(table)
    if known is not None and known.vectors >= loss.vectors:
        return False
    _put(connection, f"{_STORE_LOSS}{encoding_id}/{table}", json.dumps(asdict(loss), sort_keys=True))
    return True


def topic_fits(connection: Connection, encoding_id: str) -> list[str]:
    """Return the versions of an encoding's topics, oldest first, as they were recorded."""
    mine = meta.c.key.startswith(f"{_TOPICS}{encoding_id}/", autoescape=True)
    found = connection.execute(select(meta.c.key, meta.c.value).where(mine))
    return [text for _, text in sorted(found, key=lambda row: (len(row[0]), row[0]))]


def record_topic_fit(connection: Connection, encoding_id: str, version: int, text: str) -> None:
    """Keep a version of an encoding's topics, for good."""
    _put(connection, f"{_TOPICS}{encoding_id}/{version}", text)


def dropped(connection: Connection) -> frozenset[str]:
    """Return the ids of encodings that were dropped, and not made anew since."""
    query = select(meta.c.key).where(meta.c.key.startswith(_DROPPED, autoescape=True))
    return frozenset(key.removeprefix(_DROPPED) for key in connection.scalars(query))


def record_dropped(connection: Connection, encoding_id: str, *, at: str) -> None:
    """Record that an encoding was dropped, and forget what was measured of it, and its topics."""
    _put(connection, _DROPPED + encoding_id, at)
    lost = meta.c.key == _PRECISION_LOSS + encoding_id
    for beginning in (_STORE_LOSS, _TOPICS):
        lost |= meta.c.key.startswith(f"{beginning}{encoding_id}/", autoescape=True)
    connection.execute(delete(meta).where(lost))


def forget_dropped(connection: Connection, encoding_id: str) -> None:
    """Record that a dropped encoding is made anew."""
    connection.execute(delete(meta).where(meta.c.key == _DROPPED + encoding_id))


def rounded_documents(connection: Connection) -> dict[str, int]:
    """Return how many documents runs have rounded and not encoded, by run id; runs that rounded none are left out."""
    query = select(meta.c.key, meta.c.value).where(meta.c.key.startswith(_ROUNDED, autoescape=True))
    source, found = origin(connection), connection.execute(query)
    return {key.removeprefix(_ROUNDED): source.counter(value, "meta rounded") for key, value in found}


def add_rounded_documents(connection: Connection, run_id: str, documents: int) -> None:
    """Count documents that a run has rounded and not encoded."""
    so_far = origin(connection).counter(_get(connection, _ROUNDED + run_id) or "0", "meta rounded")
    _put(connection, _ROUNDED + run_id, str(so_far + documents))


def forget_rounded_documents(connection: Connection, run_ids: Iterable[str]) -> None:
    """Drop the counts of runs that are dropped."""
    connection.execute(delete(meta).where(meta.c.key.in_([_ROUNDED + run_id for run_id in run_ids])))


def broken_parts(connection: Connection) -> frozenset[str]:
    """Return the paths of parts that a merge found missing or changed; some may not be live any more."""
    query = select(meta.c.key).where(meta.c.key.startswith(_BROKEN_PART, autoescape=True))
    return frozenset(key.removeprefix(_BROKEN_PART) for key in connection.scalars(query))


def record_broken_parts(connection: Connection, paths: Iterable[str]) -> None:
    """Record that parts are missing or changed."""
    for path in paths:
        _put(connection, _BROKEN_PART + path, "")


def forget_broken_parts(connection: Connection, paths: Iterable[str]) -> None:
    """Drop the records of parts that are whole, or not live any more."""
    connection.execute(delete(meta).where(meta.c.key.in_([_BROKEN_PART + path for path in paths])))


def _get(connection: Connection, key: str) -> str | None:
    return connection.scalar(select(meta.c.value).where(meta.c.key == key))


def _required(connection: Connection, key: str) -> str:
    found = _get(connection, key)
    if found is None:
        raise LakeError(
            f"The catalog {place_of(connection.engine.url)} has no {key} in its table meta. Restore it from a copy."
        )
    return found


def _put(connection: Connection, key: str, value: str) -> None:
    statement = insert_into(connection, meta).values(key=key, value=value)
    connection.execute(
        statement.on_conflict_do_update(index_elements=meta.primary_key, set_={"value": statement.excluded.value})
    )


def _raise(connection: Connection, key: str) -> int:
    value = 1 + origin(connection).counter(_required(connection, key), f"meta {key}")
    connection.execute(update(meta).where(meta.c.key == key).values(value=str(value)))
    return value
