"""Damage: one part of a lake is corrupted, truncated, lost or swapped, and the lake has to detect and repair it.

    python -m tests.torture.damage [--count N] [--seed S] [--mutant no-hash|no-mark]

After each damage: readers get an answer or an error and never a crash, `verify` names that part and no other,
compaction does not merge it, `repair` retires it, every document that is not marked is correct, and encoding the marked
ones again restores the lake exactly. Every trial is a process of its own. Prints figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.staleness import DAMAGED
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance import compaction, quarantine, verification
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.quarantine import repair
from polyseme.storage.maintenance.verification import Verification, verify
from polyseme.storage.sql.connection import open_snapshot
from tests import lakes
from tests.torture import scenario

_SHOWN = 5
_SECTOR = 512
_VIEWS = ("documents", "sentences", "words", "transitions")
Chance = random.Random
Contents = dict[str, str]


def flip(path: Path, chance: Chance) -> None:
    """Flip one bit."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    _put(path, bytes(content))


def blank(path: Path, chance: Chance) -> None:
    """Lose a sector, which then reads as zeros."""
    content = bytearray(path.read_bytes())
    start = chance.randrange(len(content)) // _SECTOR * _SECTOR
    content[start : start + _SECTOR] = bytes(len(content[start : start + _SECTOR]))
    _put(path, bytes(content))


def truncate(path: Path, chance: Chance) -> None:
    """Keep only the beginning, or nothing."""
    content = path.read_bytes()
    _put(path, content[: chance.choice((0, 3, chance.randrange(len(content)), len(content) - 1))])


def extend(path: Path, chance: Chance) -> None:
    """Append random bytes."""
    _put(path, path.read_bytes() + chance.randbytes(chance.choice((1, 8, _SECTOR))))


def lose(path: Path, chance: Chance) -> None:
    """Remove the file."""
    path.unlink()


def swap(path: Path, chance: Chance) -> None:
    """Replace the part by the bytes of another: a whole Parquet file, but not the one that was written."""
    others = [p for p in sorted(path.parents[2].rglob("*.parquet")) if p.read_bytes() != path.read_bytes()]
    _put(path, chance.choice(others).read_bytes())


DAMAGES: tuple[Callable[[Path, Chance], None], ...] = (flip, blank, truncate, extend, lose, swap)


def _put(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def run(count: int, seed: int, mutant: str) -> dict[str, Any]:
    """Damage one part in each of `count` copies of a lake, every kind of damage in turn."""
    place, began = Path(os.path.realpath(tempfile.mkdtemp(prefix="polyseme-damage-"))), time.perf_counter()
    bad: list[str] = []
    kinds: Counter[str] = Counter()
    for name, kinds_left_out in (("small", {"compact", "vacuum"}), ("compacted", set[str]())):
        bad += _in_a_child(lambda name=name, out=kinds_left_out: _make(place / name, out))  # type: ignore[misc]
    for trial in range(count):
        damage = DAMAGES[trial % len(DAMAGES)]
        copy = place / f"trial-{trial}"
        shutil.copytree(place / ("small" if trial // len(DAMAGES) % 2 else "compacted"), copy)
        found = _in_a_child(lambda: _trial(copy, damage, Chance(seed + trial), mutant))  # noqa: B023
        kinds[damage.__name__] += 1
        bad += [f"{damage.__name__} {trial}: {fault}" for fault in found]
        shutil.rmtree(copy)
    shutil.rmtree(place)
    return {
        "mode": "damage", "mutant": mutant, "damaged": count, "how": dict(kinds), "violations": len(bad),
        "first": [line[:400] for line in bad[:_SHOWN]], "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def _in_a_child(work: Callable[[], list[str]]) -> list[str]:
    """Run `work` in a child process and return what it found, or one fault if it crashed."""
    receiving, sending = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            found = work()
        except BaseException as error:
            found = [f"{type(error).__name__}: {error}"]
        with os.fdopen(sending, "w") as answer:
            json.dump(found, answer)
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving) as answer:
        reply = answer.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return [f"the process died of signal {os.WTERMSIG(status)}"]
    found: list[str] = json.loads(reply)
    return found


def _make(root: Path, left_out: set[str]) -> list[str]:
    for number, operation in enumerate(scenario.plan()):
        if operation.kind not in left_out:
            scenario.perform(Lake(root), operation, run_id=f"run-{number}")
    return scenario.faults(root, len(scenario.plan()), exactly=True)


def _trial(root: Path, damage: Callable[[Path, Chance], None], chance: Chance, mutant: str) -> list[str]:
    mutate(mutant)
    lake, expected = Lake(root), scenario.expected(scenario.plan())
    with Catalog.open(lake) as catalog:
        live = sorted(path for paths in catalog.snapshot().parts.values() for path in paths)
        victim = chance.choice(live)
        before = lake.part_path(victim).read_bytes()
        damage(lake.part_path(victim), chance)
        if lake.part_path(victim).exists() and lake.part_path(victim).read_bytes() == before:
            return []
        _query_everything(catalog)
        if _checked(catalog).broken != {victim}:
            return [f"verify did not name {victim} alone: {_checked(catalog).findings}"]
        compact(catalog)
        if _checked(catalog).broken != {victim}:
            return [f"after compaction verify did not name {victim} alone: {_checked(catalog).findings}"]
        repair(catalog, frozenset({victim}))
        marked = _marked(catalog)
        bad = [f"{kind} {what} after repair" for kind, what in _broken_still(catalog)]
        bad += _wrong(catalog, {d: t for d, t in expected.items() if d not in marked}, allowed=expected)
        lakes.commit(catalog, scenario.SPEC, {d: _sentences(d) for d in marked}) if marked else None
        bad += [f"after encoding again, {f.kind} {f.subject}: {f.message}" for f in _checked(catalog).findings]
        contents, words = scenario.read(catalog)
        # What was encoded again has another title: the source of these texts has none of the descriptions.
        texts, wanted = ({d: scenario.text_of(t) for d, t in held.items()} for held in (contents, expected))
        if texts != wanted or words != {d: len(t.split()) for d, t in wanted.items()}:
            bad.append(f"the lake holds {contents} with {words} words")
    return bad


def _query_everything(catalog: Catalog) -> None:
    """Read every column of every view: an error is allowed, a crash is not."""
    for view in _VIEWS:
        try:
            with open_snapshot(catalog.snapshot(), catalog.lake) as con:
                con.execute(f"FROM {view}").fetchall()
        except (duckdb.Error, LakeError, UnicodeDecodeError):
            continue  # UnicodeDecodeError is DuckDB's too: its message quotes bytes that are not UTF-8


def _checked(catalog: Catalog) -> Verification:
    return verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC))


def _broken_still(catalog: Catalog) -> list[tuple[str, str]]:
    return [(f.kind, f.subject) for f in _checked(catalog).findings if f.subject.startswith("data/")]


def _marked(catalog: Catalog) -> list[str]:
    known = catalog.lookup(scenario.SPEC.encoding_id, list(scenario.expected(scenario.plan())))
    return sorted(doc_id for doc_id, found in known.items() if found.record_sha256 == DAMAGED)


def _wrong(catalog: Catalog, whole: Contents, *, allowed: Contents) -> list[str]:
    """Return the faults of documents that are not marked, and texts that no document ever had."""
    contents, words = scenario.read(catalog)
    bad = [f"{d} is not marked and reads {contents.get(d)!r}" for d, t in whole.items() if contents.get(d) != t]
    bad += [
        f"{d} is not marked and has {words.get(d)} words"
        for d, t in whole.items()
        if words.get(d) != len(scenario.text_of(t).split())
    ]
    return bad + [f"{d} reads {text!r}" for d, text in contents.items() if allowed.get(d) != text]


def _sentences(doc_id: str) -> list[str]:
    return next(list(o.texts[doc_id]) for o in reversed(scenario.plan()) if o.kind == "commit" and doc_id in o.texts)


class _AnyHash:
    """A hash that is equal to every other."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __getitem__(self, _: object) -> str:
        return ""


def mutate(name: str) -> None:
    """Remove one safeguard in this process."""
    if name == "no-hash":
        for module in (verification, compaction):
            module.sha256_of = lambda lake, path: _AnyHash()  # type: ignore[attr-defined]
    elif name == "no-mark":
        quarantine.mark_damaged = lambda connection, encoding_id, doc_ids: None  # type: ignore[assignment]


def main() -> None:
    """Run the trials and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutant", choices=("none", "no-hash", "no-mark"), default="none")
    options = parser.parse_args()
    figures = run(options.count, options.seed, options.mutant)
    print(json.dumps(figures, indent=1))
    sys.exit(1 if figures["violations"] else 0)


if __name__ == "__main__":
    main()
