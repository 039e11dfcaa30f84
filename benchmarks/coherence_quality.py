"""Quality of coherence scores: documents against their shuffled sentences, and breaks in spliced documents.

    python benchmarks/coherence_quality.py corpus.jsonl.gz --documents 60

Takes the first sentences of documents that have enough of them. Prints the share of documents whose original is more
coherent than its shuffle and the ROC AUC over all, then P_k (Beeferman et al. 1999) and WindowDiff (Pevzner and Hearst
2002) of the breaks found in texts spliced from segments of different documents; for both lower is better.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from polyseme.tasks.analysis.segmentation import breaks
from polyseme.tasks.engine import Engine, EngineConfig
from polyseme.tasks.inference.predictions import next_sentence
from polyseme.tasks.reading.normalization import normalise
from polyseme.tasks.text.sentences import split

Texts = list[list[str]]


def main() -> None:
    """Measure and print the quality of scores and breaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="JSON lines with a field text, optionally gzipped")
    parser.add_argument("--model", default="polyseme-mini")
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--sentences", type=int, default=24, help="sentences taken from each document")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="also write the margins as JSON")
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    found = list(read(options.corpus, options.sentences))
    chosen = [found[i] for i in random.permutation(len(found))[: options.documents]]
    engine = Engine(EngineConfig(model=options.model))
    print(f"{len(chosen)} of {len(found)} documents with at least {options.sentences} sentences")

    originals = margins(engine, chosen)
    shuffled = margins(engine, [[text[i] for i in random.permutation(len(text))] for text in chosen])
    for name, of in (("mean margin", np.mean), ("median margin", np.median)):
        a, b = np.array([of(m) for m in originals]), np.array([of(m) for m in shuffled])
        print(f"{name}: original above its shuffle {np.mean(a > b):.3f}, AUC {auc(a, b):.3f}")

    spliced, joins = splice(chosen, random)
    curves = margins(engine, spliced)
    report(curves, joins, random)
    if options.save:
        options.save.write_text(json.dumps({"curves": [c.tolist() for c in curves], "joins": joins}), "utf-8")


def read(path: Path, least: int) -> Iterator[list[str]]:
    """Yield the first `least` sentences of every document that has more."""
    with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else raw as lines:
        for line in lines:
            text = normalise(json.loads(line)["text"][:8000])
            sentences = [" ".join(text[s.start : s.stop].split()) for s in split(text)][: least + 1]
            if len(sentences) > least:
                yield sentences[:least]


def margins(engine: Engine, texts: Texts) -> list[np.ndarray]:
    """Return the margins of each text, one per transition."""
    pairs = [pair for text in texts for pair in pairwise(text)]
    scores = np.array([answer.margin for answer in next_sentence(engine, pairs)])
    return np.split(scores, np.cumsum([len(text) - 1 for text in texts])[:-1])


def splice(texts: Texts, random: np.random.Generator, segments: int = 4) -> tuple[Texts, list[list[int]]]:
    """Return texts of `segments` segments of 4 to 9 sentences of different documents, and the transitions between."""
    spliced, joins = [], []
    for _ in range(len(texts)):
        sentences: list[str] = []
        at: list[int] = []
        for i in random.choice(len(texts), size=segments, replace=False):
            size = int(random.integers(4, 10))
            start = int(random.integers(0, len(texts[i]) - size + 1))
            at.append(len(sentences) - 1)
            sentences += texts[i][start : start + size]
        spliced.append(sentences)
        joins.append(at[1:])
    return spliced, joins


def report(curves: list[np.ndarray], joins: list[list[int]], random: np.random.Generator) -> None:
    """Print the quality of the breaks found by several methods."""
    count = len(joins[0])
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "depth score": lambda curve: breaks(curve).is_break,
        f"the {count} deepest": lambda curve: lowest(-breaks(curve).depth, count),
        f"the {count} lowest margins": lambda curve: lowest(curve, count),
        "margin below 0": lambda curve: curve < 0,
        f"{count} at random": lambda curve: lowest(random.random(len(curve)), count),
        "none": lambda curve: np.zeros(len(curve), bool),
    }
    size = round(np.mean([(len(c) + 1) / (len(j) + 1) for c, j in zip(curves, joins, strict=True)]) / 2)
    print(f"P_k and WindowDiff over windows of {size} sentences:")
    for name, way in ways.items():
        scores = []
        for curve, join in zip(curves, joins, strict=True):
            true, guess = np.zeros(len(curve), bool), way(curve)
            true[join] = True
            hit = float((true & guess).sum())
            scores.append(
                (p_k(true, guess, size), window_diff(true, guess, size), hit / max(guess.sum(), 1), hit / len(join))
            )
        print(
            "  {:22} P_k {:.3f}  WindowDiff {:.3f}  precision {:.2f}  recall {:.2f}".format(name, *np.mean(scores, 0))
        )


def lowest(values: np.ndarray, count: int) -> np.ndarray:
    """Return True for the `count` lowest values."""
    chosen = np.zeros(len(values), bool)
    chosen[np.argsort(values, kind="stable")[:count]] = True
    return chosen


def p_k(true: np.ndarray, guess: np.ndarray, size: int) -> float:
    """Return the share of windows that disagree on whether their two ends are in one segment."""
    ends = range(len(true) - size + 1)
    return float(np.mean([true[i : i + size].any() != guess[i : i + size].any() for i in ends]))


def window_diff(true: np.ndarray, guess: np.ndarray, size: int) -> float:
    """Return the share of windows that disagree on their number of breaks."""
    ends = range(len(true) - size + 1)
    return float(np.mean([true[i : i + size].sum() != guess[i : i + size].sum() for i in ends]))


def auc(high: np.ndarray, low: np.ndarray) -> float:
    """Return the probability that a value of `high` is above one of `low`."""
    return float(np.mean((high[:, None] > low) + 0.5 * (high[:, None] == low)))


if __name__ == "__main__":
    main()
