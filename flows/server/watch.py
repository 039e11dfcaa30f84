"""Watching folders: files that have settled become one event a corpus, sent until the server has it.

Settled means unchanged in size and time for some seconds. Remembers nothing between two starts: each start sends an
event that files may have arrived meanwhile, and the scan that follows compares with the lake.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from polyseme.flows.display.terminal import note
from polyseme.flows.events import URIS_IN_AN_EVENT, SendError, SourceChanged, as_event, event_id, now, send
from polyseme.flows.server.changes import TICK_SECONDS, Stamp, changes, stamp_of
from polyseme.flows.server.corpora import Corpus
from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.folders import MAGIC
from polyseme.tasks.reading.local_source import LocalSource

_LONGEST_STOP = 2.0
_LONGEST_PAUSE, _MOST_DOUBLINGS = 30.0, 6


@dataclass(frozen=True, slots=True)
class Watched:
    """A corpus and the existing folders, `roots`, in which its files are."""

    corpus: Corpus
    sources: tuple[LocalSource, ...]
    roots: tuple[Path, ...]

    def covers(self, path: Path) -> bool:
        """Return whether a file of this name would be read, and for a folder whether it may hold such files."""
        if os.path.isdir(path):
            inside = not path.name.startswith(".") and any(path.is_relative_to(root) for root in self.roots)
            return inside and not self._leaves_out_folder(path)
        if not os.path.lexists(path) and self._leaves_out_folder(path):
            return False  # what is gone may have been a folder
        uri = path.as_uri()
        return any(source.covers(uri) for source in self.sources)

    def _leaves_out_folder(self, path: Path) -> bool:
        return all(source.leaves_out(str(path), folder=True) for source in self.sources)


def watched(corpora: Iterable[Corpus], folders: Sequence[Path] = ()) -> list[Watched]:
    """Return the corpora to watch with their folders: all that have sources, or only `folders`.

    A corpus whose sources cannot be resolved, such as a folder on a disk that is not mounted, is left out with a note.
    Raises UsageError if that leaves none, and for a folder that is missing or not part of a corpus.
    """
    chosen = [folder.resolve() for folder in folders]
    for folder in chosen:
        if not folder.is_dir():
            raise UsageError(_no_folder(folder, folders[chosen.index(folder)]))
    found, used, failures = [], set[Path](), list[UsageError]()
    for corpus in corpora:
        try:
            sources = _local(corpus)
        except UsageError as error:
            failures.append(error)
            continue
        roots = [_root(source) for source in sources]
        if chosen:
            pairs = [(folder, root) for folder in chosen for root in roots if _meet(folder, root)]
            used |= {folder for folder, _ in pairs}
            roots = [max(pair, key=lambda path: len(path.parts)) for pair in pairs]
        if roots:
            found.append(Watched(corpus, sources, tuple(dict.fromkeys(roots))))
    if unused := [folder for folder in chosen if folder not in used]:
        raise (
            failures[0]
            if failures
            else UsageError(
                f"{unused[0]} is not part of a configured corpus, so its files would not be embedded. Add to "
                f'polyseme.toml:\n[corpus.{_name_for(unused[0])}]\nsources = ["{unused[0]}"]'
            )
        )
    if failures and not found:
        raise failures[0]
    for failure in failures:
        note(f"{failure} It is not watched until `polyseme watch` is started again.")
    return found


@dataclass
class Watcher:
    """The watching process. `settle` is in seconds; `deliver` posts events and raises SendError.

    Every corpus has a thread that waits for changes, so that no folder can stop the events of the others.
    """

    watching: Sequence[Watched]
    settle: float = 2.0
    poll: bool = False
    deliver: Callable[[Sequence[dict[str, object]]], None] = send
    stop: threading.Event = field(default_factory=threading.Event)
    outbox: Outbox = field(init=False)
    _heard: SimpleQueue[tuple[int, set[Path] | None]] = field(init=False, default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.deliver)

    def run(self) -> None:
        """Watch until interrupted, or until `stop` is set."""
        settling = [Settling(self.settle) for _ in self.watching]
        threads = [threading.Thread(target=self._listen, args=(i,), daemon=True) for i in range(len(self.watching))]
        for thread in threads:
            thread.start()
        try:
            while not self.stop.is_set():
                self._hear(settling)
                for one, files in zip(self.watching, settling, strict=True):
                    self._post(one, files.settled(at=time.monotonic()))
                self.outbox.flush(at=time.monotonic())
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(_LONGEST_STOP)

    def _hear(self, settling: Sequence[Settling]) -> None:
        """Take what the threads have found, for one tick at most."""
        with suppress(Empty):
            number, found = self._heard.get(timeout=TICK_SECONDS)
            while True:
                if found is None:
                    self._begin(self.watching[number])
                else:
                    settling[number].saw(found, at=time.monotonic())
                number, found = self._heard.get_nowait()

    def _begin(self, one: Watched) -> None:
        # Changes are reported by now: what arrives while the first scan runs is not missed either.
        self.outbox.add(SourceChanged(corpus=one.corpus.name, reason="watch-started"), str(now()))
        note(f"Watching {', '.join(map(str, one.roots))} for {one.corpus.name}. Ctrl-C stops.")

    def _listen(self, number: int) -> None:
        """Pass on the changes of one corpus, whatever happens."""
        one = self.watching[number]
        begun = False
        poll = self.poll
        while not self.stop.is_set():
            try:
                for found in changes(
                    one.roots, one.covers, stop=self.stop, poll=poll, on_fallback=partial(_note_fallback, one)
                ):
                    if not begun:
                        self._heard.put((number, None))
                        begun = True
                    if found:
                        self._heard.put((number, found))
            except Exception as error:
                note(f"{one.corpus.name}: {type(error).__name__}: {error}. Its folders are compared again.")
                self._heard.put((number, set(one.roots)))
                poll = True
                self.stop.wait(_LONGEST_PAUSE)

    def _post(self, one: Watched, settled: Mapping[Path, Stamp]) -> None:
        if settled:
            files = dict(sorted(settled.items()))
            uris = tuple(path.as_uri() for path in list(files)[:URIS_IN_AN_EVENT])
            payload = SourceChanged(corpus=one.corpus.name, reason="files-settled", files=len(files), uris=uris)
            self.outbox.add(payload, "\0".join(f"{path} {stamp}" for path, stamp in files.items()))


class Settling:
    """Files that changed and may still be changing."""

    def __init__(self, seconds: float, *, stamp: Callable[[Path], Stamp] | None = None) -> None:
        self._seconds = seconds
        self._stamp = stamp or stamp_of
        self._since: dict[Path, tuple[float, Stamp]] = {}

    def saw(self, paths: Iterable[Path], *, at: float) -> None:
        """Record that files changed at a time of the monotonic clock."""
        for path in paths:
            self._since[path] = (at, self._stamp(path))

    def settled(self, *, at: float) -> dict[Path, Stamp]:
        """Return, and forget, the files that are unchanged for long enough, and at once those that are gone."""
        done: dict[Path, Stamp] = {}
        for path, (since, before) in list(self._since.items()):
            if before is not None and at - since < self._seconds:
                continue
            stamp = self._stamp(path)
            if stamp != before:
                self._since[path] = (at, stamp)
                continue
            done[path] = stamp
            del self._since[path]
        return done


class Outbox:
    """Events that the server has not acknowledged yet; tried again, each time after a longer pause.

    An event keeps its id over all attempts. While the server is away one event a corpus is enough: the run that it
    starts scans all of it.
    """

    def __init__(self, deliver: Callable[[Sequence[dict[str, object]]], None]) -> None:
        self._deliver = deliver
        self._waiting: dict[str, tuple[SourceChanged, str]] = {}
        self._failures = 0
        self._not_before = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, payload: SourceChanged, what: str) -> None:
        """Queue an event about `what`, merged with one of the same corpus that still waits."""
        what = hashlib.sha256(what.encode(errors="surrogateescape")).hexdigest()
        if payload.corpus in self._waiting:
            before, earlier = self._waiting[payload.corpus]
            payload = SourceChanged(
                corpus=payload.corpus,
                reason="files-settled",
                files=before.files + payload.files,
                uris=tuple(dict.fromkeys(before.uris + payload.uris))[:URIS_IN_AN_EVENT],
            )
            what = hashlib.sha256((earlier + what).encode()).hexdigest()
        self._waiting[payload.corpus] = payload, what

    def flush(self, *, at: float) -> None:
        """Send what waits, unless the last attempt failed too recently."""
        if not self._waiting or at < self._not_before:
            return
        occurred = now()
        events = [
            as_event(payload, occurred=occurred, event_id=event_id(payload, what))
            for payload, what in self._waiting.values()
        ]
        try:
            self._deliver(events)
        except SendError as error:
            if not self._failures:
                note(f"The Prefect server does not answer ({error}). Trying until it does; nothing is lost.")
            self._failures = min(self._failures + 1, _MOST_DOUBLINGS)
            self._not_before = at + min(_LONGEST_PAUSE, 0.5 * 2**self._failures)
            return
        for payload, _ in self._waiting.values():
            note(f"{payload.corpus}: {payload.reason}, {payload.files} files")
        self._waiting.clear()
        self._failures, self._not_before = 0, 0.0


def _no_folder(folder: Path, named: Path) -> str:
    if re.match(r"[a-z0-9]+:/", str(named)):  # a path has one slash where an address has two
        return (
            f"{str(named).replace(':/', '://', 1)} is not on this machine, reports no changes and is not watched. "
            "Embed it on a schedule: what did not change is not opened."
        )
    return f"There is no folder {folder} to watch."


def _local(corpus: Corpus) -> tuple[LocalSource, ...]:
    """Return the sources of a corpus on this machine, and say which others it has: they report no changes."""
    sources = corpus.resolved()
    for source in sources:
        if not isinstance(source, LocalSource):
            note(f"{corpus.name}: {source.name} reports no changes and is not watched. Embed it on a schedule.")
    return tuple(source for source in sources if isinstance(source, LocalSource))


def _root(source: LocalSource) -> Path:
    """Return the folder in which files of a source appear and go."""
    if source.kind == "folder":
        return Path(source.target)
    target = Path(source.target)
    if source.kind == "glob":
        first = next(i for i, part in enumerate(target.parts) if MAGIC.search(part))
        return Path(*target.parts[:first])
    return target.parent


def _meet(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _name_for(folder: Path) -> str:
    return "".join(c if c.isalnum() else "-" for c in folder.name.lower()).strip("-") or "mine"


def _note_fallback(one: Watched, error: Exception) -> None:
    note(
        f"{one.corpus.name}: the system no longer reports changes ({error}). Its folders are compared instead, which "
        "takes any name and number of folders but is slower."
    )
