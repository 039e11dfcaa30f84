"""One question compared with many one-bit codes in a mapped file: what search costs before any vector is read.

    python -m benchmarks.code_scan --codes 100000000 --folder DIR

The codes are random, written once into a file of 48 bytes each (384 bits), and removed at the end. The file is read
once before, so that it is in memory where it fits. A question is compared with all of them, as one of some documents
is, and with those of the cells that a question for ten neighbours looks at. CPU seconds are of the whole process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from polyseme.storage.search import shortlist
from polyseme.storage.search.arrays_file import ArraysFile, ArraysWriter
from polyseme.storage.search.candidates import _OF_ROWS
from polyseme.storage.search.cells import CELLS
from polyseme.storage.search.shortlist import Codes, shortlists

_WORDS, _AT_ONCE, _LISTED = 6, 2**20, 50_000


def main() -> None:
    """Write the codes, and print what a question takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codes", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "codes"
        with path.open("wb") as file:
            writer = ArraysWriter(file)
            writer.reserve("bits", np.uint64, (_WORDS, options.codes))
            for first in range(0, options.codes, _AT_ONCE):
                rows = min(_AT_ONCE, options.codes - first)
                writer.fill("bits", first, random.integers(0, 2**63, (_WORDS, rows), np.uint64))
            writer.end({})
        bits = ArraysFile(path)["bits"]
        question = random.integers(0, 2**63, (1, _WORDS), np.uint64)
        print(f"{options.codes:,} codes, {path.stat().st_size / 1e9:.2f} GB mapped")
        cells = np.linspace(0, options.codes, CELLS + 1).astype(np.int64)
        every = np.arange(CELLS)
        for threads in (1, 1, 1, 2, 2):
            shortlist._THREADS = threads
            for label, near in (("all", every), (f"{_OF_ROWS:.0%}", every[: int(_OF_ROWS * CELLS)])):
                began, used = time.perf_counter(), time.process_time()
                shortlists([Codes(bits, 0, cells=cells)], question, [_LISTED], lambda: None, [near])
                wall, cpu = time.perf_counter() - began, time.process_time() - used
                print(f"{label}, {threads} threads: {wall:.2f} s, {cpu:.2f} s of CPU")


if __name__ == "__main__":
    main()
