"""Watching folders: files that have settled become one event a corpus, sent until the server has it.

Settled means unchanged in size and time for some seconds. Remembers nothing between two starts: each start sends an
event that files may have arrived meanwhile, and the scan that follows compares with the lake.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from watchfiles import Change, watch

from polyseme.flows.events import URIS_IN_AN_EVENT, SendError, SourceChanged, as_event, event_id, now, send
from polyseme.flows.server.corpora import Corpus
from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.folders import MAGIC, walk
from polyseme.tasks.reading.sources import Source

_TICK_MS = 250
_LONGEST_PAUSE, _MOST_DOUBLINGS = 30.0, 6

Stamp = tuple[int, int] | None
"""Size of a file and time of its last change in nanoseconds; None if it is gone."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A corpus and the existing folders, `roots`, in which its files are."""

    corpus: Corpus
    sources: tuple[Source, ...]
    roots: tuple[Path, ...]

    def covers(self, path: Path) -> bool:
        """True if a file of this name would be read, and for what may have been a folder of such files."""
        if path.is_dir() or (not path.suffix and not path.name.startswith(".")):
            hidden = path.name.startswith(".")
            return not hidden and any(path.is_relative_to(root) for root in self.roots) and not path.is_file()
        uri = path.as_uri()
        return any(source.covers(uri) for source in self.sources)


def watched(corpora: Iterable[Corpus], folders: Sequence[Path] = ()) -> list[Watched]:
    """Return the corpora to watch with their folders: all that have sources, or only `folders`.

    Raises UsageError for a folder that is missing or not part of a corpus.
    """
    chosen = [folder.resolve() for folder in folders]
    for folder in chosen:
        if not folder.is_dir():
            raise UsageError(f"There is no folder {folder} to watch.")
    found, used = [], set[Path]()
    for corpus in corpora:
        sources = tuple(corpus.resolved())
        roots = [_root(source) for source in sources]
        if chosen:
            pairs = [(folder, root) for folder in chosen for root in roots if _meet(folder, root)]
            used |= {folder for folder, _ in pairs}
            roots = [max(pair, key=lambda path: len(path.parts)) for pair in pairs]
        if roots:
            found.append(Watched(corpus, sources, tuple(dict.fromkeys(roots))))
    if unused := [folder for folder in chosen if folder not in used]:
        raise UsageError(
            f"{unused[0]} is not part of a configured corpus, so its files would not be embedded. Add to "
            f'polyseme.toml:\n[corpus.{_name_for(unused[0])}]\nsources = ["{unused[0]}"]'
        )
    return found


@dataclass
class Watcher:
    """The watching process. `settle` is in seconds; `deliver` posts events and raises SendError."""

    watching: Sequence[Watched]
    settle: float = 2.0
    poll: bool = False
    deliver: Callable[[Sequence[dict[str, object]]], None] = send
    stop: threading.Event = field(default_factory=threading.Event)
    settling: Settling = field(init=False)
    outbox: Outbox = field(init=False)

    def __post_init__(self) -> None:
        self.settling = Settling(self.settle)
        self.outbox = Outbox(self.deliver)

    def run(self) -> None:
        """Watch until interrupted, or until `stop` is set."""
        roots = sorted({root for one in self.watching for root in one.roots})
        changes = watch(
            *roots, watch_filter=self._wanted, debounce=_TICK_MS, step=50, rust_timeout=_TICK_MS, yield_on_timeout=True,
            force_polling=self.poll or None, raise_interrupt=True, stop_event=self.stop,
        )  # fmt: skip
        first = True
        for batch in changes:
            if first:
                # The kernel reports changes by now: what arrives while the first scan runs is not missed either.
                self._begin(roots)
                first = False
            self.settling.saw(_files(Path(path) for _, path in batch), at=time.monotonic())
            self._post(self.settling.settled(at=time.monotonic()))
            self.outbox.flush(at=time.monotonic())

    def _begin(self, roots: Sequence[Path]) -> None:
        for one in self.watching:
            self.outbox.add(SourceChanged(corpus=one.corpus.name, reason="watch-started"), str(now()))
        names = ", ".join(one.corpus.name for one in self.watching)
        _note(f"Watching {', '.join(map(str, roots))} for {names}. Ctrl-C stops.")

    def _wanted(self, change: Change, path: str) -> bool:
        return any(one.covers(Path(path)) for one in self.watching)

    def _post(self, settled: Mapping[Path, Stamp]) -> None:
        for one in self.watching:
            files = {path: stamp for path, stamp in sorted(settled.items()) if one.covers(path)}
            if files:
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
        what = hashlib.sha256(what.encode()).hexdigest()
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
                _note(f"The Prefect server does not answer ({error}). Trying until it does; nothing is lost.")
            self._failures = min(self._failures + 1, _MOST_DOUBLINGS)
            self._not_before = at + min(_LONGEST_PAUSE, 0.5 * 2**self._failures)
            return
        for payload, _ in self._waiting.values():
            _note(f"{payload.corpus}: {payload.reason}, {payload.files} files")
        self._waiting.clear()
        self._failures, self._not_before = 0, 0.0


def stamp_of(path: Path) -> Stamp:
    """Return the size of a file and the time of its last change; None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files that changed: of a folder that was moved in, the kernel reports only the folder's name."""
    for path in paths:
        if path.is_dir():
            yield from walk(path, on_error=lambda folder, error: None)
        else:
            yield path


def _root(source: Source) -> Path:
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


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
