"""Two lakes with one content: one that was changed step by step, and one that was made at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import Counts, Document, Outputs
from polyseme.storage.sql.connection import connect
from polyseme.tasks.engine import Engine
from polyseme.tasks.shards.scan import Scan
from polyseme.tasks.shards.stages import commit_shard, encode_shard
from tests import lakes

Rows = dict[str, list[tuple[object, ...]]]

COMPARED = {
    "documents": "SELECT * EXCLUDE (version, ingested_at, modified_at, bytes) FROM documents",
    "sentences": "FROM sentences",
    "words": "FROM words",
    "tokens": "FROM tokens",
    "transitions": "FROM transitions WHERE kind = 'adjacent'",
}
"""All that is stored but times, versions, and the random baseline."""


def embed(
    root: Path | str, documents: Iterable[Document], engine: Engine, outputs: Outputs, catalog_url: str | None = None
) -> Counts:
    """Scan, encode and commit documents as one run of their own, without Prefect. Return what it did."""
    lake = Lake(root, catalog_url)
    with Catalog.create_or_open(lake) as catalog:
        catalog.register_encoding(engine.spec, centres=lakes.layouts_of(engine.spec).centres)
        run_id = f"run{len(catalog.snapshot().runs)}"
        version = catalog.begin_run(run_id, engine.spec.encoding_id, [])
        scan = Scan(catalog, lake, run_id, version, engine.spec.encoding_id, outputs)
        try:
            shards = list(scan.shards(documents))
            return sum((commit_shard(encode_shard(s, lake, catalog, engine), catalog) for s in shards), Counts())
        finally:
            scan.close()


def stored(root: Path | str) -> Rows:
    """Return the rows of a lake that reuse must not change, vectors to the bit."""
    with connect(root) as con:
        return {name: sorted(con.execute(sql).fetchall(), key=repr) for name, sql in COMPARED.items()}


def rows(root: Path | str, sql: str) -> Sequence[tuple[object, ...]]:
    """Return what a query of the lake answers."""
    with connect(root) as con:
        return con.execute(sql).fetchall()
