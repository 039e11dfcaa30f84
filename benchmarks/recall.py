"""Recall of nearest sentences with vectors in lower precision, and from a model in int8, compared with fp32.

    python -m benchmarks.recall examples/corpus corpus.jsonl.gz --sentences 10000

Encodes the sentences of a corpus, searches the neighbours of some of them and prints the share of the true ten that are
among the ten found. The query keeps its float32 vector, as in `nearest()`. float16 is what the lake stores; int8 (one
scale per vector) would take half the space; `--precision int8` is a lake encoded in int8.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from polyseme.storage.records import Document, Precision
from polyseme.tasks.arrays import Floats, unit
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.evaluation.precision_loss import nearest, recall
from polyseme.tasks.inference.vectors import text_vectors
from polyseme.tasks.model.linear import runs_int8
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.normalization import normalise
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources
from polyseme.tasks.text.sentences import split

_AT_ONCE = 2_000


def main() -> None:
    """Measure and print the recall of each way to store vectors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--questions", type=int, default=1_000)
    parser.add_argument("--model", default="polyseme-mini")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    texts = list(islice(sentences(options.sources), options.sentences))
    exact = vectors(texts, options.model, "fp32")
    asked = np.random.default_rng(options.seed).permutation(len(texts))[: options.questions]
    print(f"{len(asked)} queries to {len(texts)} distinct sentences, vectors of {exact.shape[1]} dimensions")
    true = nearest(exact, exact, asked)
    stored = {name: rounded(exact) for name, rounded in STORED.items()}
    if runs_int8(torch.device("cpu")):
        stored["--precision int8, float16"] = STORED["float16"](vectors(texts, options.model, "int8"))
    for name, rows in stored.items():
        found = nearest(exact, rows, asked)
        best = float(np.mean(true[:, 0] == found[:, 0]))
        alike = (unit(exact) * unit(rows)).sum(1)
        print(
            f"{name:26} recall@10 {recall(true, found):.4f}  nearest kept {best:.4f}  "
            f"cosine {alike.mean():.5f}, least {alike.min():.5f}"
        )


def vectors(texts: Sequence[str], model: str, precision: Precision) -> Floats:
    """Return the sentence vectors `(texts, width)`, computed on CPU."""
    engine = Engine(EngineConfig(model=model, device="cpu", precision=precision))
    return np.concatenate([text_vectors(engine, texts[i : i + _AT_ONCE]) for i in range(0, len(texts), _AT_ONCE)])


def sentences(sources: Sequence[str]) -> Iterator[str]:
    """Yield each distinct sentence of the documents once, in order: duplicates would be ties."""
    seen = set[str]()
    for document in read_sources(resolve(sources), ReadOptions(), stdin=sys.stdin.buffer):
        if not isinstance(document, Document):
            continue
        text = normalise(document.text)
        for span in split(text):
            sentence = text[span.start : span.stop]
            if sentence not in seen:
                seen.add(sentence)
                yield sentence


def as_int8(rows: Floats) -> Floats:
    """Return the rows rounded to int8 with one scale per row, as float32."""
    scale = np.abs(rows).max(axis=1, keepdims=True) / np.float32(127)
    return (np.round(rows / scale) * scale).astype(np.float32)


STORED: dict[str, Callable[[Floats], Floats]] = {
    "float16": lambda rows: rows.astype(np.float16).astype(np.float32),
    "int8": as_int8,
}

if __name__ == "__main__":
    main()
