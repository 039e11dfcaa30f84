"""Progress of an embedding run: how much is done, how fast, how long it will still take. Counts; draws nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

from polyseme.storage.lake import Lake
from polyseme.storage.records import Counts, Shard
from polyseme.storage.wording import many
from polyseme.tasks.engine import Cancelled
from polyseme.tasks.shards.tally import Reading, Tally

Listener = Callable[[str, float | None], None]
"""Takes a line about a run and the share of it that is done, None while that is not known."""
_RUNS: dict[str, Progress] = {}
_LISTENERS: list[Listener] = []
_STOPPED = "Stopped on request; committed shards are kept, the rest was not started."
_CHECK_EVERY_SECONDS = 1.0
_RATE_AFTER_SECONDS = 2.0
"""Before that the first batches say nothing about the rate."""
_LONG_SECONDS = 5.0
"""A file that is read for longer is named."""
_NAME_BEGIN, _NAME_END = 20, 12
"""Characters that are shown of a longer name. A terminal of 80 columns has 50 for all that is said."""


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener` called, from any thread, whenever a run in this process makes progress."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


def announce(text: str, share: float | None) -> None:
    """Call every listener."""
    for listener in tuple(_LISTENERS):
        listener(text, share)


def phase(text: str) -> None:
    """Say what this process waits for; if it has runs, with what they have read, and until the model runs."""
    for progress in tuple(_RUNS.values()):
        progress.phase = text
    refresh() if _RUNS else announce(text, None)


def refresh() -> None:
    """Call every listener with the state of the runs in this process, though nothing new may have happened."""
    for progress in tuple(_RUNS.values()):
        announce(line(progress), progress.fraction or None)


def reporter(shard: Shard, lake: Lake) -> Callable[[int], None]:
    """Return what a task calls with the tokens of every batch. It raises Cancelled if the run was stopped.

    In another process than the run's, nothing is counted, and the run was stopped if the shard's staged file is gone.
    """
    progress = _RUNS.get(shard.run_id)
    return progress.batch if progress else _while_staged(shard, lake)


def _while_staged(shard: Shard, lake: Lake) -> Callable[[int], None]:
    checked = time.monotonic()

    def check(tokens: int) -> None:
        nonlocal checked
        if time.monotonic() - checked < _CHECK_EVERY_SECONDS:
            return
        checked = time.monotonic()
        if lake.files.missing([shard.path]):
            raise Cancelled(_STOPPED)

    return check


@dataclass(slots=True)
class Progress:
    """Shared by the threads of one run. `chars_planned` grows until `planned` is set.

    `tally` is what its scan has counted so far, `reading` where it is, `phase` what it waits for, `running` when the
    model first ran.
    """

    run_id: str

    chars_planned: int = 0
    planned: bool = False
    documents: int = 0
    chars_done: int = 0
    tokens_forward: int = 0
    counts: Counts = field(default_factory=Counts)
    started: float = field(default_factory=time.perf_counter)
    running: float | None = None
    stopped: bool = False
    tally: Tally = field(default_factory=Tally)
    reading: Reading = field(default_factory=Reading)
    phase: str = ""
    may_round: bool = False
    """Whether an encoding with more bits may have what is new to this one, which is known when it is done."""
    _came_to: tuple[int, str, float] = (0, "", 0.0)
    """The file at which the scan was when that was last looked at, and since when."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @staticmethod
    def begin(run_id: str) -> Progress:
        """Start the progress of a run and let its tasks find it."""
        progress = _RUNS[run_id] = Progress(run_id)
        return progress

    def end(self) -> None:
        """Forget the run."""
        _RUNS.pop(self.run_id, None)

    def batch(self, tokens: int) -> None:
        """Count a batch the model ran. Raises Cancelled after `stop`."""
        if self.stopped:
            raise Cancelled(_STOPPED)
        with self._lock:
            self.running = self.running or time.perf_counter()
            self.tokens_forward += tokens
        self._announce()

    def shard(self, counts: Counts, *, chars: int) -> None:
        """Count a committed shard."""
        with self._lock:
            self.counts += counts
            # The only count of batches that ran in other processes.
            self.tokens_forward = max(self.tokens_forward, self.counts.forward_tokens)
            self.documents += counts.documents
            self.chars_done += chars
        self._announce()

    def _announce(self) -> None:
        if _LISTENERS:
            announce(line(self), self.fraction or None)

    def stop(self) -> None:
        """Stop the run at the next batch."""
        self.stopped = True

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def seconds_running(self) -> float:
        """Since the model first ran, in this process or in another; before that since the run began."""
        return time.perf_counter() - (self.running or self.started)

    @property
    def fraction(self) -> float | None:
        """Share of the planned work done, batches of unfinished shards included; None until the plan is complete."""
        if not self.planned or not self.chars_planned:
            return 0.0 if self.planned else None
        if not self.counts.forward_tokens:
            return min(1.0, self.chars_done / self.chars_planned)  # everything so far was copied
        per_char = self.counts.forward_tokens / max(1, self.chars_done)
        return min(1.0, self.tokens_forward / (per_char * self.chars_planned))

    def long_read(self) -> tuple[str, float] | None:
        """Return the name of the file at which the scan has been long, and for how many seconds; None if it moves.

        Counts from when it was first asked while the scan was there.
        """
        now, files, uri = time.perf_counter(), self.reading.files, self.reading.uri
        if (files, uri) != self._came_to[:2]:
            self._came_to = (files, uri, now)
        since = now - self._came_to[2]
        return (_name(uri), since) if uri and not self.planned and since >= _LONG_SECONDS else None

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the rate so far; None until the first shard is done."""
        fraction = self.fraction
        return self.seconds_running * (1 - fraction) / fraction if fraction else None


def describe(progress: Progress) -> str:
    """Return a line: how much is done, how fast, what was copied, and about how long it will still take."""
    seconds, counts = progress.seconds_running, progress.counts
    rate = progress.tokens_forward / seconds if seconds else 0.0
    left = progress.seconds_left
    ending = f", about {duration(left)} left" if left is not None else ""
    if counts.rounded_documents and not progress.tokens_forward:
        return f"{many(counts.rounded_documents, 'documents')} rounded, {many(counts.sentences, 'sentences')}{ending}"
    rounded = f", {counts.rounded_documents:,} rounded" if counts.rounded_documents else ""
    return (
        f"{many(progress.documents, 'documents')}{rounded}, {many(progress.tokens_forward, 'tokens')} run, "
        f"{rate:,.0f}/s{reused(counts)}{ending}"
    )


def reused(counts: Counts) -> str:
    """Return the end of a line that says how many sentences were encoded and how many reused; nothing if none were."""
    if not counts.reused_sentences:
        return ""
    encoded = counts.sentences - counts.reused_sentences
    return f", {many(encoded, 'sentences')} encoded, {counts.reused_sentences:,} reused"


def line(progress: Progress) -> str:
    """Return what people see: what was read while nothing is encoded, then as `describe` says."""
    tally, waiting = progress.tally, f"{progress.phase}; " if progress.phase else ""
    if (long := progress.long_read()) is not None:
        waiting = f"reading {long[0]} for {duration(long[1])}; "
    to_encode = tally.new + tally.changed
    to_do = "to encode or round" if progress.may_round else "to encode"
    if progress.documents:
        return f"{waiting if long else ''}{describe(progress)}"
    if progress.tokens_forward:
        seconds = progress.seconds_running
        speed = f", {progress.tokens_forward / seconds:,.0f}/s" if seconds > _RATE_AFTER_SECONDS else ""
        return f"{many(to_encode, 'documents')} {to_do}, {many(progress.tokens_forward, 'tokens')} run{speed}"
    rate = tally.documents / max(progress.seconds, 1e-3)
    speed = f" ({rate:,.0f}/s)" if not progress.planned else ""
    read = many(tally.documents, "documents")
    if progress.reading.files and (long or not tally.documents):
        read += f" of {many(progress.reading.files, 'files')}"
    return f"{waiting}{read} read{speed}, {tally.unchanged:,} unchanged, {to_encode:,} {to_do}"


def _name(uri: str) -> str:
    """Return the last name in an address, shortened, with a question mark for each character that has no shape."""
    name = unquote(uri.partition("?")[0].rstrip("/").rpartition("/")[2])
    shown = "".join(character if character.isprintable() else "?" for character in name)
    whole = len(shown) <= _NAME_BEGIN + _NAME_END + 1
    return shown if whole else f"{shown[:_NAME_BEGIN]}…{shown[-_NAME_END:]}"


def duration(seconds: float) -> str:
    """Return a duration for people, in seconds up to a minute and a half and in minutes above."""
    return f"{round(seconds)} s" if seconds < 90 else f"{round(seconds / 60)} min"
