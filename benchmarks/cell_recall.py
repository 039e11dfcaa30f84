"""Cells of the index: how many of a sentence's ten nearest are in the cells that are nearest to it.

    python -m benchmarks.cell_recall --lake lake

Questions are sentences of the lake that are held out of it, neighbours are real ones, and cells are fitted as an index
fits them. What a search finds is at most this; `benchmarks.search_scale` measures the rest, on copies of few sentences.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.vector_lake import real_vectors
from polyseme.storage.lake import Lake
from polyseme.storage.search import cells
from polyseme.storage.search.cells import fitted_cells, nearest_cell

_QUESTIONS, _K = 3000, 10
_SHARES = (0.1, 0.2, 0.3, 0.35, 0.5)


def main() -> None:
    """Print the share of the nearest that is found by the share of the rows that is searched."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", type=Path, required=True)
    options = parser.parse_args()
    every = real_vectors(Lake(options.lake))
    order = np.random.default_rng(7).permutation(len(every))
    questions, rows = every[order[:_QUESTIONS]], every[order[_QUESTIONS:]]
    nearest = np.argpartition(-(questions @ rows.T), _K, axis=1)[:, :_K]
    centre = rows.mean(0)
    print(
        f"{len(rows):,} distinct sentences, {len(questions):,} questions\n| cells | {' | '.join(map(str, _SHARES))} |"
    )
    for count in (64, 256, 512, 1024):
        cells.CELLS = count
        found = fitted_cells(rows - centre)
        of = nearest_cell(rows - centre, found)
        ranks = np.argsort(np.argsort(-((questions - centre) @ found.T), axis=1), axis=1)
        sizes = np.bincount(of, minlength=len(found)) / len(rows)
        searched = np.cumsum(sizes[np.argsort(ranks, axis=1)], axis=1)
        needed = np.take_along_axis(searched, np.take_along_axis(ranks, of[nearest].astype(np.int64), 1), 1)
        print(f"| {len(found)} | {' | '.join(f'{np.mean(needed <= share):.4f}' for share in _SHARES)} |", flush=True)


if __name__ == "__main__":
    main()
