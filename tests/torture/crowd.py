"""Crowd: writers, a compactor, a vacuum, backups and readers on one lake at the same time, and a check of what is left.

    python -m tests.torture.crowd [--writers 4] [--commits 100] [--mutant no-fence|no-key|no-check|forgetful]

Every writer embeds, backfills, deletes and retries, over documents that all writers share. The order of a version
decides which one wins, not the time of its commit: the later text, then the later encoding of it. Two writers are
stopped between their parts and their commit, for longer than vacuum's grace period. Prints figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from polyseme.storage import catalog as catalog_module
from polyseme.storage.catalog import Catalog
from polyseme.storage.database import commits
from polyseme.storage.errors import LakeError, PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance import compaction
from polyseme.storage.maintenance.backup import backup, restore
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.records import ShardResult
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.publish import publish
from tests import lakes
from tests.torture import scenario

SHARED = 24
GRACE = timedelta(seconds=4)
"""Longer than a reader here needs, shorter than a writer is stopped."""
STOP_SECONDS, STOPS = 6.0, {(0, 0), (1, 4)}
"""How long a writer is stopped, and where: `(writer, commit)`."""
_SHOWN = 5


def write(root: Path, number: int, count: int, mutant: str) -> None:
    """Commit `count` shards, and append what was acknowledged to this writer's file."""
    mutate(mutant)
    chance = random.Random(number)
    lake = Lake(root)
    with (root.parent / f"acks-{number}").open("a") as acks, Catalog.open(lake) as catalog:
        for i in range(count):
            run_id = f"w{number}-{i}"
            version = catalog.begin_run(run_id, scenario.SPEC.encoding_id, [])
            ids = [f"s{chance.randrange(SHARED)}", f"own{number}-{i % 5}"]
            if i == (0 if number == 0 else 3):
                # The first writer is stopped with this one while the others commit newer texts of it.
                ids.append("slow")
            texts = {d: [f"Text {number} {i} of {d}.", "The bank."] for d in ids}
            read = _texts_read(catalog, ids, version, backfill=chance.random() < 0.3 and "slow" not in ids)
            pause = STOP_SECONDS if (number, i) in STOPS else chance.random() * 0.01
            for attempt in range(20):
                made = _encode(lake, texts, read, run_id, version)
                if attempt == 0:
                    # Between the parts and their commit, where a vacuum can take them for leftovers.
                    _stop(pause) if pause == STOP_SECONDS else time.sleep(pause)
                try:
                    catalog.commit_shard(made)
                    break
                except PolysemeError as error:
                    acks.write(json.dumps({"retried": str(error)[:80]}) + "\n")
            for d in ids:
                acks.write(
                    json.dumps({"doc": d, "order": (read[d] or version, version), "text": " ".join(texts[d])}) + "\n"
                )
            acks.flush()
            if chance.random() < 0.3:
                catalog.commit_shard(made)
            if chance.random() < 0.15:
                version = catalog.begin_run(f"{run_id}-gone", scenario.SPEC.encoding_id, [])
                catalog.delete_documents(scenario.SPEC.encoding_id, [ids[1]], version=version)
                acks.write(json.dumps({"doc": ids[1], "order": (version, version), "text": None}) + "\n")
                acks.flush()


def _stop(seconds: float) -> None:
    """Stop this process as a debugger or a suspended machine does; a child process continues it."""
    with subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill -CONT {os.getpid()}"]):
        os.kill(os.getpid(), signal.SIGSTOP)


def _texts_read(catalog: Catalog, ids: list[str], version: int, *, backfill: bool) -> dict[str, int | None]:
    """Return the version that each text was read in: an older one for a backfill of known documents."""
    known = catalog.lookup(scenario.SPEC.encoding_id, ids) if backfill else {}
    return {d: known[d].order[0] if d in known else None for d in ids}


def _encode(
    lake: Lake, texts: dict[str, list[str]], read: dict[str, int | None], run_id: str, version: int
) -> ShardResult:
    made = lakes.encode(lake, scenario.SPEC, texts, run_id=run_id, version=version)
    documents = tuple(replace(d, text_version=read[d.doc_id]) for d in made.documents)
    return replace(made, documents=documents)


def keep_house(root: Path, over: Event, what: str, mutant: str) -> None:
    """Compact and publish, or vacuum, until the writers are done."""
    mutate(mutant)
    done = 0
    with Catalog.open(Lake(root)) as catalog:
        while not over.is_set():
            if what == "compact":
                done += sum(m.outcome == "merged" for m in compact(catalog).merges)
                publish(catalog)
            else:
                found = vacuum(catalog, grace=GRACE, now=datetime.now(UTC), unknown=True)
                done += len(found.retired) + len(found.unknown)
            time.sleep(0.2)
    (root.parent / f"house-{what}").write_text(str(done))


def back_up(root: Path, over: Event) -> None:
    """Back up again and again: every backup has to be whole, and consistent in itself."""
    errors, made, kept = [], 0, Lake(root.parent / "backup")
    with Catalog.open(Lake(root)) as catalog:
        while not over.is_set() or not made:
            try:
                backup(catalog, kept)
                made += 1
                errors += _faults(kept)
            except LakeError as error:
                # Parts that a vacuum removes after four seconds can vanish while they are copied.
                if "vanish" not in str(error):
                    raise
    (root.parent / "backups").write_text(json.dumps({"made": made, "errors": errors[:_SHOWN]}))


def read(root: Path, over: Event, number: int) -> None:
    """Query again and again: every snapshot has to be consistent in itself."""
    errors, queries = [], 0
    while not over.is_set():
        try:
            with Catalog.open(Lake(root)) as catalog:
                snapshot = catalog.snapshot()
            with open_snapshot(snapshot, Lake(root)) as con:
                began = time.monotonic()
                documents = con.execute("SELECT doc_id, text FROM documents ORDER BY ALL").fetchall()
                words = dict(con.execute("SELECT doc_id, count(*) FROM words GROUP BY ALL").fetchall())
                if time.monotonic() - began > GRACE.total_seconds():
                    continue
            queries += 1
            if len(dict(documents)) != len(documents):
                errors.append("a document has two rows")
            if words != {d: len(t.split()) for d, t in documents}:
                errors.append("words and texts are not of one snapshot")
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
    (root.parent / f"reader-{number}").write_text(json.dumps({"queries": queries, "errors": errors[:_SHOWN]}))


def run(writers: int, count: int, mutant: str) -> dict[str, Any]:
    """Run all processes, and compare the lake with what was acknowledged."""
    place = Path(os.path.realpath(tempfile.mkdtemp(prefix="polyseme-crowd-")))
    root, began = place / "lake", time.perf_counter()
    with Catalog.create_or_open(Lake(root)) as catalog:
        catalog.register_encoding(scenario.SPEC)
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    housekeepers = [context.Process(target=keep_house, args=(root, over, w, mutant)) for w in ("compact", "vacuum")]
    readers = [context.Process(target=read, args=(root, over, 0))]
    keeper = context.Process(target=back_up, args=(root, over))
    working = [context.Process(target=write, args=(root, n, count, mutant)) for n in range(writers)]
    for process in (*housekeepers, keeper, *readers, *working):
        process.daemon = True  # ended with this one, however it ends
        process.start()
    for process in working:
        process.join()
    over.set()
    for process in (*housekeepers, keeper, *readers):
        process.join()
    codes = [p.exitcode for p in (*housekeepers, keeper, *readers, *working)]
    bad = [f"a process ended with {code}" for code in codes if code]
    acked = [json.loads(line) for n in range(writers) for line in (place / f"acks-{n}").read_text().splitlines()]
    try:
        bad += _compare(Lake(root), [a for a in acked if "doc" in a])
        bad += [f"restored: {line}" for line in _compare(_restored(root), [a for a in acked if "doc" in a])]
    except Exception as error:
        bad.append(f"the lake cannot be read: {type(error).__name__}: {error}")
    asked = (
        json.loads((place / "reader-0").read_text()) if (place / "reader-0").exists() else {"queries": 0, "errors": []}
    )
    bad += [f"a reader: {error}" for error in asked["errors"]]
    backups = json.loads((place / "backups").read_text()) if (place / "backups").exists() else {"made": 0, "errors": []}
    bad += [f"a backup: {error}" for error in backups["errors"]]
    figures = {
        "mode": "crowd",
        "mutant": mutant,
        "commits": writers * count,
        "acknowledged": len([a for a in acked if "doc" in a]),
        "refused_after_a_vacuum_and_retried": len([a for a in acked if "retried" in a]),
        "merges": _int(place / "house-compact"),
        "files_vacuumed": _int(place / "house-vacuum"),
        "reader_queries": asked["queries"],
        "backups": backups["made"],
        "violations": len(bad),
        "first": [line[:300] for line in bad[:_SHOWN]],
        "seconds": round(time.perf_counter() - began, 1),
    }
    shutil.rmtree(place)
    return figures


def _restored(root: Path) -> Lake:
    """Return a lake that was restored from a last backup."""
    kept, new = Lake(root.parent / "backup"), Lake(root.parent / "restored")
    with Catalog.open(Lake(root)) as catalog:
        backup(catalog, kept)
    restore(kept, new)
    return new


def _faults(lake: Lake) -> list[str]:
    with Catalog.open(lake) as catalog:
        found = verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings
    return [f"{f.kind} {f.subject}: {f.message}" for f in found]


def _compare(lake: Lake, acked: list[dict[str, Any]]) -> list[str]:
    """Return the differences between the lake and the acknowledged version of greatest order of each document."""
    wanted: dict[str, dict[str, Any]] = {}
    for ack in acked:
        if ack["doc"] not in wanted or tuple(ack["order"]) > tuple(wanted[ack["doc"]]["order"]):
            wanted[ack["doc"]] = ack
    expected = {d: a["text"] for d, a in wanted.items() if a["text"] is not None}
    bad = _faults(lake)
    with Catalog.open(lake) as catalog:
        contents = {doc_id: scenario.text_of(text) for doc_id, text in scenario.read(catalog)[0].items()}
    differ = sorted(d for d in expected.keys() | contents.keys() if expected.get(d) != contents.get(d))
    return bad + [f"{d}: the lake has {contents.get(d)!r}, acknowledged was {expected.get(d)!r}" for d in differ]


def _int(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0


def mutate(name: str) -> None:
    """Remove one safeguard in this process."""
    if name == "no-fence":
        commits._Current.order = property(lambda self: (0, 0))  # type: ignore[assignment]
    elif name == "no-key":
        commits.is_committed = lambda connection, key: False  # type: ignore[assignment]
    elif name == "no-check":
        catalog_module.Catalog._require_files = lambda self, parts: None  # type: ignore[method-assign]
    elif name == "forgetful":
        # Drop every correction at once, whatever rows the parts still have.
        compaction._not_in = lambda lake, part, hidden: hidden  # type: ignore[assignment]


MUTANTS = ("none", "no-fence", "no-key", "no-check", "forgetful")


def main() -> None:
    """Run the processes and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--commits", type=int, default=100)
    parser.add_argument("--mutant", choices=MUTANTS, default="none")
    options = parser.parse_args()
    figures = run(options.writers, options.commits, options.mutant)
    print(json.dumps(figures, indent=1))
    sys.exit(1 if figures["violations"] else 0)


if __name__ == "__main__":
    main()
