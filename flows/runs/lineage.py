"""Lineage: a completed run publishes its lake as a Prefect asset, made from the sources it read.

The key is the lake's address, without the characters that Prefect refuses. Knows names and counts, no rows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from prefect.assets import Asset, AssetProperties, materialize
from prefect.cache_policies import NO_CACHE

from polyseme.flows.runs.run_report import RunReport
from polyseme.storage.catalog import Catalog
from polyseme.storage.sql.publish import publish
from polyseme.tasks.reading.folders import MAGIC

_REFUSED = re.compile(r"[\s#?&%\"'<>\[\]{}|\\^`\0]")
_ADDRESS = re.compile(r"(?:file|s3|gs|az|hf|https?)://")
_LONGEST, _MOST_SOURCES = 500, 50


def publish_as_asset(catalog: Catalog, report: RunReport, places: Iterable[str]) -> int:
    """Publish the lake inside a flow and record it as materialized, from the files and folders among `places`.

    Returns the catalog version it shows.
    """
    lake = Asset(
        key=asset_key(f"{report.lake}/catalog.duckdb"),
        properties=AssetProperties(name=f"Lake {Path(report.lake).name}", description="Opens with any DuckDB."),
    )

    upstream: list[str | Asset] = [asset_key(place) for place in places if is_there(place)]

    @materialize(
        lake,
        asset_deps=upstream[:_MOST_SOURCES],
        name="publish",
        persist_result=False,
        cache_policy=NO_CACHE,
    )
    def publish_lake() -> int:
        counts, tally = report.counts, report.tally
        lake.add_metadata(
            {
                "run_id": report.run_id,
                "encoding": report.encoding,
                "documents": counts.documents,
                "rounded": counts.rounded_documents,
                "redescribed": counts.redescribed,
                "tokens": counts.tokens,
                "deleted": tally.deleted,
                "rejected": tally.rejected,
            }
        )
        return publish(catalog)

    version: int = publish_lake()
    return version


def asset_key(place: str) -> str:
    """Return the address of a file, folder or URL as Prefect takes it for a key."""
    address = place if "://" in place else f"file://{Path(place).expanduser().resolve()}"
    return _REFUSED.sub("-", address)[:_LONGEST]


def is_there(place: str) -> bool:
    """True for an existing file or folder and for an address; standard input and patterns are not addresses."""
    if _ADDRESS.match(place):
        return place.startswith("file://") or not MAGIC.search(place)
    return os.path.exists(os.path.expanduser(place))
