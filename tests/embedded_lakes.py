"""A real lake of a few texts, made with the embedded model and without Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.parts import write_part
from polyseme.storage.records import Document, DocumentVersion, Outputs
from polyseme.tasks.engine import Engine, EngineConfig, shared_engine
from tests import lakes

TEXTS = {
    "river": "The river left its bank in spring. The fields were under water for a week. Nobody was hurt.",
    "canal": "We moored at the bank of the canal. Reeds grew along the bank. A heron stood in the water.",
    "brook": "The brook has cut into its bank. Below the bank the water is deep. Trout hide there all day.",
    "money": "The bank lent him the money. He paid it back to the bank within a year. His account is closed now.",
    "loan": "She asked the bank for a loan. The bank refused. Its manager did not trust her accounts.",
    "safe": "The bank keeps its gold in a vault. The clerk of the bank has the key. Savings are safe there.",
}


def documents(texts: dict[str, str] = TEXTS) -> list[Document]:
    return [
        Document(doc_id=name, uri=f"file:///{name}.txt", text=text, title=f"On {name}", metadata=f'{{"n": {i}}}')
        for i, (name, text) in enumerate(texts.items())
    ]


def make(
    root: Path,
    found: Sequence[Document],
    *,
    config: EngineConfig | None = None,
    outputs: Outputs | None = None,
    run_id: str = "run",
) -> Lake:
    """Embed documents into a lake in one shard and return it."""
    engine: Engine = shared_engine(config or EngineConfig())
    wanted, lake = outputs or Outputs(), Lake(root)
    with Catalog.create_or_open(lake) as catalog:
        catalog.register_encoding(engine.spec)
        version = catalog.begin_run(run_id, engine.spec.encoding_id, ["texts"])
        parts = [
            write_part(lake, rows, table=name, encoding_id=engine.spec.encoding_id, width=engine.spec.width)
            for made in engine.run(
                found, wanted, version=version, seed=1, ingested_at=datetime(2026, 11, 1, tzinfo=UTC)
            )
            for name, rows in made.tables.items()
        ]
        versions = [
            DocumentVersion(doc_id=d.doc_id, uri=d.uri, version=version, record_sha256=d.record_sha256, outputs=wanted)
            for d in found
        ]
        catalog.commit_shard(lakes.make_result(engine.spec, versions, run_id=run_id, parts=parts, outputs=wanted))
    return lake
