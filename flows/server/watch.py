"""Watching sources: files that have settled become one event a corpus, sent until the server has it.

Settled means unchanged in size and time for some seconds. Sources that report no changes are listed again and again.
Remembers nothing between two starts: each start sends an event that files may have arrived meanwhile, and the scan that
follows compares with the lake.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from polyseme.flows.display.terminal import note
from polyseme.flows.events import URIS_IN_AN_EVENT, SourceChanged, now, send
from polyseme.flows.server.changes import TICK_SECONDS, Stamp, changes, stamp_of
from polyseme.flows.server.corpora import Corpus
from polyseme.flows.server.listings import States, is_listed, listed_changes
from polyseme.flows.server.outbox import Outbox
from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.folders import MAGIC
from polyseme.tasks.reading.local_source import LocalSource, path_of
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.source import Source

_LONGEST_STOP = 2.0
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Watched:
    """A corpus, the existing folders, `roots`, in which its files are, and its sources that are `listed`."""

    corpus: Corpus
    sources: tuple[LocalSource, ...]
    roots: tuple[Path, ...]
    listed: tuple[str, ...] = ()

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


def watched(corpora: Iterable[Corpus], places: Sequence[str | Path] = ()) -> list[Watched]:
    """Return the corpora to watch with their folders and listed sources: all that have some, or only `places`.

    A corpus whose sources cannot be resolved, such as a folder on a disk that is not mounted, is left out with a note.
    Raises UsageError if that leaves none, and for a place that is missing or not part of a corpus.
    """
    folders, addresses = _told_apart(places)
    found, used, failures = [], set[Path | str](), list[UsageError]()
    for corpus in corpora:
        try:
            sources = corpus.resolved()
        except UsageError as error:
            failures.append(error)
            continue
        local = tuple(source for source in sources if isinstance(source, LocalSource))
        roots, listed = [_root(source) for source in local], _listed(corpus, sources)
        if places:
            pairs = [(folder, root) for folder in folders for root in roots if _meet(folder, root)]
            roots = [max(pair, key=lambda path: len(path.parts)) for pair in pairs]
            listed = [address for address in listed if address in addresses]
            used |= {folder for folder, _ in pairs} | set(listed)
        if roots or listed:
            found.append(Watched(corpus, local, tuple(dict.fromkeys(roots)), tuple(dict.fromkeys(listed))))
    if unused := [place for place in (*folders, *addresses) if place not in used]:
        raise (
            failures[0]
            if failures
            else UsageError(
                f"{unused[0]} is not part of a configured corpus, so its files would not be embedded. Add to "
                f'polyseme.toml:\n[corpus.{_name_for(str(unused[0]))}]\nsources = ["{unused[0]}"]'
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

    Every corpus has a thread that waits for changes, so that no folder can stop the events of the others, and one that
    lists its other sources every `listing` seconds.
    """

    watching: Sequence[Watched]
    settle: float = 2.0
    listing: float = 60.0
    poll: bool = False
    deliver: Callable[[Sequence[dict[str, object]]], None] = send
    stop: threading.Event = field(default_factory=threading.Event)
    outbox: Outbox = field(init=False)
    _heard: SimpleQueue[tuple[int, set[Path] | States | str]] = field(init=False, default_factory=SimpleQueue)
    """By the number of what is watched: files that changed, objects that did, or what begins to be watched."""

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.deliver)

    def run(self) -> None:
        """Watch until interrupted, or until `stop` is set."""
        settling = [Settling(self.settle) for _ in self.watching]
        threads = [
            threading.Thread(target=does, args=(number,), daemon=True)
            for number, one in enumerate(self.watching)
            for does, has in ((self._listen, one.roots), (self._list, one.listed))
            if has
        ]
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
                if isinstance(found, str):
                    self._begin(self.watching[number], found)
                elif isinstance(found, dict):
                    self._send(self.watching[number], found)
                else:
                    settling[number].saw(found, at=time.monotonic())
                number, found = self._heard.get_nowait()

    def _begin(self, one: Watched, what: str) -> None:
        # Changes are reported by now: what arrives while the first scan runs is not missed either.
        self.outbox.add(SourceChanged(corpus=one.corpus.name, reason="watch-started"), str(now()))
        note(f"Watching {what} for {one.corpus.name}. Ctrl-C stops.")

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
                        self._heard.put((number, ", ".join(map(str, one.roots))))
                        begun = True
                    if found:
                        self._heard.put((number, found))
            except Exception as error:
                note(f"{one.corpus.name}: {type(error).__name__}: {error}. Its folders are compared again.")
                self._heard.put((number, set(one.roots)))
                poll = True
                self.stop.wait(_LONGEST_PAUSE)

    def _list(self, number: int) -> None:
        """Pass on what differs between two listings of the sources of a corpus, whatever happens."""
        one = self.watching[number]
        begun = False
        while not self.stop.is_set():
            try:
                for found in listed_changes(
                    partial(_resolved, one),
                    seconds=self.listing,
                    stop=self.stop,
                    on_failure=partial(_note_failure, one),
                ):
                    if not begun:
                        every = f"listed every {self.listing:g} s"
                        self._heard.put((number, f"{', '.join(one.listed)}, {every},"))
                        begun = True
                    if found:
                        self._heard.put((number, found))
            except Exception as error:
                note(f"{one.corpus.name}: {type(error).__name__}: {error}. Its sources are listed again.")
                self.stop.wait(_LONGEST_PAUSE)

    def _post(self, one: Watched, settled: Mapping[Path, Stamp]) -> None:
        if settled:
            self._send(one, {path.as_uri(): stamp for path, stamp in settled.items()})

    def _send(self, one: Watched, states: Mapping[str, object]) -> None:
        uris = sorted(states)
        payload = SourceChanged(
            corpus=one.corpus.name, reason="files-settled", files=len(uris), uris=tuple(uris[:URIS_IN_AN_EVENT])
        )
        self.outbox.add(payload, "\0".join(f"{uri} {states[uri]}" for uri in uris))


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


def _told_apart(places: Sequence[str | Path]) -> tuple[list[Path], list[str]]:
    """Return the folders and the addresses among places. Raises UsageError for a folder that is missing."""
    folders, addresses = list[Path](), list[str]()
    for place in places:
        if isinstance(place, str) and "://" in place and not place.startswith("file://"):
            addresses.append(place)
            continue
        folders.append(Path(place if isinstance(place, Path) else path_of(place)).resolve())
        if not folders[-1].is_dir():
            raise UsageError(f"There is no folder {folders[-1]} to watch.")
    return folders, addresses


def _listed(corpus: Corpus, sources: Sequence[Source]) -> list[str]:
    """Return the sources that are listed, as they are configured, and say which cannot be watched."""
    for source in sources:
        if not isinstance(source, LocalSource) and not is_listed(source):
            note(f"{corpus.name}: {source.name} does not tell what changed and is not watched. Embed it on a schedule.")
    return [source.spec for source in sources if is_listed(source)]


def _resolved(one: Watched) -> list[Source]:
    """Return the listed sources as they are now; one that is not there has nothing in it."""
    return resolve(one.listed, known=lambda source: True, patterns=one.corpus.patterns)


def _note_failure(one: Watched, failure: str) -> None:
    note(f"{one.corpus.name}: {failure}. It is listed again until that can be done; nothing is lost.")


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


def _name_for(place: str) -> str:
    name = place.rstrip("/").rpartition("/")[2].lower()
    return "".join(c if c.isalnum() else "-" for c in name).strip("-") or "mine"


def _note_fallback(one: Watched, error: Exception) -> None:
    note(
        f"{one.corpus.name}: the system no longer reports changes ({error}). Its folders are compared instead, which "
        "takes any name and number of folders but is slower."
    )
