"""Maintenance that observers are told of: what `storage` does to a lake, by a command or in a flow of Prefect.

Decides nothing of it. What becomes of documents that a repair marks is a run of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta

from polyseme.flows.observation.facts import ChangedTable
from polyseme.flows.observation.maintenance import Changes, FlowRun, observed
from polyseme.storage.catalog import Catalog
from polyseme.storage.database import part_rows
from polyseme.storage.database.deletions import DeletedDocument
from polyseme.storage.errors import LakeError
from polyseme.storage.maintenance import compaction, quarantine, restoring
from polyseme.storage.maintenance import vacuum as vacuuming
from polyseme.storage.maintenance.compaction import CompactionPolicy, CompactionReport, Merge
from polyseme.storage.maintenance.restoring import Restored
from polyseme.storage.maintenance.vacuum import Leftovers
from polyseme.storage.sql.publish import publish
from polyseme.storage.wording import many


def compact(
    catalog: Catalog, policy: CompactionPolicy, *, progress: Callable[[Merge], None], flow_run: FlowRun | None = None
) -> CompactionReport:
    """Compact a lake and publish it, unless a part is broken in a way that keeps it from being read."""
    with observed("compact", catalog, flow_run) as changes:
        encodings = {encoding.name: encoding for encoding in catalog.encodings()}
        counts = changes.counts = dict.fromkeys(("merges", "parts", "rows_dropped", "bytes_before", "bytes_after"), 0)

        def note(merge: Merge) -> None:
            progress(merge)
            if merge.outcome != "merged":
                return
            for name in ("parts", "rows_dropped", "bytes_before", "bytes_after"):
                counts[name] += getattr(merge, name)
            counts["merges"] += 1
            spec = encodings[merge.encoding].spec
            changes.changed(
                ChangedTable(
                    table=merge.table, encoding_id=spec.encoding_id, width=spec.width, rows=merge.rows_after,
                    bytes=merge.bytes_after, files=int(merge.rows_after > 0),
                )
            )  # fmt: skip

        report = compaction.compact(catalog, policy, progress=note)
        # DuckDB reads the columns of all parts: without one of them nothing can be published, until it is repaired.
        with suppress(LakeError) if report.broken else nullcontext():
            publish(catalog)
        if report.broken:
            changes.error = f"{many(len(report.broken), 'broken parts')} left alone. Run `polyseme verify`."
    return report


def vacuum(
    catalog: Catalog, *, grace: timedelta, now: datetime, unknown: bool, flow_run: FlowRun | None = None
) -> Leftovers:
    """Vacuum a lake. No table changes: the files that it removes are of none any more."""
    with observed("vacuum", catalog, flow_run) as changes:
        found = vacuuming.vacuum(catalog, grace=grace, now=now, unknown=unknown)
        removed = (*found.retired, *found.scratch, *(found.unknown if unknown else ()))
        changes.counts = {
            "retired": len(found.retired),
            "scratch": len(found.scratch),
            "unknown": len(found.unknown),
            "waiting": len(found.waiting),
            "bytes": sum(file.bytes for file in removed),
        }
    return found


def restore(catalog: Catalog, documents: Sequence[DeletedDocument]) -> Restored:
    """Show deleted documents again and publish the lake."""
    with observed("restore", catalog) as changes:
        done = restoring.restore(catalog, documents)
        with catalog.reading() as connection:
            parts = part_rows.live_parts(connection)
        shown = {document.encoding_id for document in done.documents}
        _changed(changes, catalog, {(part.table, part.encoding_id) for part in parts if part.encoding_id in shown})
        changes.counts = {"documents": len(done.documents), "gone": len(done.gone)}
        publish(catalog)
    return done


def take_out(
    catalog: Catalog, broken: frozenset[str], flow_run: FlowRun | None = None
) -> list[quarantine.RepairReport]:
    """Take the `broken` parts, given by path, out of a lake, mark their documents, and publish it."""
    with observed("repair", catalog, flow_run) as changes:
        with catalog.reading() as connection:
            parts = [part for part in part_rows.live_parts(connection) if part.path in broken]
        done = quarantine.repair(catalog, broken)
        _changed(changes, catalog, {(part.table, part.encoding_id) for part in parts})
        changes.counts = {
            "retired": sum(len(one.retired) for one in done), "stale": sum(len(one.stale) for one in done)
        }  # fmt: skip
        publish(catalog)
    return done


def _changed(changes: Changes, catalog: Catalog, tables: Set[tuple[str, str]]) -> None:
    """Note that tables, each with the id of its encoding, were changed without a file of theirs being written."""
    widths = {encoding.encoding_id: encoding.spec.width for encoding in catalog.encodings()}
    for table, encoding_id in sorted(tables):
        changes.changed(ChangedTable(table=table, encoding_id=encoding_id, width=widths[encoding_id]))
