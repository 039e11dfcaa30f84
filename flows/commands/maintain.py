"""`polyseme compact`, `vacuum`, `verify` and `publish`: maintenance of a lake. Only `--repair` starts a flow."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import GraceHours, LakeOptions
from polyseme.flows.commands.options.model import LakeModelOptions
from polyseme.flows.commands.options.running import Json
from polyseme.flows.display.output import write_json
from polyseme.flows.display.terminal import note, show
from polyseme.flows.settings import prepare_prefect
from polyseme.storage.wording import many

if TYPE_CHECKING:
    from polyseme.flows.repair import RepairReport
    from polyseme.storage.lake import Lake
    from polyseme.storage.maintenance.compaction import Merge
    from polyseme.storage.maintenance.vacuum import Leftover
    from polyseme.storage.maintenance.verification import Verification

Exit = int
_SHOWN = 20


def compact(
    *,
    target_mb: int = 256,
    purge: Annotated[bool, Parameter(negative="")] = False,
    lake: LakeOptions = LakeOptions(),
    json: Json = False,
) -> Exit:
    """Merge small parts into large ones and drop the rows of replaced documents, and of deleted ones after a vacuum.

    Until then polyseme restore can bring them back. Safe beside other runs. The old files stay, for readers that have
    them open, until polyseme vacuum.

    Example: polyseme compact --target-mb 512

    Parameters
    ----------
    target_mb
        Size of the merged files, in MiB.
    purge
        Rewrite every part that holds a row of a replaced or deleted document, however few there are.
    """
    from polyseme.flows.runs.maintenance import compact as run
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.maintenance.compaction import MIB, CompactionPolicy

    policy = CompactionPolicy(target_bytes=target_mb * MIB, min_dead=0.0 if purge else CompactionPolicy().min_dead)
    with Catalog.open(lake.lake()) as catalog:
        report = run(catalog, policy, progress=_print_merge)
    if json:
        write_json({"merges": [asdict(m) for m in report.merges], "broken": report.broken})
    elif not report.merges:
        show("Nothing to compact.")
    else:
        done = [m for m in report.merges if m.outcome == "merged"]
        show(
            f"{many(sum(m.parts for m in done), 'parts')} became {sum(m.bytes_after > 0 for m in done):,}, "
            f"{sum(m.bytes_before for m in done) / 1e6:,.1f} MB became "
            f"{sum(m.bytes_after for m in done) / 1e6:,.1f} MB, "
            f"{many(sum(m.rows_dropped for m in done), 'rows')} dropped. "
            "polyseme vacuum removes the old files once no reader needs them."
        )
    for path in report.broken:
        _note(f"left alone, because it is not what was written: {path} (run polyseme verify)")
    return 1 if report.broken else 0


def vacuum(
    *,
    grace_hours: GraceHours = 24.0,
    yes: Annotated[bool, Parameter(negative="", alias="-y")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    lake: LakeOptions = LakeOptions(),
    json: Json = False,
) -> Exit:
    """Remove replaced parts that no reader needs any more, and files that killed runs left behind.

    Ends the time in which documents deleted before the grace period can be restored: the next polyseme compact drops
    their rows.

    Files that are named like parts but are not in the catalog are listed, and removed only with --yes.

    Example: polyseme vacuum --dry-run --grace-hours 1

    Parameters
    ----------
    yes
        Remove the unknown parts too.
    dry_run
        List what would be removed; remove nothing.
    """
    from polyseme.flows.runs.maintenance import vacuum as run
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.maintenance.vacuum import find_leftovers

    grace, now = timedelta(hours=grace_hours), datetime.now(UTC)
    with Catalog.opened(lake.lake(), dry_run=dry_run) as catalog:
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
    _list(f"unknown parts {verb if yes else 'kept: they are not in the catalog, --yes removes them'}", found.unknown)
    _list("replaced parts kept for readers until the grace period is over", found.waiting)
    if not any((found.retired, found.scratch, found.unknown, found.waiting)):
        show("Nothing to remove.")
    return 0


def verify(
    *,
    grace_hours: GraceHours = 24.0,
    repair: Annotated[bool, Parameter(negative="")] = False,
    model: LakeModelOptions = LakeModelOptions(),
    lake: LakeOptions = LakeOptions(),
    json: Json = False,
) -> Exit:
    """Check every live part's hash, rows and schema, and that offsets, counts and documents agree.

    Exits with 1 and a list of the faults. Changes nothing without --repair, which takes broken parts out of the lake
    and encodes their documents again: from the text the lake holds, else from their source. Exits with 0 then, unless
    faults remain.

    Example: polyseme verify --repair

    Parameters
    ----------
    repair
        Encode the documents of broken parts again. Needs the model that encoded them.
    """
    place, grace = lake.lake(), timedelta(hours=grace_hours)
    found = result = _verified(place, grace)
    repaired: list[RepairReport] = []
    if repair and found.findings:
        if not json:
            _print_findings(found)
        repaired = _repaired(place, found.broken, model)
        result = _verified(place, grace)
    if json:
        write_json(
            {**asdict(result), "ok": not result.findings, "found": [asdict(f) for f in found.findings],
             "repaired": [asdict(done) for done in repaired]}
        )  # fmt: skip
    else:
        for done in repaired:
            _print_repaired(done)
        _print_findings(result)
    return 1 if result.findings else 0


def publish(*, at: str | None = None, lake: LakeOptions = LakeOptions()) -> Exit:
    """Rebuild catalog.duckdb, the file that any DuckDB opens, from the catalog.

    Every run does so itself. The command is needed if the file was damaged or removed, or if the lake was moved and is
    attached to other databases: opened by itself, the file finds the lake's files beside it.

    Example: polyseme publish --lake ./copy --at https://example.org/lake

    Parameters
    ----------
    at
        The URL or the folder where this lake will be: publish a copy (polyseme backup) for it, then upload the copy.
    """
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.lake import Lake
    from polyseme.storage.sql.publish import publish as run

    place = None if at is None else Lake(at)
    with Catalog.open(lake.lake()) as catalog:
        version = run(catalog, anew=True, at=place)
        found = "" if place is None else f", with its files at {place.root}"
        show(f"{catalog.lake.published_path} shows version {version} of the catalog{found}.")
    return 0


def _verified(lake: Lake, grace: timedelta) -> Verification:
    from polyseme.flows.display.progress_bar import counted
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.maintenance.verification import verify as run

    with Catalog.open(lake) as catalog:
        total = sum(catalog.totals(e.encoding_id)["bytes"] for e in catalog.encodings())
        with counted("verifying", total) as advance:
            return run(catalog, grace=grace, now=datetime.now(UTC), progress=lambda part: advance(part.bytes))


def _repaired(lake: Lake, broken: frozenset[str], model: LakeModelOptions) -> list[RepairReport]:
    prepare_prefect(verbose=False)
    from polyseme.flows.display.progress_bar import shown
    from polyseme.flows.repair import repair_lake

    with shown("embedding"):
        return repair_lake(lake, broken, device=model.device, model=model.model)


def _print_findings(result: Verification) -> None:
    for finding in result.findings:
        show(f"{finding.kind}: {finding.subject}: {finding.message}")
    show(
        f"{many(result.parts, 'parts')}, {result.bytes / 1e6:,.1f} MB: "
        f"{f'faults: {len(result.findings)}' if result.findings else 'all well'}."
    )


def _print_repaired(done: RepairReport) -> None:
    show(
        f"{done.encoding}: broken parts taken out of the lake: {done.retired:,}, documents encoded again: "
        f"{done.encoded:,}."
    )
    if done.lost:
        uris = list(dict.fromkeys(done.lost.values()))
        more = f" and {len(uris) - _SHOWN:,} more (--json lists all)" if len(uris) > _SHOWN else ""
        show(
            f"Documents whose text was in a broken part and whose source cannot be read: {len(done.lost):,}. "
            f"Embed their source again: {', '.join(uris[:_SHOWN])}{more}"
        )


def _print_merge(merge: Merge) -> None:
    _note(
        f"{merge.table}_{merge.encoding}: {many(merge.parts, 'parts')}, {merge.bytes_before / 1e6:,.1f} MB -> "
        f"{merge.bytes_after / 1e6:,.1f} MB, {many(merge.rows_dropped, 'rows')} dropped ({merge.outcome})"
    )


def _list(title: str, found: tuple[Leftover, ...]) -> None:
    if not found:
        return
    show(f"{len(found):,} {title} ({sum(f.bytes for f in found) / 1e6:,.1f} MB)")
    for leftover in found[:_SHOWN]:
        show(f"  {leftover.path}  {leftover.bytes:,} bytes")
    if len(found) > _SHOWN:
        show(f"  … and {len(found) - _SHOWN:,} more (--json lists all)")


def _note(line: str) -> None:
    note(line)
