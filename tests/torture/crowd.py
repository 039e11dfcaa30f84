"""Crowd: writers, maintenance, backups, readers and searchers on one lake at once, and a check of what is left.

    python -m tests.torture.crowd [--writers 4] [--commits 100] [--mutant M]

Every writer embeds, backfills, describes anew, deletes and retries, over documents that all writers share, and merges
small parts after each commit. The order of a version decides which one wins, not the time of its commit: the later
text, then the later encoding of it. Two writers are stopped between their parts and their commit, for longer than
vacuum's grace period. Prints figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.backup import backup, restore
from tests.torture import scenario
from tests.torture.crowd_mutants import CROWD_MUTANTS
from tests.torture.crowd_processes import SHOWN, back_up, contents, faults, keep_house, read, write
from tests.torture.crowd_searchers import search


def run(writers: int, count: int, mutant: str) -> dict[str, Any]:
    """Run all processes, and compare the lake with what was acknowledged."""
    place = Path(os.path.realpath(tempfile.mkdtemp(prefix="polyseme-crowd-")))
    root, began = place / "lake", time.perf_counter()
    with Catalog.create_or_open(Lake(root)) as catalog:
        catalog.register_encoding(scenario.SPEC)
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    housekeepers = [context.Process(target=keep_house, args=(root, over, w, mutant)) for w in ("compact", "vacuum")]
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")
    readers = [
        context.Process(target=read, args=(root, over, 0)),
        *(context.Process(target=search, args=(root, over, n, mutant)) for n in range(2)),
    ]
    keeper = context.Process(target=back_up, args=(root, over))
    working = [context.Process(target=write, args=(root, n, count, mutant, writers - 1)) for n in range(writers)]
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
    asked, *searched = (_told(place / name) for name in ("reader-0", "searcher-0", "searcher-1"))
    bad += [f"a reader: {error}" for told in (asked, *searched) for error in told["errors"]]
    backups = json.loads((place / "backups").read_text()) if (place / "backups").exists() else {"made": 0, "errors": []}
    bad += [f"a backup: {error}" for error in backups["errors"]]
    figures = {
        "mode": "crowd",
        "mutant": mutant,
        "commits": writers * count,
        "acknowledged": len([a for a in acked if "doc" in a]),
        "refused_after_a_vacuum_and_retried": len([a for a in acked if "retried" in a]),
        "descriptions": len([a for a in acked if "described" in a]),
        "descriptions_overtaken": len([a for a in acked if "overtaken" in a]),
        "merges": _int(place / "house-compact"),
        "merges_of_writers": dict(Counter(outcome for a in acked for outcome in a.get("merged", ()))),
        "files_vacuumed": _int(place / "house-vacuum"),
        "reader_queries": asked["queries"],
        "searches": sum(told["queries"] for told in searched),
        "backups": backups["made"],
        "violations": len(bad),
        "first": [line[:300] for line in bad[:SHOWN]],
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


def _compare(lake: Lake, acked: list[dict[str, Any]]) -> list[str]:
    """Return the differences between the lake and the acknowledged version of greatest order of each document."""
    wanted: dict[str, dict[str, Any]] = {}
    for ack in acked:
        if ack["doc"] not in wanted or tuple(ack["order"]) > tuple(wanted[ack["doc"]]["order"]):
            wanted[ack["doc"]] = ack
    expected = {d: a["shown"] for d, a in wanted.items() if a["shown"] is not None}
    found = contents(lake)
    if found is None:
        return ["the lake took too long to read"]
    differ = sorted(d for d in expected.keys() | found[0].keys() if expected.get(d) != found[0].get(d))
    return [
        *faults(lake), *found[1],
        *(f"{d}: the lake has {found[0].get(d)!r}, acknowledged was {expected.get(d)!r}" for d in differ),
    ]  # fmt: skip


def _told(path: Path) -> dict[str, Any]:
    """Return what a reader says of its queries."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"queries": 0, "errors": []}
    return found


def _int(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0


def main() -> None:
    """Run the processes and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--commits", type=int, default=100)
    parser.add_argument("--mutant", choices=CROWD_MUTANTS, default="none")
    options = parser.parse_args()
    figures = run(options.writers, options.commits, options.mutant)
    print(json.dumps(figures, indent=1))
    sys.exit(1 if figures["violations"] else 0)


if __name__ == "__main__":
    main()
