"""Controls of the drift of a vocabulary: what measures say where nothing changed, and how they depend on frequency.

    python benchmarks/drift_controls.py --lake lake
    python benchmarks/drift_controls.py --lake lake --where "metadata->>'genre' = 'fiction'"

Deals the documents of a lake out into two random halves, several times: no word means another thing in one of them.
Prints for each measure its mean, its deviation and Spearman's rho with the logarithm of a word's frequency; and the
share of words with p up to .05, and how many are found at a false discovery rate of .05. With --where also of the
documents that meet it against the others.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from polyseme.tasks.sql.vocabulary_drift import Question, WordDrift, vocabulary_drift


def main() -> None:
    """Measure halves, and two parts of the lake if they are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", required=True)
    parser.add_argument("--where")
    parser.add_argument("--at-least", type=int, default=5)
    parser.add_argument("--permutations", type=int, default=199)
    parser.add_argument("--halves", type=int, default=3)
    options = parser.parse_args()
    with connect(options.lake) as con:
        docs = con.execute(f"SELECT doc_id, {options.where or 'NULL'} FROM documents ORDER BY doc_id").fetchall()
    random, names = np.random.default_rng(0), [doc for doc, _ in docs]
    for i in range(options.halves):
        order = random.permutation(len(docs))
        halves = [[names[j] for j in order[start::2]] for start in (0, 1)]
        show(f"random halves {i + 1}", ask(options, *halves))
    if options.where:
        show(
            options.where,
            ask(options, *([doc for doc, found in docs if bool(found) is side] for side in (True, False))),
        )


def ask(options: argparse.Namespace, first: Sequence[str], second: Sequence[str]) -> list[WordDrift]:
    """Return the words of two lists of documents that have a corrected distance."""
    lake = Lake(options.lake)
    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    assert snapshot.default is not None
    question = Question(tuple(first), tuple(second), options.at_least, False, options.permutations)
    found = vocabulary_drift(snapshot, lake, snapshot.default, question, check=lambda: None)
    return [row for row in found if row.apd_corrected is not None]


def show(name: str, rows: Sequence[WordDrift]) -> None:
    """Print what the measures are like."""
    frequency = np.log([row.occurrences + row.other_occurrences for row in rows])
    p = np.array([row.p for row in rows])
    discoveries = sum(row.p_adjusted is not None and row.p_adjusted <= 0.05 for row in rows)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{name}: {len(rows):,} words, p <= .05 for {(p <= 0.05).mean():.3f}, {discoveries} discoveries; "
          f"{usage.ru_utime + usage.ru_stime:.0f} CPU seconds so far, {usage.ru_maxrss / 1e6:.2f} GB")  # fmt: skip
    uncorrected = [row.apd - ((row.spread or 0) + (row.other_spread or 0)) / 2 for row in rows if row.apd is not None]
    for measure, found in {
        "APD": [row.apd for row in rows],
        "PRT": [row.prt for row in rows],
        "APD less spreads": uncorrected,
        "apd_corrected": [row.apd_corrected for row in rows],
    }.items():
        values = np.array(found, float)
        rho = spearmanr(values, frequency).statistic
        print(f"  {measure:17} mean {values.mean():7.4f}  deviation {values.std():.4f}  rho with frequency {rho:6.3f}")


if __name__ == "__main__":
    main()
