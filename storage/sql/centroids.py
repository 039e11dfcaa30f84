"""Word centroids: the mean vector of each word over the lake, and the words nearest to a vector.

Contextual vectors of one model all point roughly the same way, so the mean of all centroids is subtracted before they
are compared. They are kept in memory, 3 kB a word of 384 dimensions, and their sums between processes (`kept_sums`).
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.parquet.vector_sums import Change, Wanted, changes
from polyseme.storage.search.unit_vectors import Floats, unit_rows
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.kept_sums import AT_LEAST, Sums, hidden_rows, live_parts, load, save
from polyseme.storage.sql.literals import quote_name
from polyseme.storage.sql.views import explained, unreadable
from polyseme.storage.word_keys import word_key

WORTH_KEEPING = 100_000
"""Occurrences from which on sums are kept: those of fewer take half a second."""
_SHARED_LIMIT = 2
_THREADS = 2
_LETTERS = r"'\pL[\pL\pM\x{200C}\x{200D}]*'"


@dataclass(frozen=True, slots=True)
class NearWord:
    """A word with its occurrences, and the cosine of its centred centroid with what was asked for."""

    word: str
    occurrences: int
    similarity: float


@dataclass(frozen=True, slots=True)
class WordCentroids:
    """The words, how often each occurs, their mean vectors `(words, width)`, and the mean of these, the centre.

    `unit` are the means less the centre, of length 1.
    """

    words: tuple[str, ...]
    occurrences: npt.NDArray[np.int64]
    means: Floats
    unit: Floats
    centre: Floats

    def nearest(self, vector: Floats, k: int, *, but: Collection[str] = ()) -> list[NearWord]:
        """Return the `k` words nearest to `vector` `(width,)`, a mean of occurrences, best first, without `but`."""
        if not self.words:
            return []
        scores = self.unit @ unit_rows((vector - self.centre)[None])[0]
        order = np.argsort(-scores, kind="stable")[: k + len(but)]
        found = [(self.words[i], int(self.occurrences[i]), float(scores[i])) for i in order]
        return [NearWord(*row) for row in found if row[0] not in but][:k]


def read_centroids(
    snapshot: Snapshot,
    lake: Lake,
    encoding: Encoding,
    *,
    at_least: int,
    by_lemma: bool,
    check: Callable[[], None] = lambda: None,
    worth_keeping: int = WORTH_KEEPING,
) -> WordCentroids:
    """Return the centroids of all words of an encoding with `at_least` occurrences.

    From the sums that are kept of it, and those parts and rows that are new since. Sums of a lake with at least
    `worth_keeping` occurrences are kept. `check` is called often, and raises to stop. Raises LakeError.
    """
    kept = load(snapshot, encoding, by_lemma=by_lemma)
    if kept is None or at_least < AT_LEAST or not kept.is_of(snapshot, encoding):
        floor = min(at_least, AT_LEAST)
        kept = _brought_up_to_date(kept, snapshot, lake, encoding, floor, by_lemma=by_lemma, check=check)
        if floor == AT_LEAST and kept.occurrences.sum() >= worth_keeping:
            save(snapshot, encoding, kept, by_lemma=by_lemma)
    frequent = np.flatnonzero(kept.occurrences >= at_least)
    occurrences = kept.occurrences[frequent]
    means = (kept.sums[frequent] / occurrences[:, None]).astype(np.float32)
    centre = means.mean(axis=0) if len(means) else np.zeros(encoding.spec.width, np.float32)
    words = tuple(kept.words[i] for i in frequent.tolist())
    return WordCentroids(words, occurrences, means, unit_rows(means - centre), centre)


def _brought_up_to_date(
    kept: Sums | None, snapshot: Snapshot, lake: Lake, encoding: Encoding, at_least: int, *, by_lemma: bool,
    check: Callable[[], None],
) -> Sums:  # fmt: skip
    """Return the sums of a snapshot, by word, from those of an earlier state if nothing in them is gone."""
    width, parts, hidden = encoding.spec.width, live_parts(snapshot, encoding), hidden_rows(snapshot, encoding)
    if kept is None or not kept.parts <= parts:
        kept = Sums.nothing(width)
    counts, place = _counted(snapshot, lake, encoding, at_least, by_lemma=by_lemma)
    rank = {word: i for i, word in enumerate(counts)}
    old = [(i, rank[word]) for i, word in enumerate(kept.words) if word in rank]
    sums, occurrences = np.zeros((len(rank), width)), np.zeros(len(rank), np.int64)
    known = np.zeros(len(rank), np.bool_)
    if old:
        before, now = np.array(old).T
        sums[now], occurrences[now], known[now] = kept.sums[before], kept.occurrences[before], True
    column = "lemma" if by_lemma else "word_lower"
    untouched = bool(known.all()) and hidden.pairs == kept.hidden.pairs

    def of_part(path: str) -> list[Change]:
        before = kept.hidden if path in kept.parts else None
        if not rank or (before is not None and untouched):
            return []
        wanted = Wanted(column=column, place=place, hidden=hidden, known=known, before=before)
        with lake.files.fetched(path) as file:
            return changes(file, width, wanted, check)

    for change in _from_each(of_part, sorted(parts), lake):
        sums[change.places] += change.sums
        occurrences[change.places] += change.rows
    counted = np.array(list(counts.values()), np.int64)
    if kept.parts and not (np.array_equal(occurrences, counted) and np.isfinite(sums).all()):
        # Kept sums that are not what they say, or a vector that is no number, which nothing can be taken out of.
        return _brought_up_to_date(None, snapshot, lake, encoding, at_least, by_lemma=by_lemma, check=check)
    return Sums(tuple(counts), counted, sums, parts, hidden)


def _from_each(of_part: Callable[[str], list[Change]], parts: Sequence[str], lake: Lake) -> Iterator[Change]:
    """Yield the changes of each part: some at once, most of the time is spent outside of Python's lock."""
    with ThreadPoolExecutor(_THREADS) as threads:
        waiting = [threads.submit(of_part, path) for path in parts]
        try:
            for one in waiting:
                yield from one.result()
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise unreadable(lake, error) from error
        finally:
            for one in waiting:
                one.cancel()


def _counted(
    snapshot: Snapshot, lake: Lake, encoding: Encoding, at_least: int, *, by_lemma: bool
) -> tuple[dict[str, int], dict[str, int]]:
    """Return the words with `at_least` occurrences, each with how many, and the place among them of each form."""
    view, form = quote_name(f"words_{encoding.name}"), "lemma" if by_lemma else "word_lower"
    counting = f"SELECT {form}, count(*) FROM {view} WHERE regexp_full_match({form}, {_LETTERS}) GROUP BY 1 ORDER BY 1"
    # Without a folder to spill to, as `nearest` has it.
    with explained(lake), open_snapshot(snapshot, lake, spill="", macros=False) as con:
        forms = con.execute(counting).fetchall()
    counts: Counter[str] = Counter()
    for written, n in forms:
        counts[word_key(written)] += n  # of releases before word keys, the form is not the key
    frequent = {word: n for word, n in counts.items() if n >= at_least}
    rank = {word: i for i, word in enumerate(frequent)}
    return frequent, {written: rank[key] for written, _ in forms if (key := word_key(written)) in rank}


_shared: OrderedDict[tuple[str, str, str, str, int, bool], WordCentroids] = OrderedDict()
_shared_lock = threading.Lock()


def shared_centroids(
    snapshot: Snapshot, lake: Lake, encoding: Encoding, *, at_least: int, by_lemma: bool,
    check: Callable[[], None] = lambda: None,
) -> WordCentroids:  # fmt: skip
    """Return this process's centroids of a lake's encoding: read once per catalog version; the oldest are dropped."""
    version = f"{snapshot.catalog_version} {snapshot.epoch}"
    key = (str(lake.root), snapshot.lake_id, encoding.encoding_id, version, at_least, by_lemma)
    with _shared_lock:
        if key not in _shared:
            while len(_shared) >= _SHARED_LIMIT:
                _shared.popitem(last=False)
            _shared[key] = read_centroids(snapshot, lake, encoding, at_least=at_least, by_lemma=by_lemma, check=check)
        return _shared[key]
