"""Many small runs: what a lake costs after a thousand of them, against the same lake freshly compacted.

    python -m benchmarks.many_commits [--runs 1000]

Vectors are random and no model runs: each run writes parts through the storage of Polyseme, commits, and does after its
commit what `polyseme embed` does. A run is a night: one document gets another text, one another title, now and then one
is new or deleted, and the clock goes on by a day. Prints JSON. Bytes are of live parts; files that wait for vacuum's
grace period are counted apart: none here, since the clock is ahead of the one by which parts are retired. The two lakes
are asked in turn, medians of fifteen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import PUBLISHED, Lake
from polyseme.storage.maintenance.compaction import Merge, compact
from polyseme.storage.maintenance.tiering import tidy
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.parts import write_part
from polyseme.storage.records import Counts, DocumentVersion, EncodingSpec, Outputs, Part, Shard, ShardResult
from polyseme.storage.schemas import SORT_KEYS, embedding_type, table_schema
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish

_WIDTH, _DOCUMENTS, _SENTENCES, _WORDS = 128, 200, 20, 12
_SPEC = EncodingSpec(
    model="random", model_sha256="m", tokenizer_sha256="t", width=_WIDTH, layers="last", pooling="mean",
    context="sentence", max_tokens=128, precision="fp32", splitter="s",
)  # fmt: skip
_TRIES = 15
_PUBLISHED_EVERY = 50
_AGAIN = "AGAIN "
_QUESTIONS = {
    "milliseconds_to_start_and_ask_one": "SELECT 1",
    "milliseconds_to_start_and_count_words": "SELECT count(*) FROM words",
    "milliseconds_to_count_words": f"{_AGAIN}SELECT count(*) FROM words",
    "milliseconds_to_find_a_word": f"{_AGAIN}SELECT count(*) FROM words WHERE word_lower = 'w77'",
}


class Nights:
    """A lake that runs write, one a night."""

    def __init__(self, root: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.lake = Lake(root)
        self.catalog = Catalog.create_or_open(self.lake)
        self.catalog.register_encoding(_SPEC)
        self.now = datetime.now(UTC)
        self.texts: dict[str, int] = {}
        self.new_bytes = self.merged_bytes = 0
        self.tidying_seconds = 0.0

    def run(self, night: int, encoded: Sequence[str], described: Sequence[str] = (), gone: Sequence[str] = ()) -> None:
        """Encode documents with new texts, describe others anew, delete some, and publish."""
        self.now += timedelta(days=1)
        run_id = f"night-{night}"
        version = self.catalog.begin_run(run_id, _SPEC.encoding_id, ["corpus"])
        self.texts |= dict.fromkeys(encoded, night)
        for number, (documents, anew) in enumerate(((encoded, False), (described, True))):
            if documents:
                self._commit(run_id, version, number, documents, anew=anew)
        self.catalog.delete_documents(_SPEC.encoding_id, gone, version=version)
        self.catalog.finish_run(run_id, "completed", Counts(), skipped=0, deleted=len(gone), rejected=0)
        if night % _PUBLISHED_EVERY == 0:
            publish(self.catalog)

    def _commit(self, run_id: str, version: int, number: int, documents: Sequence[str], *, anew: bool) -> None:
        tables = _tables(documents, version, self.texts, only_documents=anew)
        parts = [_write(self.lake, name, rows) for name, rows in tables.items()]
        known = self.catalog.lookup(_SPEC.encoding_id, documents) if anew else {}
        versions = tuple(
            DocumentVersion(
                doc_id=doc_id, uri=f"file:///{doc_id}", version=version, record_sha256=f"{version} {doc_id}",
                outputs=Outputs(), n_tokens=_SENTENCES * _WORDS, content_sha256=_content(doc_id, self.texts[doc_id]),
                rows_version=(known[doc_id].rows_version or known[doc_id].version) if anew else None,
            )
            for doc_id in documents
        )  # fmt: skip
        shard = Shard(
            run_id=run_id, ordinal=number, version=version, encoding_id=_SPEC.encoding_id, outputs=Outputs(), path="",
            n_documents=len(documents), n_chars=0, shard_key=f"{run_id} {number}", redescribes=anew,
        )  # fmt: skip
        result = ShardResult(shard=shard, parts=tuple(parts), documents=versions, rejects=(), counts=Counts())
        self.catalog.commit_shard(result)
        self.new_bytes += sum(part.bytes for part in parts)
        began = time.perf_counter()
        self._count(tidy(self.catalog, _SPEC.encoding_id, now=self.now))
        self.tidying_seconds += time.perf_counter() - began

    def _count(self, merges: Sequence[Merge]) -> None:
        self.merged_bytes += sum(merge.bytes_after for merge in merges)


def measure(runs: int, folder: Path) -> dict[str, Any]:
    """Return the figures after so many runs, those of the lake compacted, and their ratios."""
    nights = Nights(folder / "lake", seed=0)
    nights.run(0, [f"d{i:05}" for i in range(_DOCUMENTS)])
    after_one = sizes(nights.lake)
    first = nights.new_bytes
    for night in range(1, runs + 1):
        live = sorted(nights.texts)
        encoded = nights.chance.sample(live, 1) + ([f"n{night:05}"] if night % 10 == 0 else [])
        described = nights.chance.sample([d for d in live if d not in encoded], 1)
        gone = [d for d in nights.chance.sample(live, 1) if d not in (*encoded, *described)] if night % 10 == 5 else []
        nights.run(night, encoded, described, gone)
        for doc_id in gone:
            del nights.texts[doc_id]
    nights.catalog.close()
    compacted = Lake(shutil.copytree(folder / "lake", folder / "compacted"))
    with Catalog.open(compacted) as catalog:
        compact(catalog)
        vacuum(catalog, grace=timedelta(0), now=datetime.now(UTC) + timedelta(seconds=1), unknown=True)
        publish(catalog, anew=True)
    found, fresh = sizes(nights.lake), sizes(compacted)
    for lake, of in ((nights.lake, found), (compacted, fresh)):
        publish_again(lake)
        of["published_bytes"] = (Path(str(lake.root)) / PUBLISHED).stat().st_size
    for name, sql in _QUESTIONS.items():
        times: list[tuple[float, float]] = [(asked(nights.lake, sql), asked(compacted, sql)) for _ in range(_TRIES)]
        found[name], fresh[name] = (round(1e3 * median(some), 1) for some in zip(*times, strict=True))
    return {
        "runs": runs,
        "after_the_first_run": after_one,
        "after_all": found,
        "compacted": fresh,
        "ratios": {name: round(found[name] / fresh[name], 2) for name in found if fresh[name]},
        "write_amplification": round(1 + nights.merged_bytes / (nights.new_bytes - first), 2),
        "milliseconds_a_commit_for_tidying": round(1e3 * nights.tidying_seconds / (2 * runs + 1), 1),
    }


def asked(lake: Lake, sql: str) -> float:
    """Return the seconds from opening a lake to an answer, or of the second answer if `sql` begins with AGAIN."""
    again = sql.startswith(_AGAIN)
    began = time.perf_counter()
    with connect(lake.root) as con:
        if again:
            sql = sql.removeprefix(_AGAIN)
            con.execute(sql).fetchall()
            began = time.perf_counter()
        con.execute(sql).fetchall()
        return time.perf_counter() - began


def publish_again(lake: Lake) -> None:
    """Write the published file anew, as the next run would."""
    with Catalog.open(lake) as catalog:
        publish(catalog, anew=True)


def sizes(lake: Lake) -> dict[str, float]:
    """Return how much a lake has."""
    with Catalog.open(lake) as catalog:
        totals = catalog.totals(_SPEC.encoding_id)
        snapshot = catalog.snapshot()
    waiting = sum(f.bytes for f in lake.files.listed("data")) - totals["bytes"]
    root = Path(str(lake.root))
    return {
        "documents": totals["documents"],
        "parts": totals["parts"],
        "live_bytes": totals["bytes"],
        "waiting_bytes": waiting,
        "catalog_bytes": (root / "catalog.sqlite").stat().st_size,
        "rows_of_corrections": snapshot.superseded.num_rows + snapshot.redescribed.num_rows + snapshot.moved.num_rows,
    }


def _tables(
    documents: Sequence[str], version: int, texts: dict[str, int], *, only_documents: bool
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {"documents": [], "sentences": [], "words": [], "transitions": []}
    for doc_id in documents:
        key = {"doc_id": doc_id, "version": version}
        chance = random.Random(f"{doc_id} {texts[doc_id]}")
        words = [[f"w{chance.randrange(5000)}" for _ in range(_WORDS)] for _ in range(_SENTENCES)]
        found["documents"].append(_document(key, words, texts[doc_id]))
        for i, sentence in enumerate(words):
            at = {**key, "sentence_index": i, "char_start": 0, "char_end": 9}
            found["sentences"].append({**at, "text": " ".join(sentence), "n_tokens": _WORDS})
            found["words"] += [
                {**at, "word_index": n, "word": word, "word_lower": word, "tokens": [word]}
                for n, word in enumerate(sentence)
            ]
            step = {"kind": "adjacent", "next_doc_id": doc_id, "next_sentence_index": i + 1, "n_truncated": 0}
            logits = {"nsp_logit_is_next": 1.0, "nsp_logit_not_next": 0.0, "cosine": 0.5}
            found["transitions"].append({**at, **step, **logits})
    return {"documents": found["documents"]} if only_documents else found


def _document(key: dict[str, Any], words: list[list[str]], text_number: int) -> dict[str, Any]:
    text = ". ".join(" ".join(sentence) for sentence in words)
    described = {"uri": f"file:///{key['doc_id']}", "title": f"At {key['version']}", "metadata": "{}", "text": text}
    counts = {"n_chars": len(text), "n_sentences": _SENTENCES, "n_tokens": _SENTENCES * _WORDS}
    content = _content(key["doc_id"], text_number)
    return {**key, **described, **counts, "content_sha256": content, "ingested_at": datetime.now(UTC)}


def _content(doc_id: str, text_number: int) -> str:
    return hashlib.sha256(f"{doc_id} {text_number}".encode()).hexdigest()


def _write(lake: Lake, name: str, rows: list[dict[str, Any]]) -> Part:
    ordered = sorted(rows, key=lambda row: tuple(row[key] for key in SORT_KEYS[name]))
    schema = table_schema(name, _WIDTH)
    named = {f.name: pa.array([row.get(f.name) for row in ordered], f.type) for f in schema if f.name != "embedding"}
    columns = [_vectors(len(ordered)) if f.name == "embedding" else named[f.name] for f in schema]
    table = pa.Table.from_arrays(columns, schema=table_schema(name, _WIDTH))
    return write_part(lake, table, table=name, encoding_id=_SPEC.encoding_id, width=_WIDTH)


def _vectors(count: int) -> pa.Array:
    numbers = np.random.default_rng(count).standard_normal(count * _WIDTH).astype(np.float16)
    return pa.FixedSizeListArray.from_arrays(pa.array(numbers), type=embedding_type(_WIDTH))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="polyseme-") as folder:
        print(json.dumps(measure(runs, Path(folder)), indent=1))


if __name__ == "__main__":
    main()
