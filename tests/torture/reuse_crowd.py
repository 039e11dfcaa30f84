"""Crowd of reuse: writers that copy vectors from one lake, killed at any moment, beside maintenance and a reader.

    python -m tests.torture.reuse_crowd [--writers 3] [--commits 20] [--mutant M]

Writers edit, copy and describe anew documents that all of them share; a fifth of their runs end with SIGKILL, and
another process goes on in their place. Meanwhile all small parts are merged, and what no commit names is removed after
a few seconds. In the end each document must have the text of the greatest version that was acknowledged, or of a
greater one that a killed writer committed, and the lake must equal one made at once of these texts. Prints figures as
JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.sql.connection import open_snapshot
from polyseme.tasks.engine import Engine
from tests.torture import reuse_scenario as scenario
from tests.torture.reuse_mutants import REUSE_MUTANTS

_SHARED, _SHOWN, _ATTEMPTS = 8, 5, 40
_GRACE = timedelta(seconds=4)
_RUNS_A_KILL = 5
_SENTENCES = [
    "The river rose.", "A dog ran home.", "A cat ran home.", "Nobody saw it.", "The bank was steep.", "It was late.",
    "It was dark.", "She left the house.", "Was it cold?", "The door was open.", "Yes.",
]  # fmt: skip
_COMMON = [" ".join(_SENTENCES[:5]), " ".join(_SENTENCES[4:9])]
"""Texts that many documents have."""
_DISAGREEING = (
    "FROM (SELECT doc_id, n_sentences, text FROM documents) d LEFT JOIN (SELECT doc_id, count(*) AS n, "
    "bool_and(embedding IS NOT NULL) AS whole FROM sentences GROUP BY ALL) s USING (doc_id) "
    "WHERE n IS DISTINCT FROM n_sentences OR NOT whole"
)


def write(root: Path, engine: Engine, number: int, count: int, mutant: str) -> None:
    """Make runs until `count` are acknowledged in this writer's file, which a killed one may have begun."""
    REUSE_MUTANTS[mutant]()
    scenario.cut_small()
    path = root.parent / f"acks-{number}"
    chance = random.Random(f"{number} {os.getpid()}")
    last: scenario.Corpus = {}
    for step in range(len(_acknowledged(path)), count):
        changed = _changed(chance, last, f"Writer {number} wrote {step}.")
        for attempt in range(_ATTEMPTS):
            # No two runs give a document the same title, so that each has something to commit.
            titled = {d: (f"{number} {step} {attempt} {os.getpid()}", text) for d, text in changed.items()}
            _note(path, {"intended": titled})
            try:
                run_id = f"w{number}-{step}-{attempt}-{os.getpid()}"
                version, counts = scenario.run(Lake(root), engine, titled, [], run_id=run_id)
                break
            except (PolysemeError, FileNotFoundError):
                if attempt + 1 == _ATTEMPTS:
                    raise
        last |= titled
        _note(path, {"version": version, "made": titled, "reused": counts.reused_sentences})


def _changed(chance: random.Random, last: scenario.Corpus, new: str) -> dict[str, str]:
    """Return texts by document: a copy of another's, the one it was given last, or an edited one."""
    texts = {}
    for doc_id in chance.sample([f"d{i}" for i in range(_SHARED)], 2):
        kind = chance.random()
        if kind < 0.3 and doc_id in last:
            texts[doc_id] = last[doc_id][1]
        elif kind < 0.5:
            texts[doc_id] = chance.choice(_COMMON)
        else:
            texts[doc_id] = " ".join([*chance.sample(_SENTENCES, 5), new])
    return texts


def _note(path: Path, line: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _acknowledged(path: Path) -> list[dict[str, Any]]:
    return [line for line in _lines(path) if "made" in line]


def keep_house(root: Path, over: Event) -> None:
    """Merge parts and remove what no commit names, until the writers are done."""
    done = 0
    with Catalog.open(Lake(root)) as catalog:
        while not over.is_set():
            done += sum(m.outcome == "merged" for m in compact(catalog).merges)
            vacuum(catalog, grace=_GRACE, now=datetime.now(UTC), unknown=True)
            time.sleep(0.2)
    (root.parent / "merges").write_text(str(done))


def read(root: Path, over: Event) -> None:
    """Query again and again: every document of a snapshot has its sentences."""
    while not over.is_set():
        began = time.monotonic()
        with Catalog.open(Lake(root)) as catalog:
            snapshot = catalog.snapshot()
        if snapshot.default is None:
            continue
        try:
            with open_snapshot(snapshot, Lake(root)) as con:
                found = [f"{row[0]} lacks sentences" for row in con.execute(_DISAGREEING).fetchall()]
        except Exception as error:
            found = [f"{type(error).__name__}: {error}"]
        if time.monotonic() - began < _GRACE.total_seconds():
            _note(root.parent / "read", {"errors": found})


def run(writers: int, count: int, mutant: str, engine: Engine, place: Path) -> dict[str, Any]:
    """Run all processes, and compare the lake with what was acknowledged and with one made at once."""
    root, chance = place / "lake", random.Random(1)
    with Catalog.create_or_open(Lake(root)) as catalog:
        catalog.register_encoding(engine.spec)
    context = multiprocessing.get_context("fork")
    over = context.Event()
    others = [context.Process(target=work, args=(root, over), daemon=True) for work in (keep_house, read)]

    def writer(number: int) -> ForkProcess:
        process = context.Process(target=write, args=(root, engine, number, count, mutant), daemon=True)
        process.start()
        return process

    for process in others:
        process.start()
    working = {number: writer(number) for number in range(writers)}
    killed = 0
    while any(process.is_alive() for process in working.values()):
        time.sleep(chance.random())
        acknowledged = sum(len(_acknowledged(place / f"acks-{number}")) for number in range(writers))
        number = chance.randrange(writers)
        if acknowledged >= (killed + 1) * _RUNS_A_KILL and working[number].is_alive():
            working[number].kill()
            working[number].join()
            killed += 1
            working[number] = writer(number)
    over.set()
    for process in others:
        process.join()
    bad = [f"a process ended with {p.exitcode}" for p in (*others, *working.values()) if p.exitcode]
    lines = [line for number in range(writers) for line in _lines(place / f"acks-{number}")]
    read_by = _lines(place / "read")
    bad += [f"a reader: {error}" for line in read_by for error in line["errors"]]
    try:
        bad += _compare(root, engine, lines, place / "fresh")
    except Exception as error:
        bad.append(f"the lake cannot be read: {type(error).__name__}: {error}")
    return {
        "runs": len([line for line in lines if "made" in line]),
        "reused_sentences": sum(line.get("reused", 0) for line in lines),
        "killed": killed,
        "not_acknowledged": len([line for line in lines if "intended" in line]) - writers * count,
        "merges": int((place / "merges").read_text()) if (place / "merges").exists() else 0,
        "reader_queries": len(read_by),
        "violations": len(bad),
        "first": [line[:300] for line in bad[:_SHOWN]],
    }


def _compare(root: Path, engine: Engine, lines: list[dict[str, Any]], fresh: Path) -> list[str]:
    found, here = scenario.faults(root), scenario.shown(root)
    corpus: scenario.Corpus = {}
    with Catalog.open(Lake(root)) as catalog:
        versions = {d: v.version for d, v in catalog.lookup(engine.spec.encoding_id, sorted(here)).items()}
        with open_snapshot(catalog.snapshot(), Lake(root)) as con:
            for doc_id, title, text in con.execute("SELECT doc_id, title, text FROM documents").fetchall():
                corpus[doc_id] = (title, text)
    made = {(line["version"], d): tuple(t) for line in lines if "made" in line for d, t in line["made"].items()}
    intended = {(d, tuple(t)) for line in lines if "intended" in line for d, t in line["intended"].items()}
    for doc_id in sorted({d for _, d in made}):
        newest = max(version for version, d in made if d == doc_id)
        live, shows = versions.get(doc_id, 0), corpus.get(doc_id)
        if live < newest or (live == newest and shows != made[newest, doc_id]) or (doc_id, shows) not in intended:
            found.append(f"{doc_id}: version {live} is {shows}, acknowledged was {newest}: {made[newest, doc_id]}")
    scenario.made_at_once(fresh, engine, corpus)
    return found + scenario.differences(here, [scenario.shown(fresh)])


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--commits", type=int, default=20)
    parser.add_argument("--mutant", choices=REUSE_MUTANTS, default="none")
    options = parser.parse_args()
    place = Path(os.path.realpath(tempfile.mkdtemp(prefix="polyseme-reuse-crowd-")))
    began = time.perf_counter()
    try:
        engine = scenario.loaded_engine(place / "model")
        figures = run(options.writers, options.commits, options.mutant, engine, place)
    finally:
        shutil.rmtree(place)
    times = os.times()
    figures["cpu_seconds"] = round(times.user + times.children_user)
    figures["seconds"] = round(time.perf_counter() - began, 1)
    print(json.dumps({"mode": "reuse crowd", "mutant": options.mutant, **figures}, indent=1))
    sys.exit(1 if figures["violations"] else 0)


if __name__ == "__main__":
    main()
