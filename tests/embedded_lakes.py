"""Lakes with the embedded model's vectors for tests: a few texts in one shard, without Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, Outputs
from polyseme.tasks.engine import Engine, shared_engine
from polyseme.tasks.engine_config import EngineConfig
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
    """Return the texts as documents with a title and metadata, in their order."""
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
        catalog.register_encoding(engine.spec, centres=lakes.layouts_of(engine.spec).centres)
        version = lakes.begin(catalog, engine.spec, run_id)
        chunks = engine.run(found, wanted, version=version, seed=1, ingested_at=lakes.INGESTED_AT)
        tables = (table for chunk in chunks for table in chunk.tables.items())
        parts = lakes.write_parts(lake, engine.spec, tables)
        versions = [
            lakes.document_version(
                d.doc_id, version, uri=d.uri, record_sha256=d.record_sha256, outputs=wanted, n_tokens=0
            )
            for d in found
        ]
        catalog.commit_shard(lakes.make_result(engine.spec, versions, run_id=run_id, parts=parts, outputs=wanted))
    return lake
