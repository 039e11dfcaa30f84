"""Steps: what one step does to the lake: a run, several at once, a command, a server, maintenance, the end."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import replace

from tests import processes
from tests.torture.week import checks, mishaps, served, work
from tests.torture.week.children import Child, Ending, result, results, start
from tests.torture.week.folders import Truth
from tests.torture.week.week import FINISHED, Week

_PATIENCE_SECONDS = 60.0
"""How long events may take to bring a change into the lake, before everything is compared."""
_ROUNDS = 5


def run(week: Week) -> None:
    """Do one run over some sources, at times with an edit while it reads."""
    roots, specs, sources = week.chosen()
    confirmed, number = week.confirms(roots), int(week.chance.random() < 0.08)
    before = week.told(roots, sources, confirmed)
    child = week.start(specs, number, week.ending(), confirmed)
    during = week.edit(during=True) if week.chance.random() < 0.06 else ""
    done = child.answer()
    told = week.told(roots, sources, confirmed)
    if during:
        _merge(told.loose, before.everywhere)
    state = week.account(done, sources)
    week.note(f"run over {specs!r}{' confirmed' if confirmed else ''}, encoding {number}: {done or 'killed'}")
    week.check(told, week.engines[number] if state in FINISHED and not during else None)


def several(week: Week) -> None:
    """Do two or three runs at once, some of them killed, at times with maintenance beside them."""
    roots, specs, sources = week.chosen()
    endings = [week.ending() for _ in range(week.chance.choice((2, 2, 3)))]
    told = week.told(roots, sources, False)
    children = [week.start(specs, 0, ending, False) for ending in endings]
    what = week.chance.choice(("", "", "vacuum", "compact", "publish", "backup"))
    beside = [_maintaining(week, what, Ending())] if what and week.seen.documents else []
    *done, _ = results([*children, *beside]) if beside else [*results(children), None]
    states = [week.account(one, sources) for one in done]
    week.figures["at once"] += 1
    week.note(f"{len(done)} runs over {specs!r} at once, {what or 'nothing'} beside them: {done}")
    week.check(told, week.engines[0] if any(state in FINISHED for state in states) else None)


def command(week: Week) -> None:
    """Do one run as the command does it, with a temporary Prefect server, and kill every third."""
    roots, specs, sources = week.chosen()
    confirmed, kind = week.confirms(roots), week.chance.random()
    how = signal.SIGKILL if kind < 0.25 else signal.SIGTERM
    ending = Ending(seconds=week.chance.uniform(3, 30), signal=how) if kind < 0.35 else Ending()
    told, model = week.told(roots, sources, confirmed), week.engines[0].config.model
    done = served.embed(week.world.lake, specs, model, week.world.place, ending=ending, confirmed=confirmed)
    state = week.account(done, sources)
    week.figures["commands"] += 1
    week.note(f"polyseme embed {specs!r}{' confirmed' if confirmed else ''}: {done or 'killed'}")
    week.check(told, week.engines[0] if state in FINISHED else None)


def stand(week: Week) -> None:
    """Have a standing server keep the lake up to date, and kill it, `serve` or `watch` between edits."""
    world, standing = week.world, served.Standing(week.world.place)
    for root in world.roots:
        if root.away:
            mishaps.mount(root)
    served.configure(world.place, world.lake, [root.path for root in world.roots], week.engines[0].config.model)
    try:
        served.start(standing)
        for _ in range(_ROUNDS):
            week.edit(during=True)
            victim = served.kill_one(standing, week.chance)
            week.note(f"killed: {victim}")
            week.figures["restarts"] += 1
            week.edit(during=True)
            served.start_again(standing, victim)
            week.edit(during=True)
            _wait_until_equal(week, standing)
    finally:
        standing.end()


def _wait_until_equal(week: Week, standing: served.Standing) -> None:
    """Wait until the lake equals the folders or says why not; reconcile if events alone do not bring that about."""
    sources, began, reconciled = [root.path for root in week.world.roots], time.monotonic(), False
    # Several runs together may hide more than one.
    told, encoding_id = (
        replace(week.told(week.world.roots, sources, False), confirmed=True),
        week.engines[0].spec.encoding_id,
    )
    while checks.completed(week.look(), told, encoding_id):
        if not reconciled and time.monotonic() - began > _PATIENCE_SECONDS:
            standing.run("reconcile/catch-up")
            reconciled = True
            week.figures["reconciled"] += 1
        if time.monotonic() - began > processes.DEADLINE_SECONDS:
            break
        time.sleep(1.0)
    week.figures["served rounds"] += 1
    week.note("served until the lake equals the folders")
    week.check(told, week.engines[0])


def maintain(week: Week) -> None:
    """Do one piece of maintenance, killed now and then, and check that it changed nothing that it should not."""
    if not week.seen.documents:
        return
    what = week.chance.choice(
        ("vacuum", "vacuum", "compact", "compact", "publish", "verify", "backup", "backup", "restore", "replace")
    )
    if what == "replace" and not (week.backup / "catalog.sqlite").exists():
        what = "backup"
    done = _maintaining(week, what, week.ending() if week.chance.random() < 0.3 else Ending()).answer()
    week.note(f"{what}: {done or 'killed'}")
    week.figures[what if done else "maintenance killed"] += 1
    if done is not None and done["state"] not in (*FINISHED, "cancelled"):
        week.violation(f"{what} ended as {done}")
    for fault in (done or {}).get("faults", ()):
        week.violation(f"verify: {fault}")
    if what in ("restore", "replace"):
        # By somebody's word the lake is what it was: only what it is in itself can be wrong.
        week.seen = week.look()
        week.known.clear()
        restored = set((done or {}).get("restored", ()))
        missing = restored - {d for documents in week.seen.documents.values() for d in documents}
        for fault in (*week.seen.faults, *(f"{d!r} was restored and is not there" for d in missing)):
            week.violation(fault)
    else:
        week.check(week.told([], [], False), None)


def _maintaining(week: Week, what: str, ending: Ending) -> Child:
    seed, seconds = week.chance.random(), week.chance.choice((0.0, 0.0, 3600.0, 1e5))
    lake, kept = week.world.lake, week.backup
    return start(
        lambda: work.maintain(lake, what, kept, seconds=seconds, chance=random.Random(seed)),
        ending=ending, clock=week.clock(),
    )  # fmt: skip


def end(week: Week) -> None:
    """Bring everything back, delete what is gone by confirmation, and compare exactly."""
    mishaps.settle(week.world)
    week.note("everything is mounted, mended and back")
    for number in (0, 1):
        for _ in range(2):
            roots, specs, sources = week.chosen(everything=True)
            former = [path for path in week.world.former if not os.path.lexists(path)]
            for extra in ([], *([path] for path in former)):
                told = week.told(roots, [*sources, *extra], True)
                names = extra or specs
                done = week.start(names, number, Ending(), True).answer()
                week.note(f"last run over {names!r}: {done}")
                if done is None or done["state"] not in ("completed", "refused" if extra else "completed"):
                    week.violation(f"the last run ended as {done}")
                week.check(told, None if extra else week.engines[number])
    told = week.told(week.world.roots, [root.path for root in week.world.roots], True)
    for engine in week.engines:
        now = week.seen.documents.get(engine.spec.encoding_id, {})
        if len(now) != len(told.everywhere.ids) + told.everywhere.others.total():
            strangers = [f"{d} at {w[0]}" for d, w in now.items() if not told.everywhere.has(d, w)]
            week.violation(f"the lake has {len(now)} documents at the end: {strangers[:5]}")
    if week.seen.held:
        week.violation(f"held back at the end: {week.seen.held}")
    for fault in (result(lambda: work.check(week.world.lake)) or {}).get("faults", ["verify was killed"]):
        week.violation(f"verify at the end: {fault}")


def _merge(into: Truth, other: Truth) -> None:
    for uri, file in other.files.items():
        into.add(uri, file)
