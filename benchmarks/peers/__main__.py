"""Sentences to mean-pooled vectors by every peer: same strings, same weights, one thread each, interleaved.

    OMP_NUM_THREADS=1 python -m benchmarks.peers --json benchmarks/results/peers.json

The batch size of each peer is tuned first; then its default and its best are timed, tokenizing and pooling included.
Prints the table of docs/performance.md. Needs the packages that `make bench` installs.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.machine import describe
from benchmarks.peers import onnx_peers, openvino_peers, torch_peers
from benchmarks.peers.contest import compete, entries, tuning
from benchmarks.peers.peer import Peer, Vectors
from benchmarks.peers.results import table, tuning_table, versions
from benchmarks.sentence_race import pooled, tokenize
from benchmarks.throughput import EXAMPLES, _print_facts, _read, _sentences
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig


def main(arguments: Sequence[str] | None = None) -> None:
    """Tune, time and print all peers."""
    options = _options(arguments)
    torch.set_num_threads(1)
    exact, rounded = (Engine(EngineConfig(model=options.model, device="cpu", precision=p)) for p in ("fp32", "int8"))
    sentences = _drawn(options)
    facts = {**describe(), **versions(), "model": exact.checkpoint.label, "sentences": len(sentences)}
    _print_facts(facts)
    with tempfile.TemporaryDirectory(prefix="polyseme-peers-") as folder:
        peers = [
            Peer("Polyseme fp32", partial(_polyseme, exact)),
            Peer("Polyseme int8", partial(_polyseme, rounded), precision="int8"),
            *contestants(exact, Path(folder)),
        ]
        tried = tuning(peers, sentences)
        print("\n" + tuning_table(tried))
        results, work = compete(list(entries(peers, tried)), exact, sentences, options.rounds)
    print("\n" + table(results) + "\n")
    _print_facts(work)
    if options.json:
        report = {"facts": facts | work, "rounds": options.rounds, "tuning": tried}
        report["results"] = [result.as_dict() for result in results]
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def contestants(engine: Engine, folder: Path) -> list[Peer]:
    """Return every peer that is installed, with `engine`'s weights; prints on stderr which are not."""
    found = torch_peers.peers(engine)
    for make in (
        partial(onnx_peers.runtime_peers, engine, folder),
        partial(onnx_peers.fastembed_peers, engine, folder),
        partial(openvino_peers.peers, engine),
    ):
        try:
            found += make()
        except ImportError as missing:
            print(f"left out: {missing}", file=sys.stderr)
    return found


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--documents", default=str(EXAMPLES), help="what to read, as for `polyseme embed`")
    parser.add_argument("--sentences", type=int, default=200, help="number of sentences, drawn from all documents")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="draws documents and sentences")
    parser.add_argument("--model", default=EngineConfig().model)
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write every measured number")
    return parser.parse_args(arguments)


def _drawn(options: argparse.Namespace) -> list[str]:
    documents = list(_read(options.documents))
    random.Random(options.seed).shuffle(documents)
    return _sentences(documents, options.sentences)


def _polyseme(engine: Engine, sentences: Sequence[str], _: int) -> Vectors:
    return pooled(engine, tokenize(engine, sentences))


if __name__ == "__main__":
    main()
