"""CPU seconds of vectors from a layer, against those of the last one, by the same random model on the same text.

    OMP_NUM_THREADS=1 python -m benchmarks.layers 5 0 mean:3-6 last4 --sentences 100 --rounds 5

The model has BERT-base's shape unless another is given. From strings to one mean-pooled vector per sentence, in float32
and without NSP. Alternatives run interleaved in one process; the ratio to `last` is the median over rounds.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.families import GENERIC, PACKED, save_model, sentences_of_texts
from benchmarks.race import race
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference.vectors import text_vectors

_LAST = "last"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the layers given and print a line for each."""
    options = _options(arguments)
    sentences = random.Random(0).sample(sentences_of_texts(), options.sentences)
    with tempfile.TemporaryDirectory(prefix="polyseme-layers-") as folder:
        save_model(Path(folder), options.family, hidden=options.hidden, layers=options.depth)
        runners = {
            layers: partial(text_vectors, Engine(EngineConfig(model=folder, device="cpu", layers=layers)), sentences)
            for layers in dict.fromkeys([_LAST, *options.layers])
        }
        times = race(runners, options.rounds)
    print(f"{options.family}, hidden size {options.hidden}, {options.depth} layers, {len(sentences)} sentences")
    print(f"{'layers':12} {'CPU s':>22} {'of last (range)':>22}")
    for layers, took in times.items():
        ratios = took.over(times[_LAST])
        ratio = f"{statistics.median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"
        print(f"{layers:12} {f'{took.typical:.2f} ({took.spread})':>22} {ratio:>22}", flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("layers", nargs="*", default=["5"], help="as --layers takes them")
    parser.add_argument("--family", default="bert", choices=[*PACKED, *GENERIC])
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--depth", type=int, default=12, help="layers of the model")
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
