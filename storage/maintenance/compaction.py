"""Compaction: small parts of one table become one part, without the rows that nothing can show again.

A document's rows are merged whole, never spread over more parts than they came from, and stay in the order of
`SORT_KEYS`. Commits go on meanwhile: what they hide is hidden in the merged part as in the old ones. Knows nothing of
readers: the old files stay until vacuum's grace period is over, and so do the rows of deleted documents, which can be
restored until then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import part_rows
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.schema import moved as moved_rows
from polyseme.storage.database.schema import redescribed as redescribed_rows
from polyseme.storage.errors import LakeError, PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.merging import Corrections, MergedRows, merged_rows
from polyseme.storage.parts import LocalParts, fetched_parts, sha256_of, write_part
from polyseme.storage.records import Part
from polyseme.storage.schemas import TABLES
from polyseme.storage.sql.literals import quote

MIB = 1 << 20
MOST_PARTS = 256
"""A merge keeps a file open for each part; systems allow a process 1,024."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionPolicy:
    """Which parts to rewrite: those below `small` of the target size, and those with a share of `min_dead` hidden rows.

    `target_bytes` bounds a merged part; both shares are between 0 and 1. Raises UsageError for other values.
    """

    target_bytes: int = 256 * MIB
    small: float = 0.5
    min_dead: float = 0.1

    def __post_init__(self) -> None:
        if self.target_bytes < 1 or not 0 < self.small <= 1 or not 0 <= self.min_dead <= 1:
            raise UsageError(
                "The target size must be positive, and the shares of small parts and of dead rows between 0 and 1."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """The result for one group of parts. `outcome` is `merged`, `overtaken` by another compaction, or `broken`."""

    table: str
    encoding: str
    parts: int
    bytes_before: int
    bytes_after: int
    rows_after: int
    rows_dropped: int
    outcome: str


@dataclass(frozen=True, slots=True)
class CompactionReport:
    """What a compaction did. `broken` has the paths of parts that are missing or changed; they were left alone."""

    merges: list[Merge] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def compact(
    catalog: Catalog,
    policy: CompactionPolicy | None = None,
    *,
    progress: Callable[[Merge], None] = lambda merge: None,
) -> CompactionReport:
    """Merge the parts that the policy selects, in every encoding and table. Raises PolysemeError if rows were lost.

    Needs memory for the keys of one group's rows, and for a lake in an object store disk space for the group's parts.
    """
    policy = policy or CompactionPolicy()
    merges: list[Merge] = []
    broken: list[str] = []
    for encoding in catalog.encodings():
        for table in TABLES:
            merges += compact_table(catalog, encoding, table, policy, broken=broken, progress=progress)
        drop_corrections(catalog, encoding)
    return CompactionReport(merges, broken)


def compact_table(
    catalog: Catalog,
    encoding: Encoding,
    table: str,
    policy: CompactionPolicy,
    *,
    broken: list[str] | None = None,
    progress: Callable[[Merge], None] = lambda merge: None,
) -> list[Merge]:
    """Merge the parts of one table that the policy selects. Paths of broken parts are added to `broken`."""
    corrections, parts = _corrections_and_parts(catalog, encoding, table)
    merges = []
    for group in groups(parts, _dead_rows(catalog.lake, parts, corrections), policy):
        merges.append(_merge_files(catalog, encoding, group, corrections, [] if broken is None else broken))
        progress(merges[-1])
    return merges


def merge_group(catalog: Catalog, encoding: Encoding, group: Sequence[Part], *, broken: list[str]) -> Merge:
    """Merge these parts of one table into one, without the rows that nothing can show again.

    Paths of broken parts are added to `broken`; then nothing is merged.
    """
    with catalog.reading() as connection:
        corrections = Corrections.read(connection, encoding.encoding_id)
    return _merge_files(catalog, encoding, group, corrections, broken)


def _merge_files(
    catalog: Catalog, encoding: Encoding, group: Sequence[Part], corrections: Corrections, broken: list[str]
) -> Merge:
    with fetched_parts(catalog.lake, group) as files, _explained(catalog.lake, group[0].table):
        found = _broken_parts(group, files)
        broken += found
        layout = encoding.layouts.of(group[0].table)
        merged = None
        if not found:
            merged = merged_rows(group, files, corrections, width=layout.width, store=layout.tier)
        return _merge(catalog, encoding, group, merged)


@contextmanager
def _explained(lake: Lake, table: str) -> Iterator[None]:
    """Turn the error about a part whose columns are not those of its table into a LakeError."""
    try:
        yield
    except (KeyError, TypeError, pa.ArrowException) as error:
        raise LakeError(
            f"Parts of {table} in the lake at {lake.root} cannot be merged: {error}. Nothing was replaced. Run "
            "`polyseme verify`, which names them, and `polyseme verify --repair`."
        ) from error


def groups(parts: Sequence[Part], dead: dict[str, int], policy: CompactionPolicy) -> list[list[Part]]:
    """Return the groups to merge, each of about the target size at most, of parts that are neighbours in time.

    `dead` is the number of hidden rows by path.
    """
    found: list[list[Part]] = []
    group: list[Part] = []
    size = 0
    for part in parts:
        share = dead.get(part.path, 0) / max(part.rows, 1)
        if part.bytes >= policy.small * policy.target_bytes and not _is_dying(share, policy):
            continue
        live = round(part.bytes * (1 - share))
        if group and (size + live > policy.target_bytes or len(group) == MOST_PARTS):
            found.append(group)
            group, size = [], 0
        group.append(part)
        size += live
    found.append(group)
    return [g for g in found if len(g) > 1 or any(_is_dying(dead.get(p.path, 0) / max(p.rows, 1), policy) for p in g)]


def _is_dying(share: float, policy: CompactionPolicy) -> bool:
    return share > 0 and share >= policy.min_dead


def _corrections_and_parts(
    catalog: Catalog, encoding: Encoding, table: str | None = None
) -> tuple[Corrections, list[Part]]:
    """Return the corrections and the live parts of an encoding, of one table or all, from one read transaction."""
    with catalog.reading() as connection:
        corrections = Corrections.read(connection, encoding.encoding_id)
        return corrections, part_rows.live_parts(connection, encoding_id=encoding.encoding_id, table=table)


def _merge(catalog: Catalog, encoding: Encoding, group: Sequence[Part], merged: MergedRows | None) -> Merge:
    """Replace a group by one part; None means that the group is broken and stays."""
    lake, table = catalog.lake, group[0].table
    made: Part | None = None
    rows = sum(part.rows for part in group)
    outcome = "broken"
    if merged is not None:
        if merged.rows:
            made = write_part(
                lake, merged.batches, table=table, encoding_id=encoding.encoding_id, width=encoding.spec.width,
                layout=encoding.layouts.of(table),
            )  # fmt: skip
        if (made.rows if made else 0) != merged.rows:
            raise PolysemeError(f"Merging {len(group)} parts of {table} lost rows; nothing was replaced. Run verify.")
        done = catalog.replace_parts(group, made, moved=merged.moves_applied)
        outcome = "merged" if done else "overtaken"
        if not done and made is not None:
            lake.files.remove([made.path])
            made = None
    return Merge(
        table=table,
        encoding=encoding.name,
        parts=len(group),
        bytes_before=sum(part.bytes for part in group),
        bytes_after=made.bytes if made else 0,
        rows_after=made.rows if made else 0,
        rows_dropped=rows - (made.rows if made else 0) if outcome == "merged" else 0,
        outcome=outcome,
    )


def _broken_parts(parts: Iterable[Part], files: LocalParts) -> list[str]:
    """Return the paths of parts that are missing or changed: a merge would give their rows a valid hash."""
    return [p.path for p in parts if p.path not in files or sha256_of(files[p.path]) != p.sha256]


def _dead_rows(lake: Lake, parts: Sequence[Part], corrections: Corrections) -> dict[str, int]:
    """Return the number of dead rows of parts of one table, by path. Parts that cannot be read count as having none."""
    if not parts or not corrections.dead_in(parts[0].table).num_rows:
        return {}
    found: dict[str, int] = {}
    with duckdb.connect() as con:
        lake.files.attach(con, [part.path for part in parts])
        con.register("dead", corrections.dead_in(parts[0].table))
        for part in parts:
            query = f"SELECT count(*) FROM {_versions_in(lake, part)} SEMI JOIN dead USING (doc_id, version)"
            try:
                row = con.execute(query).fetchone()
            except (duckdb.Error, UnicodeDecodeError):
                continue
            found[part.path] = row[0] if row else 0
    return found


def drop_corrections(catalog: Catalog, encoding: Encoding) -> None:
    """Drop the corrections of hidden versions of which no part has rows any more."""
    corrections, parts = _corrections_and_parts(catalog, encoding)
    hidden = _in_none(catalog.lake, parts, corrections.hidden)
    described = [part for part in parts if part.table == "documents"]
    redescribed = _in_none(catalog.lake, described, corrections.redescribed)
    if hidden or redescribed:
        searched = {part.path for part in parts}
        with catalog.writing() as connection:
            part_rows.drop_corrections(connection, encoding.encoding_id, hidden, searched=searched)
            part_rows.drop_corrections(
                connection, encoding.encoding_id, redescribed, searched=searched, of=(redescribed_rows, moved_rows)
            )


def _in_none(lake: Lake, parts: Sequence[Part], hidden: pa.Table) -> list[tuple[str, int]]:
    """Return those of the versions `(doc_id, version)` of which no part has a row."""
    if hidden.num_rows:
        with duckdb.connect() as con:
            # At once: a folder of ten thousand parts that is listed for each of them takes minutes.
            lake.files.attach(con, [part.path for part in parts])
            for part in parts:
                if not hidden.num_rows:
                    break
                hidden = _not_in(con, lake, part, hidden)
    return list(zip(hidden["doc_id"].to_pylist(), hidden["version"].to_pylist(), strict=True))


def _not_in(con: duckdb.DuckDBPyConnection, lake: Lake, part: Part, hidden: pa.Table) -> pa.Table:
    con.register("hidden", hidden)
    try:
        return con.sql(f"FROM hidden ANTI JOIN {_versions_in(lake, part)} USING (doc_id, version)").to_arrow_table()
    except (duckdb.Error, UnicodeDecodeError):
        # The rows of a broken part are unknown: everything stays hidden.
        return hidden.slice(0, 0)


def _versions_in(lake: Lake, part: Part) -> str:
    file = quote(str(lake.part_path(part.path)))
    return f"(SELECT doc_id, version FROM read_parquet({file}, hive_partitioning = false))"
