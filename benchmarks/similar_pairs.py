"""Similar sentences by codes, against comparing each with each: pairs, recall and seconds of CPU.

    python -m benchmarks.similar_pairs --lake lake

The sentences are those of a lake with different texts. Each with each is a product of matrices, in blocks.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.search.one_bit import Frame
from polyseme.storage.search.pairs import Alike, pairs
from polyseme.storage.search.pieces import Integers
from polyseme.storage.search.unit_vectors import Floats
from polyseme.storage.sql.sentence_blocks import sentence_blocks

_LEVELS = (0.85, 0.9, 0.95, 0.98)
_ROWS_A_BLOCK = 2048


def main() -> None:
    """Print a line for each least similarity."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, required=True)
    unit = _distinct(Lake(parser.parse_args().lake))
    used = time.process_time()
    one, other, cosine = _by_each(unit)
    used = time.process_time() - used
    print(f"{len(unit):,} sentences with different texts; each with each took {used:.0f} s of CPU")
    frame = Frame(unit[: 1 << 13].mean(0))
    began = time.process_time()
    codes = frame.encode(unit)
    coding = time.process_time() - began
    print(f"codes: {coding:.1f} s of CPU\nat least    pairs  recall  by lanes  s of CPU")
    for level in _LEVELS:
        began, alike = time.process_time(), Alike.of(frame, codes.offset, level)
        found = [np.sort(np.stack(some), axis=0) for some in pairs(codes.bits, alike, lambda share: None)]
        rows = np.concatenate(found, axis=1)
        rows = rows[:, np.einsum("ij,ij->i", unit[rows[0]], unit[rows[1]]) >= level]
        took = time.process_time() - began
        right = cosine >= level
        recall = np.isin(one[right] * len(unit) + other[right], rows[0] * len(unit) + rows[1]).mean()
        print(f"{level:8} {right.sum():8,} {recall:7.4f} {alike.by_lanes:9.3f} {took:9.1f}", flush=True)


def _distinct(lake: Lake) -> Floats:
    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    assert snapshot.default is not None
    blocks = list(sentence_blocks(snapshot, lake, snapshot.default, texts=True))
    texts = pa.chunked_array([block.text for block in blocks]).to_pylist()
    first = {" ".join(text.split()): row for row, text in reversed(list(enumerate(texts)))}
    return np.concatenate([block.unit for block in blocks])[sorted(first.values())]


def _by_each(unit: Floats) -> tuple[Integers, Integers, Floats]:
    found: list[tuple[Integers, Integers, Floats]] = []
    for first in range(0, len(unit), _ROWS_A_BLOCK):
        cosines = unit[first : first + _ROWS_A_BLOCK] @ unit[first:].T
        row, column = np.nonzero(cosines >= _LEVELS[0])
        above = column > row
        found.append((row[above] + first, column[above] + first, cosines[row[above], column[above]]))
    one, other, cosine = zip(*found, strict=True)
    return np.concatenate(one), np.concatenate(other), np.concatenate(cosine)


if __name__ == "__main__":
    main()
