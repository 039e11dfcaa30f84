"""Maintenance as Prefect flows: compact, vacuum, verify and publish a lake, on a schedule or on request.

Each is one step over one lake, safe beside runs that write and read it, and safe to retry. The decisions are made in
`storage`; here is only the order and the report.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from prefect.runtime import flow_run as current

from polyseme.flows.observation.maintenance import FlowRun
from polyseme.flows.repair import repair_lake
from polyseme.flows.runs.maintenance import compact, vacuum
from polyseme.flows.server.corpora import makers
from polyseme.flows.server.every_corpus import do_for_each
from polyseme.flows.settings import lake_at
from polyseme.storage.catalog import Catalog
from polyseme.storage.catalog_url import refuse_password
from polyseme.storage.errors import MissingLakeError, PolysemeError, in_words
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import MIB, CompactionPolicy
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.sql.publish import publish
from polyseme.storage.wording import many
from polyseme.tasks.markdown import code, literal

_LISTED = 200
"""The most lines of a report."""


@flow(name="compact", persist_result=False, retries=2, retry_delay_seconds=30)
def compact_lake(
    lake: str = "lake", catalog_url: str | None = None, target_mb: int = 256, purge: bool = False
) -> dict[str, int]:
    """Merge small parts and drop rows of replaced and deleted documents; with `purge` from every part that has some."""
    policy = CompactionPolicy(target_bytes=target_mb * MIB, min_dead=0.0 if purge else CompactionPolicy().min_dead)
    log = get_run_logger()
    with Catalog.open(_place(lake, catalog_url)) as catalog:
        report = compact(catalog, policy, progress=lambda merge: log.info("%s", merge), flow_run=_flow_run())
    if report.broken:
        raise PolysemeError(f"{many(len(report.broken), 'broken parts')} left alone. Run `polyseme verify`.")
    done = [merge for merge in report.merges if merge.outcome == "merged"]
    counts = {
        "merges": len(done),
        "parts": sum(merge.parts for merge in done),
        "rows_dropped": sum(merge.rows_dropped for merge in done),
        "bytes_before": sum(merge.bytes_before for merge in done),
        "bytes_after": sum(merge.bytes_after for merge in done),
    }
    _report("compact", lake, counts)
    return counts


@flow(name="vacuum", persist_result=False, retries=2, retry_delay_seconds=30)
def vacuum_lake(
    lake: str = "lake", catalog_url: str | None = None, grace_hours: float = 24.0, unknown: bool = False
) -> dict[str, int]:
    """Remove files that are no longer needed; with `unknown` also those named like parts but not in the catalog."""
    with Catalog.open(_place(lake, catalog_url)) as catalog:
        grace = timedelta(hours=grace_hours)
        found = vacuum(catalog, grace=grace, now=datetime.now(UTC), unknown=unknown, flow_run=_flow_run())
    counts = {
        "retired": len(found.retired),
        "scratch": len(found.scratch),
        "unknown": len(found.unknown),
        "waiting": len(found.waiting),
        "bytes": sum(f.bytes for f in (*found.retired, *found.scratch, *(found.unknown if unknown else ()))),
    }
    _report("vacuum", lake, counts)
    return counts


@flow(name="verify", persist_result=False)
def verify_lake(
    lake: str = "lake",
    catalog_url: str | None = None,
    grace_hours: float = 24.0,
    repair: bool = False,
    model: str | None = None,
) -> dict[str, int]:
    """Check every part, and that parts and catalog agree. Raises PolysemeError for faults, so that the run fails.

    With `repair` the documents of broken parts are encoded again first, and the faults that remain count; `model` is
    the new place of a checkpoint that has moved.
    """
    place, grace = _place(lake, catalog_url), timedelta(hours=grace_hours)
    with Catalog.open(place) as catalog:
        result = verify(catalog, grace=grace, now=datetime.now(UTC))
    if repair and result.findings:
        repair_lake(place, result.broken, model=model, flow_run=_flow_run())
        with Catalog.open(place) as catalog:
            result = verify(catalog, grace=grace, now=datetime.now(UTC))
    kinds = Counter[str](finding.kind for finding in result.findings)
    counts = {"parts": result.parts, "bytes": result.bytes, **kinds}
    _report("verify", lake, counts, [f"{f.kind}: {f.subject}: {f.message}" for f in result.findings])
    if result.findings:
        first = result.findings[0]
        raise PolysemeError(
            f"{many(len(result.findings), 'faults')} in {lake}, the first: {first.kind}: {first.subject}: "
            f"{first.message}. "
            "`polyseme verify` lists them, `polyseme verify --repair` encodes the documents of broken parts again."
        )
    return counts


@flow(name="publish", persist_result=False, retries=2, retry_delay_seconds=30)
def publish_lake(lake: str = "lake", catalog_url: str | None = None) -> int:
    """Rebuild `catalog.duckdb` from the catalog. Returns the catalog version it shows."""
    with Catalog.open(_place(lake, catalog_url)) as catalog:
        return publish(catalog, anew=True)


@flow(name="maintain", persist_result=False)
def maintain(lakes: list[str] | None = None) -> None:
    """Compact, vacuum and verify lakes, those of all configured corpora for None, each as a flow run of its own.

    A lake that does not exist yet is skipped. Raises PolysemeError for faults, once every lake is done.
    """
    places, failures = dict[str, str | None](), list[str]()
    if lakes is None:
        failures = do_for_each(makers(), lambda corpus: places.update({corpus.lake: corpus.catalog}))
    else:
        places = dict.fromkeys(lakes)
    for lake, catalog_url in places.items():
        try:
            Catalog.open(_place(lake, catalog_url)).close()
        except MissingLakeError as error:  # before a step that would be tried three times
            failures += [] if lakes is None else [str(error)]
            get_run_logger().info("no lake at %s yet", lake)
            continue
        except Exception:  # each step tries again, and says what is wrong
            pass
        for step in (compact_lake, vacuum_lake, verify_lake):
            try:
                step(lake, catalog_url)
            except Exception as error:  # whatever it is, the other steps and lakes are done all the same
                failures.append(f"{step.name}: {in_words(error)}")
    if failures:
        raise PolysemeError("; ".join(failures))


def _place(lake: str, catalog_url: str | None) -> Lake:
    refuse_password(catalog_url)
    return lake_at(lake, catalog_url)


def _flow_run() -> FlowRun:
    return current.id, current.flow_name


def _report(what: str, lake: str, counts: dict[str, int], lines: list[str] | None = None) -> None:
    table = "\n".join(f"| {name.replace('_', ' ')} | {value:,} |" for name, value in counts.items())
    lines = lines or []
    items = [literal(line) for line in lines[:_LISTED]]
    if len(lines) > _LISTED:
        items.append(f"{len(lines) - _LISTED:,} more: polyseme {what} lists all")
    listed = "\n".join(f"- {item}" for item in items)
    create_markdown_artifact(
        f"Lake {code(lake)}\n\n| what | count |\n|---|---:|\n{table}\n\n{listed}", key=f"{what}-summary"
    )
