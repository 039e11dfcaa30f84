"""Skipped files: how many each source had that no run reads, kept until a later run has scanned the same place.

Every function works inside a transaction that it is given. Which rows a run replaces is decided by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, Text, cast, delete, func, insert, select

from polyseme.storage.database.dialects import chunks
from polyseme.storage.database.schema import runs, skipped_files


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFiles:
    """The files of one extension that a source had and that were skipped for one reason, with one of them.

    `extension` is in lower case with its dot; empty for names without one, and for folders. In the catalog a row is of
    one folder or archive, that of its `example`; one without an example counts more of its kind, all over the source.
    """

    source: str
    extension: str
    reason: str
    files: int
    example: str


Settled = Callable[[Mapping[int, SkippedFiles], Sequence[SkippedFiles]], tuple[Collection[int], Sequence[SkippedFiles]]]
"""Given rows of earlier runs by number, and those of later ones, returns the numbers of those to drop and new rows."""


def totals() -> Select[Any]:
    """Return the query of the view: the rows of each source by extension and reason, as each run counted them."""
    s = skipped_files.c
    files = cast(func.sum(s.files), BigInteger).label("files")
    example = cast(func.coalesce(func.min(func.nullif(s.example, "")), ""), Text).label("example")
    query = select(s.source, s.extension, s.reason, files, example, s.run_id)
    query = query.group_by(s.source, s.extension, s.reason, s.run_id)
    return query.order_by(s.source, files.desc(), s.extension, s.reason, s.run_id)


def others(connection: Connection, run_id: str) -> tuple[dict[int, SkippedFiles], list[SkippedFiles]]:
    """Return the rows of the runs that began before this one, by number, and those of later runs."""
    s = skipped_files.c
    ordinal = select(runs.c.ordinal).where(runs.c.run_id == run_id).scalar_subquery()
    columns = [s[field.name] for field in fields(SkippedFiles)]
    query = select(s.id, runs.c.ordinal > ordinal, *columns).join(runs, runs.c.run_id == s.run_id)
    older, later = dict[int, SkippedFiles](), list[SkippedFiles]()
    for number, is_later, *values in connection.execute(query.where(s.run_id != run_id).order_by(s.id)):
        row = SkippedFiles(**dict(zip(SkippedFiles.__slots__, values, strict=True)))
        if is_later:
            later.append(row)
        else:
            older[number] = row
    return older, later


def replace(connection: Connection, run_id: str, found: Sequence[SkippedFiles], *, retired: Collection[int]) -> bool:
    """Record what a run skipped, in place of its rows before and of `retired` ones. Return True if anything changed."""
    s = skipped_files.c
    dropped = connection.execute(delete(skipped_files).where(s.run_id == run_id)).rowcount
    for some in chunks(list(retired)):
        connection.execute(delete(skipped_files).where(s.id.in_(some)))
    if found:
        connection.execute(insert(skipped_files), [{"run_id": run_id, **asdict(one)} for one in found])
    return bool(dropped or retired or found)
