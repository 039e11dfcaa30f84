"""Torture: stop a writer at any system call that changes a file, and count the lakes that break a promise.

    python -m tests.torture.harness kill|commit|power|full [--count N] [--seed S] [--mutant M]

Prints figures as JSON, with the number of violations and the first few of them. A mutant is the code without one of its
safeguards: the run has to find violations, or it measures nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import stat
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from polyseme.storage.errors import LakeError
from tests.torture import scenario
from tests.torture.disk import Disk
from tests.torture.merging_mutants import MERGING_MUTANTS
from tests.torture.tracer import Call, Verdict, trace, unavailable

_SHOWN = 5
_NEEDS_SPACE = ("write", "pwrite", "open", "mkdir", "rename", "truncate")
Figures = dict[str, Any]


def kill(count: int, seed: int, work: Callable[..., None], near: str = "") -> Figures:
    """SIGKILL before `count` different calls, spread over a whole run; every fifth lake then finishes the plan.

    `near` selects the calls whose kind or file contains it.
    """
    place = _place()
    calls = _record(place / "all", work)
    candidates = [i for i, call in enumerate(calls) if near in _step(call)]
    chance = random.Random(seed)
    points = [candidates[int((i + chance.random()) * len(candidates) / count)] for i in range(count)]
    return {"calls_in_a_run": len(calls), **_kill_at(place, points, work)}


def commit(count: int, seed: int, work: Callable[..., None]) -> Figures:
    """SIGKILL before `count` calls of one commit, its acknowledgement included; before each for a count of 0."""
    place, acknowledged = _place(), list[int]()
    _record(place / "all", work, acknowledged=acknowledged)
    number = scenario.replacing_commit()
    first, last = acknowledged[number - 1], acknowledged[number]
    points = list(range(first, last + 1))
    if count:
        points = sorted(random.Random(seed).sample(points, count))
    return {"calls_in_the_commit": last - first, **_kill_at(place, points, work)}


def _kill_at(place: Path, points: list[int], work: Callable[..., None]) -> Figures:
    kinds: Counter[str] = Counter()
    bad: list[str] = []
    resumed = 0
    for trial, point in enumerate(points):
        folder = place / str(trial)
        folder.mkdir()
        seen = 0
        where: list[Call] = []

        def before(call: Call, *, point: int = point, where: list[Call] = where) -> Verdict:
            nonlocal seen
            seen += 1
            if seen > point:
                where.append(call)
                return Verdict.KILL
            return Verdict.PASS

        trace(lambda folder=folder: work(folder / "lake", folder / "acks"), before, watch=str(folder / "lake"))  # type: ignore[misc]
        kinds[_step(where[0]) if where else "finished"] += 1
        done = scenario.done(folder / "acks")
        bad += [f"killed at call {point}: {fault}" for fault in _faults(folder / "lake", done)]
        if trial % 5 == 0:
            resumed += 1
            try:
                scenario.work(folder / "lake", folder / "acks", start=done)
                found = _faults(folder / "lake", len(scenario.plan()))
            except LakeError as error:  # such as a part that is gone, which only a mutant loses
                found = [str(error)]
            bad += [f"resumed after call {point}: {fault}" for fault in found]
        shutil.rmtree(folder)
    shutil.rmtree(place)
    return _figures(bad, kills=len(points), killed_before=dict(kinds), resumed=resumed)


def power(count: int, seed: int, work: Callable[..., None]) -> Figures:
    """Lose power at `count` points of a run, each time with another choice of what had reached the disk."""
    place = _place()
    log: list[tuple[Call, int] | None] = []
    calls = _record(place / "all", work, log)
    chance = random.Random(seed)
    points = sorted(chance.choices(range(len(log)), k=count))
    disk, acknowledged, at = Disk(str(place / "all" / "lake")), 0, 0
    bad: list[str] = []
    for trial, point in enumerate(points):
        for entry in log[at : point + 1]:
            if entry is None:
                acknowledged += 1
            else:
                disk.play(*entry)
        at = max(at, point + 1)
        image = place / f"image-{trial}"
        disk.crash(image, chance)
        bad += [f"power lost at call {point}: {fault}" for fault in _faults(image, acknowledged)]
        shutil.rmtree(image)
    shutil.rmtree(place)
    return _figures(bad, images=len(points), calls_in_a_run=len(calls))


def full(count: int, seed: int, work: Callable[..., None]) -> Figures:
    """Report a full disk at one of `count` calls that need space (0 is each), and at up to nine that follow."""
    place = _place()
    needing = [c for c in _record(place / "all", work) if c.kind in _NEEDS_SPACE]
    kinds: Counter[str] = Counter()
    bad: list[str] = []
    count = count or len(needing)
    step = len(needing) / count
    for trial in range(count):
        folder = place / str(trial)
        folder.mkdir()
        first = int(trial * step)
        last = first + random.Random(seed + trial).choice((1, 1, 3, 10))
        seen = 0

        def before(call: Call, *, first: int = first, last: int = last) -> Verdict:
            nonlocal seen
            if call.kind not in _NEEDS_SPACE:
                return Verdict.PASS
            seen += 1
            if first < seen <= last:
                kinds[_step(call)] += seen == first + 1
                return Verdict.NO_SPACE
            return Verdict.PASS

        def patient(folder: Path = folder) -> None:
            work(folder / "lake", folder / "acks", patience=20)

        code = trace(patient, before, watch=str(folder / "lake"))
        done = scenario.done(folder / "acks")
        if code != 0 or done != len(scenario.plan()):
            bad.append(f"full at call {first}: the writer ended with {code} after {done} operations")
        bad += [f"full at call {first}: {fault}" for fault in _faults(folder / "lake", done)]
        shutil.rmtree(folder)
    shutil.rmtree(place)
    return _figures(bad, full=count, calls_that_need_space=len(needing), first_refused=dict(kinds))


def _record(
    folder: Path, work: Callable[..., None], log: list[tuple[Call, int] | None] | None = None,
    *, acknowledged: list[int] | None = None,
) -> list[Call]:  # fmt: skip
    """Perform the plan undisturbed and return its calls; append them to `log`, with None for an acknowledgement.

    `acknowledged` gets the number of calls before each acknowledgement.
    """
    folder.mkdir()
    calls: list[Call] = []
    acks = str(folder / "acks")

    def before(call: Call) -> Verdict:
        if call.path != acks:
            calls.append(call)
        elif acknowledged is not None and call.kind == "write":
            acknowledged.append(len(calls))
        return Verdict.PASS

    def after(call: Call, result: int) -> None:
        if log is None or (call.path == acks and call.kind != "write"):
            return
        log.append(None if call.path == acks else (call, result))

    code = trace(lambda: work(folder / "lake", folder / "acks"), before, after, watch=str(folder))
    if code != 0:
        raise SystemExit(f"an undisturbed run failed with {code}")
    found = scenario.faults(folder / "lake", len(scenario.plan()), exactly=True)
    if found:
        raise SystemExit(f"an undisturbed run is faulty: {found}")
    if log is not None:
        # The lake's own folder is given: the writer does not have to make its name durable.
        given = ("mkdir", str(folder / "lake"))
        log[:] = [entry for entry in log if entry is None or (entry[0].kind, entry[0].path) != given]
    return calls


def _faults(root: Path, acknowledged: int) -> list[str]:
    try:
        return scenario.faults(root, acknowledged)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]


def _step(call: Call) -> str:
    name = os.path.basename(call.path)
    what = (
        "part" if ".parquet" in name else "catalog" if "catalog.sqlite" in name else
        "published" if "catalog.duckdb" in name else "folder" if call.is_folder or call.kind == "mkdir" else "other"
    )  # fmt: skip
    return f"{call.kind} {what}"


def _figures(bad: list[str], **figures: Any) -> Figures:
    return {**figures, "violations": len(bad), "first": [line[:400] for line in bad[:_SHOWN]]}


def _place() -> Path:
    return Path(os.path.realpath(tempfile.mkdtemp(prefix="polyseme-torture-")))


def _no_fsync(*args: Any, **named: Any) -> None:
    fsync = os.fsync
    os.fsync = lambda fd: fsync(fd) if stat.S_ISDIR(os.fstat(fd).st_mode) else None  # type: ignore[assignment]
    scenario.work(*args, **named)


def _no_folder_fsync(*args: Any, **named: Any) -> None:
    from polyseme.storage.files import durable

    sync = durable.sync
    durable.sync = lambda path: None if path.is_dir() else sync(path)
    scenario.work(*args, **named)


def _lazy_catalog(*args: Any, **named: Any) -> None:
    import sqlite3

    from polyseme.storage.database import sqlite as sqlite_engine

    configure = sqlite_engine._configure_sqlite

    def lazily(connection: sqlite3.Connection, record: Any, **named: Any) -> None:
        configure(connection, record, **named)
        connection.execute("PRAGMA synchronous = OFF")

    sqlite_engine._configure_sqlite = lazily
    scenario.work(*args, **named)


def _commit_first(*args: Any, **named: Any) -> None:
    """Commit the parts before they are written."""
    from polyseme.storage.catalog import Catalog

    commit = Catalog.commit_shard

    def early(self: Catalog, result: Any) -> None:
        paths = [self.lake.part_path(part.path) for part in result.parts]
        contents = [path.read_bytes() for path in paths]
        for path in paths:
            path.unlink()
        self._require_files = lambda parts: None  # type: ignore[method-assign]
        commit(self, result)
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)

    Catalog.commit_shard = early  # type: ignore[method-assign]
    scenario.work(*args, **named)


MODES: dict[str, Callable[..., Figures]] = {"kill": kill, "commit": commit, "power": power, "full": full}
MUTANTS: dict[str, Callable[..., None]] = {
    "none": scenario.work,
    "no-fsync": _no_fsync,
    "no-folder-fsync": _no_folder_fsync,
    "lazy-catalog": _lazy_catalog,
    "commit-first": _commit_first,
    **MERGING_MUTANTS,
}


def main() -> None:
    """Run one mode and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--near", default="", help="kill only: before calls on a part, catalog, folder, published")
    parser.add_argument("--mutant", choices=MUTANTS, default="none")
    options = parser.parse_args()
    if reason := unavailable():
        raise SystemExit(f"skipped: {reason}")
    began = time.perf_counter()
    more = {"near": options.near} if options.near else {}
    figures = MODES[options.mode](options.count, options.seed, MUTANTS[options.mutant], **more)
    figures["seconds"] = round(time.perf_counter() - began, 1)
    print(json.dumps({"mode": options.mode, "mutant": options.mutant, **figures}, indent=1))
    sys.exit(1 if figures["violations"] else 0)


if __name__ == "__main__":
    main()
