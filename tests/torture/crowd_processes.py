"""The processes of the crowd: writers, maintenance, backups and readers, each of them on its own until it is done.

What a writer was acknowledged, and what the others found, is in files beside the lake.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import IO, Any

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError, PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.backup import backup
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.tiering import tidy
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.records import ShardResult
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.publish import publish
from tests import lakes
from tests.torture import scenario
from tests.torture.crowd_mutants import mutate

SHARED = 24
GRACE = timedelta(seconds=4)
"""Longer than a reader here needs, shorter than a writer is stopped."""
STOP_SECONDS, STOPS = 12.0, {(0, 0), (1, 4)}
"""How long a writer is stopped, and where: `(writer, commit)`."""
SHOWN = 5
_ATTEMPTS = 20
_NEWER_IN = 3
"""The step in which the other writers commit the document that the first writer is stopped with."""
_PATIENCE_SECONDS = 120
_WORDS = "SELECT doc_id, string_agg(word, ' ' ORDER BY sentence_index, word_index) FROM words GROUP BY ALL"
_SLOWLY = 0.01
Texts = dict[str, list[str]]


def write(root: Path, number: int, count: int, mutant: str, others: int) -> None:
    """Commit `count` shards beside as many `others`, and append what was acknowledged to this writer's file."""
    mutate(mutant)
    with (root.parent / f"acks-{number}").open("a") as acks, Catalog.open(Lake(root)) as catalog:
        writer = _Writer(catalog, number, acks, others if count > _NEWER_IN else 0)
        for i in range(count):
            writer.step(i)


@dataclass
class _Writer:
    """One writer: what it does in its `i`-th step follows from its number."""

    catalog: Catalog
    number: int
    acks: IO[str]
    others: int
    """How many other writers commit a newer text of the document that the first writer is stopped with."""
    chance: random.Random = field(init=False)
    last: Texts = field(default_factory=dict)
    """The texts that this writer committed last."""

    def __post_init__(self) -> None:
        self.chance = random.Random(self.number)

    def step(self, i: int) -> None:
        """Commit two or three documents; now and then retry that, describe documents anew, delete one."""
        made = self.embed(i)
        if self.chance.random() < 0.3:
            self.catalog.commit_shard(made)
        if self.chance.random() < 0.4:
            self.describe(i)
        if self.chance.random() < 0.15:
            self.delete(f"w{self.number}-{i}-gone", self.own(i))

    def own(self, i: int) -> str:
        """Return the id of a document that no other writer has."""
        return f"own{self.number}-{i % 5}"

    def embed(self, i: int) -> ShardResult:
        """Commit texts, in a third of the cases as a backfill, which took them in an older version."""
        run_id, slow = f"w{self.number}-{i}", i == (0 if self.number == 0 else _NEWER_IN)
        if slow and self.number > 0:
            self.wait_for_the_first()
        version = self.catalog.begin_run(run_id, scenario.SPEC.encoding_id, [])
        if slow and self.number == 0:
            self.begun.touch()
        # The first writer is stopped with a document while the others commit newer texts of it.
        ids = [f"s{self.chance.randrange(SHARED)}", self.own(i), *(["slow"] if slow else [])]
        texts = {d: [f"Text {self.number} {i} of {d}.", "The bank."] for d in ids}
        read = self.texts_read(ids, backfill=self.chance.random() < 0.3 and "slow" not in ids)
        pause = STOP_SECONDS if (self.number, i) in STOPS else self.chance.random() * _SLOWLY

        def make() -> ShardResult:
            made = lakes.encode(self.catalog.lake, scenario.SPEC, texts, run_id=run_id, version=version)
            documents = tuple(replace(d, text_version=read[d.doc_id]) for d in made.documents)
            return replace(made, documents=documents)

        made = self.committed(make, pause)
        self.last |= texts
        for d in ids:
            self.acknowledge(d, (read[d] or version, version), f"About {d}: {' '.join(texts[d])}")
        return made

    @property
    def place(self) -> Path:
        """The folder of the lake and of what the processes note."""
        return Path(self.catalog.lake.root).parent

    @property
    def begun(self) -> Path:
        """A file that is there once the first writer has the version of its first commit."""
        return self.place / "begun"

    def wait_for_the_first(self) -> None:
        """Wait until the first writer has its version, so that this one's is newer."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while not self.begun.exists() and time.monotonic() < until:
            time.sleep(0.05)

    def stop(self, seconds: float) -> None:
        """Stop this process as a debugger or a suspended machine does; a child process continues it.

        The first writer stays stopped until every other one has committed its newer text, however busy the machine is.
        """
        newer = f"$(grep -l '\"slow\"' acks-[!0]* | wc -l) -ge {self.others if self.number == 0 else 0}"
        waiting = f"for i in $(seq {_PATIENCE_SECONDS}); do [ {newer} ] && break; sleep 1; done"
        script = f"sleep {seconds}; {waiting}; kill -CONT {os.getpid()}"
        with subprocess.Popen(["sh", "-c", script], cwd=self.place):
            os.kill(os.getpid(), signal.SIGSTOP)

    def describe(self, i: int) -> None:
        """Give two documents another title. Refused if another writer has changed the text of one."""
        # Not the first writer's stopped document: a description is newer than the texts that were committed meanwhile.
        texts = {d: self.last[d] for d in self.chance.sample(sorted(self.last.keys() - {"slow"}), 2)}
        run_id, title = f"w{self.number}-{i}-described", f"Told by {self.number} in {i}"
        version = self.catalog.begin_run(run_id, scenario.SPEC.encoding_id, [])
        more: dict[str, Any] = {"run_id": run_id, "version": version, "rows_version": 0, "title": title}
        try:
            self.committed(
                lambda: lakes.describe(self.catalog.lake, scenario.SPEC, texts, **more),
                self.chance.random() * _SLOWLY,
            )
        except PolysemeError as error:
            if "gave it a new description" not in str(error):
                raise
            self.note(overtaken=sorted(texts))
            return
        self.note(described=sorted(texts))
        for d, sentences in texts.items():
            self.acknowledge(d, (version, version), f"{title}: {' '.join(sentences)}")

    def delete(self, run_id: str, doc_id: str) -> None:
        """Delete a document."""
        version = self.catalog.begin_run(run_id, scenario.SPEC.encoding_id, [])
        self.catalog.delete_documents(scenario.SPEC.encoding_id, [doc_id], version=version)
        self.acknowledge(doc_id, (version, version), None)

    def committed(self, make: Callable[[], ShardResult], pause: float) -> ShardResult:
        """Write parts and commit them, again if a vacuum took them, and merge small parts as `polyseme embed` does."""
        for attempt in range(_ATTEMPTS):
            made = make()
            if attempt == 0:
                # Between the parts and their commit, where a vacuum can take them for leftovers.
                self.stop(pause) if pause == STOP_SECONDS else time.sleep(pause)
            try:
                self.catalog.commit_shard(made)
                break
            except PolysemeError as error:
                if "vanished" not in str(error):
                    raise
                self.note(retried=str(error)[:80])
        merges = tidy(self.catalog, scenario.SPEC.encoding_id, now=datetime.now(UTC))
        self.note(merged=[merge.outcome for merge in merges])
        return made

    def texts_read(self, ids: list[str], *, backfill: bool) -> dict[str, int | None]:
        """Return the version that each text was read in: an older one for a backfill of known documents."""
        known = self.catalog.lookup(scenario.SPEC.encoding_id, ids) if backfill else {}
        return {d: known[d].order[0] if d in known else None for d in ids}

    def acknowledge(self, doc_id: str, order: tuple[int, int], shown: str | None) -> None:
        """Note title and text of a document, None for a deleted one, under the order that decides which wins."""
        self.note(doc=doc_id, order=order, shown=shown)

    def note(self, **line: Any) -> None:
        """Append a line to this writer's file."""
        self.acks.write(json.dumps(line) + "\n")
        self.acks.flush()


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
                errors += faults(kept)
            except LakeError as error:
                # Parts that a vacuum removes after four seconds can vanish while they are copied.
                if "vanish" not in str(error):
                    raise
    (root.parent / "backups").write_text(json.dumps({"made": made, "errors": errors[:SHOWN]}))


def read(root: Path, over: Event, number: int) -> None:
    """Query again and again: every snapshot has to be consistent in itself."""
    errors, queries = [], 0
    while not over.is_set():
        try:
            found = contents(Lake(root))
            if found is not None:
                queries += 1
                errors += found[1]
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
    (root.parent / f"reader-{number}").write_text(json.dumps({"queries": queries, "errors": errors[:SHOWN]}))


def contents(lake: Lake) -> tuple[dict[str, str], list[str]] | None:
    """Return title and text of each document of a snapshot, and the faults of that; None if it took too long.

    A document has one row, and its words are those of its text.
    """
    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    with open_snapshot(snapshot, lake) as con:
        began = time.monotonic()
        documents = con.execute("SELECT doc_id, title, text FROM documents ORDER BY ALL").fetchall()
        words = dict(con.execute(_WORDS).fetchall())
        if time.monotonic() - began > GRACE.total_seconds():
            return None
    bad = [] if len({d for d, _, _ in documents}) == len(documents) else ["a document has two rows"]
    if words != {d: text for d, _, text in documents}:
        bad.append("words and texts are not of one snapshot")
    return {d: f"{title}: {text}" for d, title, text in documents}, bad


def faults(lake: Lake) -> list[str]:
    """Return the faults that `verify` finds."""
    with Catalog.open(lake) as catalog:
        found = verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings
    return [f"{f.kind} {f.subject}: {f.message}" for f in found]
