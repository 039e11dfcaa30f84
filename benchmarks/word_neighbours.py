"""Neighbours of words with and without the mean subtracted: `python -m benchmarks.word_neighbours LAKE`.

Prints how long the centroids of a lake's words take to read, the mean cosine of random words, and how often the other
form of a word (bank and banks, talk and talked) is among its ten nearest words.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.search.unit_vectors import Floats, unit_rows
from polyseme.storage.sql.centroids import read_centroids
from polyseme.storage.sql.selection import find_encoding

_ENDINGS = ("s", "ed", "ing")
_PAIRS = 5000


def main() -> None:
    """Read the centroids of a lake and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lake", help="a lake with words")
    parser.add_argument("--at-least", type=int, default=5, help="occurrences of a word (%(default)s)")
    given = parser.parse_args()
    lake = Lake(given.lake)
    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    began, cpu = time.perf_counter(), time.process_time()
    found = read_centroids(snapshot, lake, find_encoding(snapshot, None), at_least=given.at_least, by_lemma=False)
    taken, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"{len(found.words):,} words, {found.occurrences.sum():,} occurrences: {taken:.1f} s, {cpu:.1f} CPU s")
    for name, vectors in (("as they are", found.means), ("centred", found.means - found.centre)):
        cosine, share, pairs = _figures(found.words, unit_rows(vectors))
        print(f"{name}: mean cosine {cosine:.3f}; other form in the ten nearest {share:.1%} of {pairs}")


def _figures(words: tuple[str, ...], unit: Floats) -> tuple[float, float, int]:
    rng, place = np.random.default_rng(0), {word: i for i, word in enumerate(words)}
    first, second = rng.integers(0, len(words), (2, _PAIRS))
    cosine = np.einsum("ij,ij->i", unit[first], unit[second])[first != second].mean()
    pairs = [(place[w], place[w + e]) for w in words for e in _ENDINGS if len(w) > 3 and w + e in place]
    scores = unit[[a for a, _ in pairs]] @ unit.T
    scores[np.arange(len(pairs)), [a for a, _ in pairs]] = -2
    own = scores[np.arange(len(pairs)), [b for _, b in pairs]]
    return float(cosine), float(((scores > own[:, None]).sum(axis=1) < 10).mean()), len(pairs)


if __name__ == "__main__":
    main()
