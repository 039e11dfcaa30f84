"""A lake that answers pages: opened anew when it has changed, with what was asked before kept while it has not.

Two connections, each used by one thread at a time: one for pages, one for SQL that somebody typed, which may take as
long as it is allowed to without keeping a page from being shown.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Event, Lock, Semaphore
from typing import Any, TypeVar

import pyarrow as pa

from polyseme.flows.display.not_found import absence
from polyseme.flows.display.output import head_of
from polyseme.flows.explorer.page import BusyError
from polyseme.flows.explorer.point_maps import OCCURRENCES, Maps, PointMap, Progress
from polyseme.flows.lake_facts import Facts, lake_facts
from polyseme.storage.catalog import Catalog
from polyseme.storage.database.meta import State
from polyseme.storage.errors import PolysemeError, UnstoppableError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.access import only_reads
from polyseme.tasks.analysis.senses import load_clustering
from polyseme.tasks.sql.execution import Queries
from polyseme.tasks.sql.functions import ModelFunctions

T = TypeVar("T")
_LOOK_AGAIN_SECONDS = 1.0
_KEPT_BYTES = 256 * 2**20
_RUNS = 5
_FACTS_SECONDS = 5.0
"""How old facts may be: the last sign of life of a run, or a file that is gone, changes no version of the catalog."""
_FIRST_PAGE_SECONDS = 2.0
_MOST_TYPED = 4
"""Typed queries that run or wait at once. Each holds one of some forty threads that pages are made in too."""


class LiveLake:
    """A lake for many requests at once. Raises PolysemeError for what cannot be answered. Use as a context manager."""

    def __init__(self, lake: Lake, functions: Callable[[], ModelFunctions], *, timeout: float | None = None) -> None:
        self.lake, self._timeout = lake, timeout
        self._pages, self._typed = _Lane(lake, functions), _Lane(lake, functions)
        self._kept: OrderedDict[tuple[object, ...], pa.Table] = OrderedDict()
        self._keeping = Lock()
        self._turns = Semaphore(_MOST_TYPED)
        self._maps = Maps()
        self._facts, self._facts_at, self._reading_facts = Facts(), float("-inf"), Lock()
        self._closed = Event()

    def __enter__(self) -> LiveLake:
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        self._maps.close()
        self._pages.close()
        self._typed.close()

    @property
    def state(self) -> State:
        """What tells the state of the lake that pages show from every other."""
        return self._pages.use(lambda queries: queries.state)

    def warm_up(self) -> None:
        """Open the lake, and load what groups occurrences by sense, which takes longer than a page may.

        That waits until the first page is likely to have been shown: both want the same cores.
        """
        _ = self.state
        if not self._closed.wait(_FIRST_PAGE_SECONDS):
            load_clustering()

    def ask(self, sql: str, *, where: str = "", **parameters: object) -> pa.Table:
        """Return the rows of a query of ours, with `$name` parameters.

        `where` is a condition that somebody typed: the query finds the documents that meet it in the view
        `chosen_documents`. Raises UsageError if it is not one.
        """

        def answer(queries: Queries) -> pa.Table:
            key = (queries.state, sql, where, *_hashable(parameters.items()))
            if (known := self._remembered(key)) is not None:
                return known
            if where:
                queries.select("chosen_documents", where)
            found = queries.table(sql, timeout=self._timeout, **parameters)
            self._remember(key, found)
            return found

        return self._pages.use(answer)

    def rows(self, sql: str, *, where: str = "", **parameters: object) -> list[dict[str, Any]]:
        """Return the rows of a query of ours as records."""
        found: list[dict[str, Any]] = self.ask(sql, where=where, **parameters).to_pylist()
        return found

    def run(self, sql: str, *, most: int) -> pa.Table:
        """Return the first `most` rows of the last statement of some SQL that has rows; without columns if none has.

        What it makes or changes ends with it: an address shows the same to whoever asks, whatever was asked before.
        """
        found = [pa.table({})]

        def show(rows: pa.RecordBatchReader) -> None:
            found.append(head_of(rows, most))

        def answer(queries: Queries) -> None:
            queries.run(sql, show, timeout=self._timeout)

        if not self._turns.acquire(blocking=False):
            raise BusyError(f"{_MOST_TYPED} queries run or wait for their turn already. Try again in a while.")
        try:
            self._typed.use(answer, keeps=lambda: only_reads(sql))
        except PolysemeError as error:
            if type(error) is not PolysemeError:
                raise
            raise UsageError(str(error)) from error  # of what was typed, not of the lake
        finally:
            self._turns.release()
        return found[-1]

    def facts(self) -> Facts:
        """Return what `polyseme status` says of the lake, as it was at most some seconds ago."""
        with self._reading_facts:
            if time.monotonic() - self._facts_at > _FACTS_SECONDS:
                with Catalog.open(self.lake) as catalog:
                    found = lake_facts(catalog, catalog.snapshot(), runs=_RUNS, place=str(self.lake.root))
                self._facts, self._facts_at = found, time.monotonic()
            return self._facts

    def why_absent(self, word: str, *, by_lemma: bool) -> str:
        """Return why a word or phrase has no occurrences, and what is spelled like it, as the commands say it."""
        return self._pages.use(
            lambda queries: absence(queries, self.lake, word, by_lemma=by_lemma, timeout=self._timeout)
        )

    def sentence_map(self) -> PointMap | Progress:
        """Return the map of all sentences, or how far it is; the first who asks has it made."""
        vectors = self._pages.use(lambda queries: queries.sentence_vectors())
        return PointMap.empty() if vectors is None else self._maps.of_sentences(vectors)

    def word_map(self, word: str, *, by_lemma: bool) -> PointMap | Progress:
        """Return the map of the occurrences of a word, or how far it is."""

        def occurrences() -> pa.Table:
            # Not kept, as `ask` would: the vectors of a frequent word are all the memory that there is for answers.
            return self._pages.use(
                lambda queries: queries.table(OCCURRENCES, timeout=self._timeout, word=word, by_lemma=by_lemma)
            )

        return self._maps.of_word((self.state, word, by_lemma), occurrences)

    def _remembered(self, key: tuple[object, ...]) -> pa.Table | None:
        with self._keeping:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _remember(self, key: tuple[object, ...], table: pa.Table) -> None:
        with self._keeping:
            self._kept[key] = table
            size = sum(kept.nbytes for kept in self._kept.values())
            while size > _KEPT_BYTES and len(self._kept) > 1:
                size -= self._kept.popitem(last=False)[1].nbytes


class _Lane:
    """One connection, used by one thread at a time, and opened anew when the lake has changed."""

    def __init__(self, lake: Lake, functions: Callable[[], ModelFunctions]) -> None:
        self._lake, self._functions = lake, functions
        self._lock, self._queries, self._looked = Lock(), None, 0.0

    _queries: Queries | None

    def use(self, work: Callable[[Queries], T], keeps: Callable[[], bool] = lambda: True) -> T:
        """Return what `work` returns. The next has a connection of its own, unless `work` `keeps` this as it was."""
        with self._lock:
            try:
                return work(self._current())
            except UnstoppableError:
                self._drop()  # whatever comes next would wait for it
                raise
            finally:
                if not keeps():
                    self._drop()

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._queries is not None:
            self._queries.close()
        self._queries = None

    def _current(self) -> Queries:
        if self._queries is not None and time.monotonic() - self._looked < _LOOK_AGAIN_SECONDS:
            return self._queries
        if self._queries is not None:
            with Catalog.open(self._lake) as catalog:
                changed = catalog.state != self._queries.state
            if changed:
                self._drop()
        if self._queries is None:
            self._queries = Queries(self._lake, self._functions())
        self._looked = time.monotonic()
        return self._queries


def _hashable(items: Iterable[tuple[str, object]]) -> Iterable[tuple[str, object]]:
    return ((name, tuple(value) if isinstance(value, list) else value) for name, value in items)
