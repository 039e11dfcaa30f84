"""Week: the world, the lake as it was seen last, and the figures. Starts children, and checks what they left."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from polyseme.tasks.engine import Engine
from tests.torture.week import changes, checks, work
from tests.torture.week.checks import EMPTY, Seen, Told
from tests.torture.week.children import Child, Ending, result, start
from tests.torture.week.folders import Root, Truth, out_of_sight, readable
from tests.torture.week.world import World

FINISHED = ("completed", "held-back")
_LOG = 14
_SLOWEST = 1.5
"""Seconds after which a child is no longer killed: most have ended by then."""


@dataclass
class Week:
    """The world, the lake as it was seen last, and the figures."""

    world: World
    engines: Sequence[Engine]
    seen: Seen = EMPTY
    figures: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    known: dict[str, set[str]] = field(default_factory=dict)
    """The addresses at which the lake has had records with an id, and that still have them, by id."""
    calls: int = 400
    """About how many calls a run makes."""

    @property
    def chance(self) -> random.Random:
        return self.world.chance

    @property
    def backup(self) -> Path:
        return self.world.place / "backup"

    def edit(self, *, during: bool = False) -> str:
        what = changes.change_something(self.world, during=during)
        if what:
            self.figures["edits"] += 1
            self.figures["unmounts"] += what.startswith(("empty", "unmount"))
            self.figures["lake moves"] += what.startswith("move the lake")
            self.note(what + (" during the next run" if during else ""))
        return what

    def chosen(self, *, everything: bool = False) -> tuple[list[Root], list[str], list[str]]:
        """Return the sources of a run: folders, as a user would name them, and as absolute paths."""
        world, roots = self.world, list(self.world.roots)
        if not everything and self.chance.random() < 0.35:
            roots = [self.chance.choice(roots)]
            # A file named by itself has the address that links lead to.
            files = [name for name, _ in roots[0].whole() if name.split("/")[0] not in roots[0].links]
            if files and self.chance.random() < 0.2:
                path = os.path.join(roots[0].path, self.chance.choice(files))
                return roots, [path], [_real(path)]
        specs = []
        for root in roots:
            spec = root.path
            if not everything and self.chance.random() < 0.15:
                spec = str(world.place / f"alias{world.next()}")
                os.symlink(root.path, spec)
            specs.append(spec)
        return roots, specs, [root.path for root in roots]

    def confirms(self, roots: Sequence[Root]) -> bool:
        """Return whether somebody confirms: mostly of what was held back and is mounted, seldom of what is not."""
        mine = {name for root in roots for name in checks.names_of(root.path)}
        if not any(source in mine for _, source, *_ in self.seen.held):
            return False
        return self.chance.random() < (0.05 if any(root.away for root in roots) else 0.5)

    def ending(self) -> Ending:
        kind = self.chance.random()
        if kind < 0.22:
            return Ending(call=self.chance.randrange(1, int(1.1 * self.calls)))
        seconds = 0.01 + self.chance.random() * _SLOWEST
        if kind < 0.30:
            return Ending(seconds=seconds)
        return Ending(seconds=seconds, signal=signal.SIGTERM) if kind < 0.36 else Ending()

    def clock(self) -> timedelta:
        if self.chance.random() < 0.8:
            return timedelta(0)
        self.figures["clock steps"] += 1
        return timedelta(seconds=self.chance.choice((-1, 1)) * 10 ** self.chance.uniform(0, 8))

    def start(self, specs: Sequence[str], number: int, ending: Ending, confirmed: bool) -> Child:
        lake, engine, limit = self.world.lake, self.engines[number], "100%" if confirmed else None
        return start(lambda: work.embed(lake, specs, engine, limit=limit), ending=ending, clock=self.clock())

    def account(self, done: dict[str, Any] | None, sources: Sequence[str]) -> str:
        state: str = "killed" if done is None else done["state"]
        self.figures["runs"] += 1
        self.figures[state] += 1
        if done is not None and state == "completed":
            self.calls = max(200, (3 * self.calls + done["calls"]) // 4)
        if state not in (*FINISHED, "killed", "cancelled", "refused", "failed"):
            self.violation(f"a run ended as {done}")
        if state == "refused" and done is not None and self._can_be_read(sources):
            self.violation(f"a run was refused: {done['error']}")
        if state == "failed" and done is not None and not _is_excused(str(done["error"])):
            self.violation(f"a run failed: {done['error']}")
        return state

    def _can_be_read(self, sources: Sequence[str]) -> bool:
        """Return whether each source is there or known to the lake."""
        uris = {uri for documents in self.seen.documents.values() for uri, _ in documents.values()}
        return all(os.path.lexists(s) or any(map(checks.covering([s]), uris)) for s in sources)

    def told(self, roots: Sequence[Root], sources: Sequence[str], confirmed: bool) -> Told:
        covers, everywhere = checks.covering(sources), readable(self.world.roots)
        given_up = [root for root in roots if confirmed and root.away]
        kept = [root for root in self.world.roots if root not in given_up]
        whole = readable(roots)
        return Told(
            sources, covers, _only(whole, covers), everywhere, out_of_sight(kept),
            out_of_sight(self.world.roots, protected=False), self.known, checks.covering(self.world.former), confirmed,
        )  # fmt: skip

    def check(self, told: Told, engine: Engine | None) -> None:
        """Look at the lake and compare; with an engine, a run of its encoding has come to its end."""
        now = self.look()
        for fault in checks.always(self.seen, now, told):
            self.violation(fault)
        if engine is not None:
            for fault in checks.completed(now, told, engine.spec.encoding_id):
                self.violation(fault)
        self.seen = now
        if engine is not None:
            for doc_id, uris in self.known.items():
                there = {uri for uri, _ in told.everywhere.ids.get(doc_id, ())}
                uris -= {uri for uri in uris if told.covers(uri) and uri not in there}
        for documents in now.documents.values():
            for doc_id, (uri, _) in documents.items():
                self.known.setdefault(doc_id, set()).add(uri)

    def look(self) -> Seen:
        lake = self.world.lake
        answer = result(lambda: work.look(lake))
        if answer is None or answer["state"] != "completed":
            self.violation(f"the lake cannot be read: {answer}")
            return self.seen
        return Seen.of(answer)

    def note(self, line: str) -> None:
        self.log.append(line)

    def violation(self, what: str) -> None:
        self.violations.append("\n  ".join([what[:600], *(line[:300] for line in self.log[-_LOG:])]))


def _only(truth: Truth, covers: checks.Covers) -> Truth:
    only = Truth()
    for uri, file in truth.files.items():
        if covers(uri):
            only.add(uri, file)
    return only


def _is_excused(error: str) -> bool:
    """Return whether a run may fail so: vacuum without a grace period took its files, or a restored lake its run."""
    return any(part in error for part in ("vanished from", "staging/"))


def _real(path: str) -> str:
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
