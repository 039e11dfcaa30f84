"""Word centroids: the mean vector of each word over the lake, and the words nearest to a vector.

Contextual vectors of one model all point roughly the same way, so the mean of all centroids is subtracted before they
are compared. They are summed in one pass over the word vectors and kept in memory, 3 kB a word of 384 dimensions.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.literals import quote_name
from polyseme.storage.sql.nearest import Floats, unit_rows
from polyseme.storage.sql.views import explained
from polyseme.storage.word_keys import word_key

_ROWS_A_BATCH = 16_384
_SHARED_LIMIT = 2
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


def summed(batches: Iterable[tuple[pa.Array, Floats]], place: Mapping[str, int], width: int) -> Floats:
    """Return the sums of the vectors of each word in `place`, `(words, width)`, from batches of forms and vectors.

    `place` has the row of each form; others are left out. Fast where equal forms follow each other, as in parts.
    """
    sums = np.zeros((max(place.values(), default=-1) + 1, width), np.float64)
    for forms, vectors in batches:
        encoded = forms.dictionary_encode()
        places = np.array([place.get(form, -1) for form in encoded.dictionary.to_pylist()], np.int64)
        rows = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        runs = np.add.reduceat(vectors, starts, axis=0)
        found = places[rows[starts]]
        np.add.at(sums, found[found >= 0], runs[found >= 0])
    return sums.astype(np.float32)


def read_centroids(
    snapshot: Snapshot, lake: Lake, encoding: Encoding, *, at_least: int, by_lemma: bool
) -> WordCentroids:
    """Read the word vectors of an encoding and return the centroids of all words with `at_least` occurrences."""
    view, form = quote_name(f"words_{encoding.name}"), "lemma" if by_lemma else "word_lower"
    width = encoding.spec.width
    counting = f"SELECT {form}, count(*) FROM {view} WHERE regexp_full_match({form}, {_LETTERS}) GROUP BY 1 ORDER BY 1"
    # Without a folder to spill to, as `nearest` has it.
    with explained(lake), open_snapshot(snapshot, lake, spill="") as con:
        forms = con.execute(counting).fetchall()
        counts: Counter[str] = Counter()
        for written, n in forms:
            counts[word_key(written)] += n  # of releases before word keys, the form is not the key
        counts = Counter({word: n for word, n in counts.items() if n >= at_least})
        rank = {word: i for i, word in enumerate(counts)}
        place = {written: rank[key] for written, _ in forms if (key := word_key(written)) in rank}
        rows = con.sql(f"SELECT {form}, embedding FROM {view} WHERE {form} IS NOT NULL")
        batches = (
            (batch.column(0), batch.column(1).flatten().to_numpy(zero_copy_only=False).reshape(-1, width))
            for batch in rows.to_arrow_reader(_ROWS_A_BATCH)
            if batch.num_rows
        )
        sums = summed(batches if place else (), place, width)
    occurrences = np.array(list(counts.values()), np.int64)
    means = (sums / occurrences[:, None]).astype(np.float32)
    centre = means.mean(axis=0) if len(means) else np.zeros(width, np.float32)
    return WordCentroids(tuple(counts), occurrences, means, unit_rows(means - centre), centre)


_shared: OrderedDict[tuple[str, str, str, str, int, bool], WordCentroids] = OrderedDict()
_shared_lock = threading.Lock()


def shared_centroids(
    snapshot: Snapshot, lake: Lake, encoding: Encoding, *, at_least: int, by_lemma: bool
) -> WordCentroids:
    """Return this process's centroids of a lake's encoding: read once per catalog version; the oldest are dropped."""
    version = f"{snapshot.catalog_version} {snapshot.epoch}"
    key = (str(lake.root), snapshot.lake_id, encoding.encoding_id, version, at_least, by_lemma)
    with _shared_lock:
        if key not in _shared:
            while len(_shared) >= _SHARED_LIMIT:
                _shared.popitem(last=False)
            _shared[key] = read_centroids(snapshot, lake, encoding, at_least=at_least, by_lemma=by_lemma)
        return _shared[key]
