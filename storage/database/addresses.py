"""Addresses: which documents a lake has at a uri or with a record, whatever the encoding, and their other addresses.

Every function works inside a transaction that it is given. Knows neither files nor whether an address still exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
)

from polyseme.storage.database import meta
from polyseme.storage.database.dialects import chunks, insert_into, listed
from polyseme.storage.database.schema import RECORD_PREFIX, document_versions, encodings, other_uris

FILE, STDIN = "file:///", "stdin:"
STORES = ("s3://", "gs://", "az://", "hf://")
DERIVED = (FILE, STDIN, *STORES)
"""What addresses begin with from which ids are derived that stay when a file is moved."""
_MOST_ALIKE = 10_000
"""The most documents with the same records that are looked at: a boilerplate text may occur a million times."""


def addresses_of(connection: Connection, doc_ids: Sequence[str]) -> dict[str, set[str]]:
    """Return the uris of those of `doc_ids` that are live in some encoding."""
    d, found = document_versions.c, dict[str, set[str]]()
    query = select(d.doc_id, d.uri).where(_any_encoding(), d.deleted.is_(False))
    for some in chunks(doc_ids):
        for doc_id, uri in _texts(connection, query.where(d.doc_id.in_(some))):
            found.setdefault(doc_id, set()).add(uri)
    return found


def live_at(connection: Connection, uris: Sequence[str]) -> set[str]:
    """Return those of `uris`, of files, at which or within which some encoding has a live document."""
    d, found = document_versions.c, set[str]()
    for encoding_id in _encoding_ids(connection):
        live = d.encoding_id == encoding_id, d.deleted.is_(False)
        for some in chunks(uris):
            file = listed(connection, some).c.value
            # One look-up in the index for each, in its order: of a list, or of a condition that it can join by,
            # PostgreSQL without statistics makes a pass over all of the encoding, or one for each file.
            at_or_in = d.uri >= file, d.uri < file.concat("!0"), or_(d.uri == file, d.uri >= file.concat("!/"))
            first = select(d.uri).where(*live, *at_or_in).order_by(d.uri, d.doc_id).limit(1)
            query = select(file, first.correlate_except(document_versions).scalar_subquery())
            found |= {uri for uri, held in connection.execute(query) if held is not None}
    return found


def ids_at(connection: Connection, uris: Sequence[str]) -> dict[str, set[str]]:
    """Return, for those of `uris` that have live documents with an address as id, some of these ids.

    Of each encoding one that begins with the uri itself, and one that begins with another address.
    """
    d, found = document_versions.c, dict[str, set[str]]()
    following = func.substr(d.doc_id, func.length(d.uri) + 1, 1)
    own = and_(func.substr(d.doc_id, 1, func.length(d.uri)) == d.uri, following.in_(["", "#"]))
    # Neither a range of ids nor a list of encodings: SQLite would search all of the lake for each page of addresses.
    is_address = or_(*(func.substr(d.doc_id, 1, len(prefix)) == prefix for prefix in DERIVED))
    ids = (func.coalesce(func.min(case((which, d.doc_id))), "") for which in (own, not_(own)))
    query = select(d.uri, *ids).where(d.deleted.is_(False), is_address).group_by(d.uri)
    for encoding_id in _encoding_ids(connection):
        for some in chunks(uris):
            for uri, *of_uri in _texts(connection, query.where(d.encoding_id == encoding_id, d.uri.in_(some))):
                found.setdefault(uri, set()).update(filter(None, of_uri))
    return found


def all_ids_at(connection: Connection, uri: str) -> set[str]:
    """Return the ids of all live documents at an address, at most as many as are ever looked at."""
    d = document_versions.c
    query = select(d.doc_id).where(_any_encoding(), d.deleted.is_(False), d.uri == uri).distinct().limit(_MOST_ALIKE)
    return {doc_id for (doc_id,) in _texts(connection, query)}


def addresses_under(connection: Connection, bases: Sequence[str]) -> dict[str, set[str]]:
    """Return, for each of `bases` that has some, the uris of the live documents whose id is it, or its `#<number>`."""
    found = addresses_of(connection, bases)
    d, wanted = document_versions.c, listed(connection, bases).c.value
    within = and_(d.doc_id >= wanted.concat("#"), d.doc_id < wanted.concat("$"), d.deleted.is_(False))
    query = select(wanted, d.uri).where(within).distinct()
    for encoding_id in _encoding_ids(connection):
        for base, uri in _texts(connection, query.where(d.encoding_id == encoding_id)):
            found.setdefault(base, set()).add(uri)
    return found


def documents_like(connection: Connection, records: Sequence[str]) -> set[tuple[str, str, str]]:
    """Return `(doc_id, uri, record_sha256)` of live documents of any encoding that have one of these records."""
    d = document_versions.c
    query = select(d.doc_id, d.uri, d.record_sha256).where(d.deleted.is_(False)).limit(_MOST_ALIKE)
    prefix: ColumnElement[str] = literal_column(RECORD_PREFIX)
    wanted = set(records)
    found = (_texts(connection, query.where(prefix.in_([r[:16] for r in some]))) for some in chunks(records))
    return {(doc_id, uri, record) for rows in found for doc_id, uri, record in rows if record in wanted}


def add_other(connection: Connection, encoding_id: str, found: Iterable[tuple[str, str]]) -> None:
    """Record other addresses of documents, as `(doc_id, uri)`."""
    rows = [{"encoding_id": encoding_id, "doc_id": doc_id, "uri": uri} for doc_id, uri in found]
    if rows:
        connection.execute(insert_into(connection, other_uris).on_conflict_do_nothing(), rows)


def drop_other(connection: Connection, encoding_id: str, found: Iterable[tuple[str, str]]) -> None:
    """Drop other addresses of documents, as `(doc_id, uri)`."""
    o = other_uris.c
    for doc_id, uri in found:
        connection.execute(delete(other_uris).where(o.encoding_id == encoding_id, o.doc_id == doc_id, o.uri == uri))


def others_of(connection: Connection, encoding_id: str, doc_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the other addresses of those of `doc_ids` that have some, in order."""
    o, found = other_uris.c, dict[str, list[str]]()
    query = select(o.doc_id, o.uri).where(o.encoding_id == encoding_id).order_by(o.doc_id, o.uri)
    for some in chunks(doc_ids):
        for doc_id, uri in _texts(connection, query.where(o.doc_id.in_(some))):
            found.setdefault(doc_id, []).append(uri)
    return found


def others_after(
    connection: Connection, encoding_id: str, last: tuple[str, str] | None, *, rows: int
) -> list[tuple[str, str]]:
    """Return up to `rows` other addresses as `(doc_id, uri)`, in order; `last` is the last of the page before."""
    o = other_uris.c
    query = select(o.doc_id, o.uri).where(o.encoding_id == encoding_id)
    if last is not None:
        query = query.where(tuple_(o.doc_id, o.uri) > tuple_(literal(last[0]), literal(last[1])))
    return [(doc_id, uri) for doc_id, uri in _texts(connection, query.order_by(o.doc_id, o.uri).limit(rows))]


def _texts(connection: Connection, query: Select[Any]) -> Iterator[Sequence[Any]]:
    """Yield the rows of a query for ids, addresses and hashes. Raises LakeError for one with another value."""
    origin = meta.origin(connection)
    for row in connection.execute(query):
        for value in row:
            origin.string(value, "an id or address of a document")
        yield row


def _encoding_ids(connection: Connection) -> Sequence[str]:
    return connection.scalars(select(encodings.c.encoding_id)).all()


def _any_encoding() -> ColumnElement[bool]:
    # Names every encoding, so that an index that begins with the encoding is used.
    return document_versions.c.encoding_id.in_(select(encodings.c.encoding_id))
