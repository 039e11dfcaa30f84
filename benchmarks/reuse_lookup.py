"""What looking up stored rows costs where parts are large and little changed, against encoding the documents whole.

    python -m benchmarks.reuse_lookup [--megabytes 100] [--no-nsp]

The pages of the example corpus are encoded by the embedded model, and their rows repeated under other ids until the
part of `words` has the size: one part a table, as after a compaction. Then a sentence is added to the shortest page, to
the longest, and to all of them, and their shard is encoded with reuse and without. Prints JSON: CPU seconds (the least
of three), and the bytes of the parts that a look-up hashes, and would fetch from an object store.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.machine import describe
from polyseme.storage.catalog import Catalog
from polyseme.storage.database import part_rows
from polyseme.storage.lake import Lake
from polyseme.storage.parts import write_part
from polyseme.storage.records import Counts, Document, Outputs, Part, Shard
from polyseme.storage.schemas import SORT_KEYS
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model.checkpoint import EMBEDDED
from polyseme.tasks.reading.normalization import normalise
from polyseme.tasks.shards.scan import Scan
from polyseme.tasks.shards.stages import commit_shard, encode_shard

_CORPUS = Path(__file__).parent.parent / "examples" / "corpus"
_ADDED = "\n\nThe last sentence of this page was written today."
_TRIES = 3


def measure(folder: Path, megabytes: int, *, nsp: bool) -> dict[str, Any]:
    """Return the figures of a lake in `folder` whose largest part has about so many MB."""
    engine, outputs = Engine(EngineConfig(model=EMBEDDED, device="cpu")), Outputs("words", None, nsp=nsp)
    pages = [
        Document(path.name, path.as_uri(), normalise(path.read_text("utf-8"))) for path in sorted(_CORPUS.glob("*.md"))
    ]
    by_length = sorted(pages, key=lambda page: len(page.text))
    with Catalog.create_or_open(Lake(folder / "lake")) as catalog:
        catalog.register_encoding(engine.spec)
        for shard in staged(catalog, engine, outputs, pages):
            commit_shard(encode_shard(shard, catalog.lake, catalog, engine), catalog)
        parts = grow(catalog, engine, megabytes)
        found: dict[str, Any] = {"megabytes": {part.table: round(part.bytes / 1e6, 1) for part in parts}}
        for name, some in {"shortest": by_length[:1], "longest": by_length[-1:], "all": pages}.items():
            changed = [replace(page, text=page.text + _ADDED) for page in some]
            (shard,) = staged(catalog, engine, outputs, changed)
            with_reuse, without = (encoded(catalog, engine, shard, reuse=reuse) for reuse in (True, False))
            found[name] = {"pages": len(some), "tokens": without["tokens"], "reused": with_reuse, "whole": without}
    return found


def staged(catalog: Catalog, engine: Engine, outputs: Outputs, documents: Sequence[Document]) -> list[Shard]:
    """Scan documents as one run, and return its shards."""
    run_id = f"run{len(catalog.snapshot().runs)}"
    version = catalog.begin_run(run_id, engine.spec.encoding_id, [])
    scan = Scan(catalog, catalog.lake, run_id, version, engine.spec.encoding_id, outputs)
    try:
        return list(scan.shards(documents))
    finally:
        scan.close()


def encoded(catalog: Catalog, engine: Engine, shard: Shard, *, reuse: bool) -> dict[str, Any]:
    """Encode a shard a few times, without committing it."""
    times: list[float] = []
    counts = Counts()
    for _ in range(_TRIES):
        began = time.process_time()
        counts = encode_shard(shard, catalog.lake, catalog, engine, reuse=reuse).counts
        times.append(time.process_time() - began)
    return {
        "cpu_seconds": round(min(times), 3),
        "tokens": counts.tokens,
        "forward_tokens": counts.forward_tokens,
        "reused_sentences": counts.reused_sentences,
    }


def grow(catalog: Catalog, engine: Engine, megabytes: int) -> list[Part]:
    """Repeat the rows of every table under other ids, in one part each. Returns the parts."""
    spec, made = engine.spec, []
    with catalog.reading() as connection:
        live = part_rows.live_parts(connection, encoding_id=spec.encoding_id)
    copies = max(1, round(megabytes * 1e6 / sum(part.bytes for part in live if part.table == "words")))
    for table in dict.fromkeys(part.table for part in live):
        old = [part for part in live if part.table == table]
        rows = pa.concat_tables([pq.read_table(catalog.lake.part_path(part.path), partitioning=None) for part in old])
        ids = rows["doc_id"].cast(pa.string())
        at = rows.schema.get_field_index("doc_id")
        renamed = (pc.binary_join_element_wise(ids, str(number), "~") if number else ids for number in range(copies))
        many = pa.concat_tables([rows.set_column(at, rows.schema.field(at), some) for some in renamed])
        many = many.sort_by([(key, "ascending") for key in SORT_KEYS[table]])
        made.append(write_part(catalog.lake, many, table=table, encoding_id=spec.encoding_id, width=spec.width))
        if not catalog.replace_parts(old, made[-1], moved=()):
            raise AssertionError("another process changes the lake")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--no-nsp", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="polyseme-lookup-") as folder:
        found = measure(Path(folder), options.megabytes, nsp=not options.no_nsp)
    print(json.dumps({**describe(), **found}, indent=1))


if __name__ == "__main__":
    main()
