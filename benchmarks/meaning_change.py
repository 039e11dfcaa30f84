"""Change of meaning against people: Spearman's rho of each measure with the graded change of word usage graphs.

    python benchmarks/meaning_change.py dwug_en
    python benchmarks/meaning_change.py dwug_en --model google-bert/bert-base-uncased --layers 5

Takes a folder in the format of DWUG (https://www.ims.uni-stuttgart.de/data/wugs; not part of this repository, CC
BY-ND). All uses of a word are encoded where they are marked, whatever their length, in float32; a word of several
tokens has their mean. Intervals are those of 95 % of 10,000 bootstrap samples of words.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from polyseme.tasks.analysis.drift import jensen_shannon, pairwise_distance, prototype_distance, spread
from polyseme.tasks.analysis.senses import find_senses
from polyseme.tasks.arrays import Floats
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.evaluation.usage_graphs import Lemma, read_usage_graphs
from polyseme.tasks.inference.span_vectors import span_vectors
from polyseme.tasks.model.checkpoint import EMBEDDED

SAMPLES = 10_000


def main() -> None:
    """Measure every word and print the correlations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=EMBEDDED)
    parser.add_argument("--layers", default="last")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--words", action="store_true", help="print each word")
    options = parser.parse_args()
    lemmas = read_usage_graphs(options.folder)
    engine = Engine(EngineConfig(model=options.model, layers=options.layers, device=options.device, precision="fp32"))
    rows = [measures(lemma, vectors_of(engine, lemma)) for lemma in lemmas]
    people = np.array([lemma.change for lemma in lemmas])
    if options.words:
        for lemma, row in zip(lemmas, rows, strict=True):
            print(
                f"{lemma.name:18} {lemma.change:.3f} ", " ".join(f"{name} {value:.3f}" for name, value in row.items())
            )
    count = sum(len(lemma.uses) for lemma in lemmas)
    print(f"{options.model}, layers {options.layers}: {len(lemmas)} words, {count:,} uses")
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        low, high = bootstrap(values, people)
        print(f"{name:14} {spearmanr(values, people).statistic:6.3f}  [{low:.2f}, {high:.2f}]")


def vectors_of(engine: Engine, lemma: Lemma) -> Floats:
    """Return `(uses, width)`."""
    return span_vectors(engine, [(use.text, use.start, use.end) for use in lemma.uses])


def measures(lemma: Lemma, vectors: Floats) -> dict[str, float]:
    """Return the measures of one word between its first and its last period."""
    periods = np.array([use.grouping for use in lemma.uses])
    first, last = periods == min(periods), periods == max(periods)
    one, other = vectors[first], vectors[last]
    sense = find_senses(vectors).sense - 1
    apd = pairwise_distance(one, other)
    return {
        "APD": apd,
        "PRT": prototype_distance(one, other),
        "APD corrected": apd - (spread(one) + spread(other)) / 2,
        "JSD": jensen_shannon(*(np.bincount(sense[part], minlength=sense.max() + 1) for part in (first, last))),
    }


def bootstrap(values: np.ndarray, people: np.ndarray) -> tuple[float, float]:
    """Return the interval of 95 % of rho over samples of words."""
    chosen = np.random.default_rng(0).integers(0, len(values), (SAMPLES, len(values)))
    found = [spearmanr(values[rows], people[rows]).statistic for rows in chosen]
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    main()
