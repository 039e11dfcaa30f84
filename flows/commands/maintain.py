"""`polyseme compact`, `vacuum` and `verify`: a lake kept small and whole. Plain calls, without a server."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.commands.options import CatalogOption, LakeOption
from flows.output import write_json
from flows.settings import lake_at

if TYPE_CHECKING:
    from storage.compaction import Merge
    from storage.repair import Repaired
    from storage.vacuum import Leftover

Exit = int
_SHOWN = 20


def compact(
    *,
    lake: LakeOption = "lake",
    catalog_url: CatalogOption = None,
    target_mb: int = 256,
    purge: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> Exit:
    """Merge small parts into large ones and drop the rows of replaced and deleted documents.

    Runs next to anything else. The old files stay for readers that have them open until polyseme vacuum.

    Parameters
    ----------
    target_mb
        Size of the files to make.
    purge
        Rewrite every part that holds a dead row, however few they are.
    json
        Write JSON.
    """
    from storage.catalog import Catalog
    from storage.compaction import MIB, CompactionPolicy
    from storage.compaction import compact as run
    from storage.publish import publish

    policy = CompactionPolicy(target_bytes=target_mb * MIB, min_dead=0.0 if purge else CompactionPolicy().min_dead)
    with Catalog.open(lake_at(lake, catalog_url)) as catalog:
        report = run(catalog, policy, progress=_tell_merge)
        publish(catalog)
    if json:
        write_json({"merges": [asdict(m) for m in report.merges], "broken": report.broken})
    elif not report.merges:
        print("Nothing to compact.")  # noqa: T201
    else:
        done = [m for m in report.merges if m.outcome == "merged"]
        print(  # noqa: T201
            f"{sum(m.parts for m in done):,} parts became {sum(m.bytes_after > 0 for m in done):,}, "
            f"{sum(m.bytes_before for m in done) / 1e6:,.1f} MB became "
            f"{sum(m.bytes_after for m in done) / 1e6:,.1f} MB, {sum(m.rows_dropped for m in done):,} rows dropped. "
            "polyseme vacuum removes the old files once no reader needs them."
        )
    for path in report.broken:
        _say(f"left alone, because it is not what was written: {path} (polyseme verify)")
    return 1 if report.broken else 0


def vacuum(
    *,
    lake: LakeOption = "lake",
    catalog_url: CatalogOption = None,
    grace_hours: float = 24.0,
    yes: Annotated[bool, Parameter(negative="", alias="-y")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> Exit:
    """Remove replaced parts that no reader needs any more, and what runs that died left half done.

    Files that look like parts and that the catalog does not know are listed, and removed only with --yes.

    Parameters
    ----------
    grace_hours
        How long a reader may go on with the files it opened; younger files stay.
    yes
        Remove the unknown parts too.
    dry_run
        List what would be removed.
    json
        Write JSON.
    """
    from storage.catalog import Catalog
    from storage.vacuum import find_leftovers
    from storage.vacuum import vacuum as run

    grace, now = timedelta(hours=grace_hours), datetime.now(UTC)
    with Catalog.open(lake_at(lake, catalog_url)) as catalog:
        if dry_run:
            found = find_leftovers(catalog, grace=grace, now=now)
        else:
            found = run(catalog, grace=grace, now=now, unknown=yes)
    if json:
        write_json({"dry_run": dry_run, "removed_unknown": yes and not dry_run, **asdict(found)})
        return 0
    verb = "would be removed" if dry_run else "removed"
    _list(f"replaced parts {verb}", found.retired)
    _list(f"leftovers of dead runs {verb}", found.scratch)
    _list(f"unknown parts {verb if yes else 'kept: no catalog knows them, --yes removes them'}", found.unknown)
    _list("replaced parts kept for readers until the grace period is over", found.waiting)
    if not any((found.retired, found.scratch, found.unknown, found.waiting)):
        print("Nothing to remove.")  # noqa: T201
    return 0


def verify(
    *,
    lake: LakeOption = "lake",
    catalog_url: CatalogOption = None,
    grace_hours: float = 24.0,
    repair: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> Exit:
    """Check every live part's hash, rows and schema, and that offsets, counts and documents agree.

    Exits with 1 and the list of what is wrong. Changes nothing without --repair, which takes broken parts out of the
    lake and marks their documents to be encoded again by the next polyseme backfill or embed.

    Parameters
    ----------
    grace_hours
        Unknown files count as faults once they are older.
    repair
        Retire broken parts and mark their documents.
    json
        Write JSON.
    """
    from storage.catalog import Catalog
    from storage.publish import publish
    from storage.repair import repair as mend
    from storage.verification import verify as run

    repaired: list[Repaired] = []
    with Catalog.open(lake_at(lake, catalog_url)) as catalog:
        result = run(catalog, grace=timedelta(hours=grace_hours), now=datetime.now(UTC))
        if repair and result.broken:
            repaired = mend(catalog, result.broken)
            publish(catalog)
    if json:
        write_json({**asdict(result), "ok": not result.findings, "repaired": [asdict(r) for r in repaired]})
    else:
        for finding in result.findings:
            print(f"{finding.kind}: {finding.subject}: {finding.message}")  # noqa: T201
        print(  # noqa: T201
            f"{result.parts:,} parts, {result.bytes / 1e6:,.1f} MB: "
            f"{f'faults: {len(result.findings)}' if result.findings else 'all well'}."
        )
        _print_repaired(repaired, lake)
    return 1 if result.findings else 0


def _print_repaired(repaired: list[Repaired], lake: str) -> None:
    for done in repaired:
        print(  # noqa: T201
            f"{done.encoding}: {len(done.retired)} broken parts left the lake, {len(done.stale)} documents are to be "
            "encoded again."
        )
        if len(done.stale) > len(done.lost):
            print(f"Make them again from the lake's own text: polyseme backfill --lake {lake}")  # noqa: T201
        if done.lost:
            print(f"The text of {len(done.lost)} went with its part: polyseme embed their source again.")  # noqa: T201


def _tell_merge(merge: Merge) -> None:
    _say(
        f"{merge.table}_{merge.encoding}: {merge.parts} parts, {merge.bytes_before / 1e6:,.1f} MB -> "
        f"{merge.bytes_after / 1e6:,.1f} MB, {merge.rows_dropped:,} rows dropped ({merge.outcome})"
    )


def _list(title: str, found: tuple[Leftover, ...]) -> None:
    if not found:
        return
    print(f"{len(found):,} {title} ({sum(f.bytes for f in found) / 1e6:,.1f} MB)")  # noqa: T201
    for leftover in found[:_SHOWN]:
        print(f"  {leftover.path}  {leftover.bytes:,} bytes")  # noqa: T201
    if len(found) > _SHOWN:
        print(f"  … and {len(found) - _SHOWN:,} more (--json lists all)")  # noqa: T201


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201
