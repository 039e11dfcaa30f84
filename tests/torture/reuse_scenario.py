"""Scenario of reuse: runs over a small corpus whose vectors a real model makes, or the lake has already.

Between two runs documents are edited, given another title, copied, deleted and brought back, so that every run copies
most of its rows. A lake must equal one that was made at once of the same texts, in every table and to the bit. Shards
and chunks are small: a run has several commits, and reads stored vectors between the writes of its parts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.vacuum import find_leftovers, remove_retired, vacuum
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.records import Counts, Document, Outputs
from polyseme.tasks import engine as engine_module
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.shards import staging
from polyseme.tasks.shards.scan import Scan
from polyseme.tasks.shards.stages import commit_shard, encode_shard
from tests.conftest import SHAPE, copy_tokenizer, save_random
from tests.tasks.reused_lakes import embed, stored

OUTPUTS = Outputs("sentences", None, nsp=True)
Corpus = dict[str, tuple[str, str]]
"""Title and text by id."""
Shown = dict[str, dict[str, list[tuple[object, ...]]]]
"""Rows by table, by document."""
_SHARD_CHARS, _CHUNK_TOKENS = 250, 20
_ATTEMPTS = 40
_AT_ONCE, _HOUR = timedelta(0), timedelta(hours=1)

_RIVER = ("The river rose.", "A dog ran home.", "Nobody saw it.", "The bank was steep.", "It was late.")
_HOUSE = ("She left the house.", "Was it cold?", "A dog ran home.", "The door was open.", "Yes.")


def steps() -> list[Mapping[str, tuple[str, str] | None]]:
    """Return what changes before each run: title and text of a document, None for one that is gone."""
    river, house = " ".join(_RIVER), " ".join(_HOUSE)
    # As long as before in characters and tokens: only its ids tell one sentence from the other. It stays to the end.
    cat = river.replace("dog", "cat")
    dark = cat.replace("late", "dark")
    return [
        {"a": ("A", river), "b": ("B", house), "c": ("C", "One. Two. Three. Four."), "d": ("D", f"{house} The end.")},
        {"a": ("A", cat), "e": ("E", house)},
        {"a": ("A", dark), "b": ("B, again", house)},
        {"c": ("C", "Zero. One. Two. Three. Four."), "d": None},
        {"a": ("A", f"New here. {dark}"), "e": ("E, again", f"New here. {house}"), "b": ("B, at last", house)},
        {"f": ("F", f"{house} The end."), "d": ("D", f"{cat} {river}"), "c": ("C, again", "Zero. One. Two. Four.")},
        {"b": None, "e": ("E", house), "g": ("G", river), "a": ("A, at last", f"New here. {dark}")},
    ]


def corpus_after(count: int) -> Corpus:
    """Return the corpus after so many steps."""
    held: Corpus = {}
    for step in steps()[:count]:
        for doc_id, found in step.items():
            if found is None:
                held.pop(doc_id, None)
            else:
                held[doc_id] = found
    return held


def loaded_engine(folder: Path) -> Engine:
    """Return an engine with a small random model, loaded; no thread of it runs yet, so that a process may fork."""
    folder.mkdir()
    save_random(folder, "BertForPreTraining", SHAPE)
    copy_tokenizer(folder)
    engine = Engine(EngineConfig(model=str(folder), device="cpu"))
    _ = engine.encoder, engine.spec, engine.vocabulary
    return engine


def documents(corpus: Corpus) -> list[Document]:
    """Return the documents of a corpus."""
    return [Document(d, f"file:///{d}", text, title=title) for d, (title, text) in sorted(corpus.items())]


def run(lake: Lake, engine: Engine, corpus: Corpus, gone: Sequence[str], *, run_id: str) -> tuple[int, Counts]:
    """Embed what of a corpus is new or changed, and delete `gone`. Return the run's version and what it did.

    Raises PolysemeError if it has to be repeated, as after a vacuum that took its parts.
    """
    with Catalog.create_or_open(lake) as catalog:
        catalog.register_encoding(engine.spec)
        version = catalog.begin_run(run_id, engine.spec.encoding_id, ["torture"])
        scan = Scan(catalog, lake, run_id, version, engine.spec.encoding_id, OUTPUTS)
        counts = Counts()
        try:
            for shard in list(scan.shards(documents(corpus))):
                counts += commit_shard(encode_shard(shard, lake, catalog, engine), catalog)
        finally:
            scan.close()
        if gone:
            catalog.delete_documents(engine.spec.encoding_id, gone, version=version)
        catalog.finish_run(run_id, "completed", counts, skipped=0, deleted=0, rejected=0)
    return version, counts


def cut_small() -> None:
    """Make shards and chunks of this process small."""
    engine_module.chunk_tokens = lambda width: _CHUNK_TOKENS
    staging.shard_chars = lambda ordinal: _SHARD_CHARS


def work(root: Path, engine: Engine, acknowledged: Path, *, start: int = 0) -> None:
    """Make the runs from number `start` on, each again until it is not refused; acknowledge each."""
    cut_small()
    descriptor = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(start, len(steps())):
        gone = [doc_id for doc_id, found in steps()[number].items() if found is None]
        for attempt in range(_ATTEMPTS):
            try:
                run_id = f"run-{number}-{attempt}-{start}-{os.getpid()}"
                run(Lake(root), engine, corpus_after(number + 1), gone, run_id=run_id)
                break
            except (PolysemeError, FileNotFoundError):  # the latter for staged texts that a vacuum took
                if attempt + 1 == _ATTEMPTS:
                    raise
        os.write(descriptor, b".")


def keep_house(root: Path, what: int) -> bool:
    """Merge parts and remove what was merged, as another process does; False if a writer is committing.

    Every fourth time all files are removed that no commit names, of the writer too: it has to repeat its run.
    """
    later = datetime.now(UTC) + timedelta(seconds=1)
    try:
        with Catalog.open(Lake(root), patience=0.0) as catalog:
            compact(catalog)
            if what % 4 == 0:
                vacuum(catalog, grace=_AT_ONCE, now=later, unknown=True)
            else:
                retired = find_leftovers(catalog, grace=_AT_ONCE, now=later).retired
                remove_retired(catalog, [part.path for part in retired])
    except PolysemeError:
        return False
    return True


def made_at_once(root: Path, engine: Engine, corpus: Corpus) -> None:
    """Make a lake of a corpus in one run, copying nothing."""
    embed(root, documents(corpus), engine, OUTPUTS)


def shown(root: Path) -> Shown:
    """Return the rows of a lake by document: all but times, versions and the random baseline."""
    found: Shown = {}
    for table, rows in stored(root).items():
        for row in rows:
            found.setdefault(str(row[0]), {}).setdefault(table, []).append(row)
    return found


def faults(root: Path) -> list[str]:
    """Return what `verify` finds in a lake."""
    with Catalog.create_or_open(Lake(root)) as catalog:
        found = verify(catalog, grace=_HOUR, now=datetime.now(UTC)).findings
    return [f"{f.kind} {f.subject}: {f.message}" for f in found]


def differences(found: Shown, allowed: Sequence[Shown]) -> list[str]:
    """Return what is wrong with each document whose rows are those that it has in none of the `allowed` lakes."""
    bad = []
    for doc_id in sorted({d for lake in (found, *allowed) for d in lake}):
        here, wanted = found.get(doc_id), [lake.get(doc_id) for lake in allowed]
        if here not in wanted:
            tables = sorted(t for t in {*(here or {}), *(wanted[0] or {})} if _of(here, t) != _of(wanted[0], t))
            bad.append(f"{doc_id}: not as in a lake made at once: {', '.join(tables) or 'it is there or not'}")
    return bad


def _of(tables: Mapping[str, Any] | None, name: str) -> Any:
    return (tables or {}).get(name)
