"""Near-duplicates by rensa and by datasketch, against all pairs: `python -m benchmarks.duplicates LAKE`.

To the documents of a lake it adds edited copies of some: words replaced, left out and put in, at rates from 1 in 500 to
1 in 8. Prints what reading the texts takes, and for each library what signatures take and by how much their estimates
are off; then, for several similarities, which of the pairs that are so alike are candidates (recall), which candidates
are so alike (precision), and what looking them up takes. With `--plain` nothing is added. With `--template 3000` it
only groups so many sets that share 0.7, at 0.8: no pair is a match, and nearly every one has to be compared. Needs
`polyseme[duplicates]` and datasketch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from datasketch import MinHash, MinHashLSH
from scipy.sparse import csr_array, triu

from polyseme.storage.sql.connection import connect
from polyseme.tasks.analysis.minhash import NUMBERS, SEED, Buckets, Signatures, band_rows, sign
from polyseme.tasks.analysis.near_duplicates import stars
from polyseme.tasks.analysis.shingles import Shingler, Shingles
from polyseme.tasks.arrays import Ints

_SIMILARITIES = (0.5, 0.7, 0.8, 0.9)
_EVERY = 4
_RATES = (1 / 500, 1 / 200, 1 / 100, 1 / 70, 1 / 50, 1 / 35, 1 / 25, 1 / 15, 1 / 8)
_HALF = np.uint64(0xFFFFFFFF)
_AT_ONCE = 1 << 14

Pairs = set[tuple[int, int]]


def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lake", nargs="?", help="a lake with some thousand documents")
    parser.add_argument("--plain", action="store_true", help="add no edited copies")
    parser.add_argument("--template", type=int, metavar="SETS", help="group sets that are nearly as alike as asked for")
    given = parser.parse_args()
    if given.template is not None:
        _time_template(given.template)
        return
    with connect(given.lake, functions=lambda *_: None) as con:
        _time_views(con)
        texts = [text for (text,) in con.execute("SELECT text FROM documents ORDER BY doc_id").fetchall()]
    texts += [] if given.plain else list(_edited(texts))
    shingler = Shingler()
    with _timed(f"shingles of {len(texts):,} documents, {sum(map(len, texts)):,} characters"):
        sets = [made for text in texts if len(made := shingler.shingles(text))]
    with _timed(f"all pairs of {sum(map(len, sets)):,} shingles, exactly"):
        exact = _all_pairs(sets)
    for name, make, look_up in (
        ("rensa", sign, _by_bands), ("datasketch", _sign_with_datasketch, _by_datasketch),
    ):  # fmt: skip
        with _timed(f"{name}: signatures"):
            signatures = make(sets)
        print(f"{name}: {_error(signatures, exact):.4f} mean error of its estimates, from 0.1 up")
        for similarity in _SIMILARITIES:
            with _timed(f"{name}, {similarity:g}: look-up"):
                found = look_up(signatures, similarity)
            _print_found(f"{name}, {similarity:g}", found, exact, similarity)
    signatures = sign(sets)
    sizes = np.array([len(one) for one in sets])
    for similarity in _SIMILARITIES:
        with _timed(f"groups at {similarity:g}"):
            buckets = Buckets(signatures, similarity)
            found = list(stars(signatures, sizes, buckets, sets.__getitem__, at_least=similarity))
        print(f"groups at {similarity:g}: {len(found):,} of {sum(1 + len(star.others) for star in found):,} documents")


def _time_template(count: int) -> None:
    rng = np.random.default_rng(0)
    common = np.arange(824, dtype=np.uint64)
    sets = [np.concatenate([common, np.sort(rng.integers(2**20, 2**63, 176).astype(np.uint64))]) for _ in range(count)]
    signatures, sizes = sign(sets), np.full(count, 1000)
    with _timed(f"{count:,} sets of 1,000 that share 0.7, grouped at 0.8"):
        list(stars(signatures, sizes, Buckets(signatures, 0.8), sets.__getitem__, at_least=0.8))


def _time_views(con: Any) -> None:
    for view, table in (("duplicate_sentences", "sentences"), ("duplicate_documents", "documents")):
        ((rows,),) = con.execute(f"SELECT count(*) FROM {table}").fetchall()
        with _timed(f"{view} of {rows:,} {table}"):
            found = con.execute(f"FROM {view}").fetchall()
        print(f"{view}: {len(found):,} rows in {len({row[0] for row in found}):,} groups")


def _edited(texts: list[str]) -> Iterator[str]:
    """Yield copies of some texts with a share of their words replaced, left out, or followed by another."""
    rng = np.random.default_rng(0)
    for i, text in enumerate(texts[::_EVERY]):
        words, others = text.split(" "), texts[(i * _EVERY + 1) % len(texts)].split(" ")
        rate = _RATES[i % len(_RATES)]
        for place in np.flatnonzero(rng.random(len(words)) < rate).tolist():
            other = others[int(rng.integers(len(others)))]
            words[place] = (other, "", f"{words[place]} {other}")[int(rng.integers(3))]
        yield " ".join(words)


def _all_pairs(sets: list[Shingles]) -> dict[tuple[int, int], float]:
    """Return the similarity of every pair that shares a shingle."""
    _, columns = np.unique(np.concatenate(sets), return_inverse=True)
    ends = np.cumsum([0, *map(len, sets)])
    has = csr_array((np.ones(len(columns), np.int32), columns, ends))
    shared = triu(has @ has.T, k=1).tocoo()
    sizes = np.diff(ends)
    similarity = shared.data / (sizes[shared.row] + sizes[shared.col] - shared.data)
    return dict(zip(zip(shared.row.tolist(), shared.col.tolist(), strict=True), similarity.tolist(), strict=True))


def _sign_with_datasketch(sets: list[Shingles]) -> Signatures:
    empty = MinHash(num_perm=NUMBERS, seed=SEED, hashfunc=lambda number: number)
    found = []
    for one in sets:
        made = empty.copy()
        for start in range(0, len(one), _AT_ONCE):
            made.update_batch((one[start : start + _AT_ONCE] & _HALF).tolist())
        found.append(made.hashvalues)
    return np.array(found, np.uint32)


def _by_bands(signatures: Signatures, similarity: float) -> Pairs:
    buckets = Buckets(signatures, similarity)
    return _pairs(np.flatnonzero(buckets.shared()), buckets.mates)


def _by_datasketch(signatures: Signatures, similarity: float) -> Pairs:
    rows = band_rows(similarity)
    index = MinHashLSH(num_perm=NUMBERS, params=(NUMBERS // rows, rows))
    made = MinHash(num_perm=NUMBERS, seed=SEED)
    hashed = [
        MinHash(seed=SEED, hashvalues=one, permutations=made.permutations, scheme=made.scheme) for one in signatures
    ]
    for i, one in enumerate(hashed):
        index.insert(i, one, check_duplication=False)
    return _pairs(np.arange(len(hashed)), lambda one: np.array(index.query(hashed[one])))


def _pairs(ones: Ints, mates: Callable[[int], Ints]) -> Pairs:
    return {(one, other) for one in ones.tolist() for other in mates(one).tolist() if one < other}


def _error(signatures: Signatures, exact: dict[tuple[int, int], float]) -> float:
    known = [(pair, similarity) for pair, similarity in exact.items() if similarity >= 0.1]
    first, second = np.array([pair for pair, _ in known]).T
    estimated = (signatures[first] == signatures[second]).mean(axis=1)
    return float(np.sqrt(((estimated - [similarity for _, similarity in known]) ** 2).mean()))


def _print_found(name: str, found: Pairs, exact: dict[tuple[int, int], float], similarity: float) -> None:
    alike = {pair for pair, value in exact.items() if value >= similarity}
    if alike:
        right = len(found & alike)
        print(f"{name}: {len(alike):,} pairs, recall {right / len(alike):.4f}, precision {right / len(found):.3f}")


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.process_time()
    yield
    print(f"{what}: {time.process_time() - began:.2f} CPU s")


if __name__ == "__main__":
    main()
