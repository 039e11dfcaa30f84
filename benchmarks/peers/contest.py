"""The comparison of peers: batch sizes tuned, vectors compared with Polyseme's, then all timed interleaved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.machine import model_flops, products
from benchmarks.peers.peer import Peer, Vectors, likeness, tune
from benchmarks.peers.results import Result
from benchmarks.race import race
from benchmarks.sentence_race import tokenize
from polyseme.storage.errors import PolysemeError
from polyseme.tasks.engine import Engine
from polyseme.tasks.text.windows import sentence_windows

AGREE = 1e-3
"""The largest difference allowed between fp32 vectors: beyond it, different things are measured."""
_PRODUCTS = "matrix products alone"


@dataclass(frozen=True, slots=True)
class Entry:
    """A peer with one batch size, and a note why."""

    peer: Peer
    batch: int | None
    note: str = ""

    @property
    def label(self) -> str:
        """The name of the peer with its batch size."""
        return self.peer.name if self.batch is None else f"{self.peer.name}, batch {self.batch}"

    def run(self, sentences: Sequence[str]) -> Vectors:
        """Return the vectors of `sentences`."""
        return self.peer.encode(sentences, self.batch or 0)


def tuning(peers: Sequence[Peer], sentences: Sequence[str]) -> dict[str, dict[int, float]]:
    """Return the CPU seconds by batch size of every tuned peer, over every other sentence."""
    return {peer.name: tune(peer, sentences[::2]) for peer in peers if peer.tuned}


def entries(peers: Sequence[Peer], tried: Mapping[str, Mapping[int, float]]) -> Iterator[Entry]:
    """Yield every peer with the batch sizes it is timed with: its defaults, and its best if it was tuned."""
    for peer in peers:
        seconds = tried.get(peer.name, {})
        best = min(seconds, key=lambda batch: seconds[batch], default=None)
        for place, batch in enumerate(peer.batches):
            notes = ["default"] * (place == 0) + ["best"] * (batch == best)
            yield Entry(peer, batch, ", ".join(notes))
        if best is not None and best not in peer.batches:
            yield Entry(peer, best, "best")
        if best is None and not peer.batches:
            yield Entry(peer, None)


def compete(
    entered: Sequence[Entry], engine: Engine, sentences: Sequence[str], rounds: int
) -> tuple[list[Result], dict[str, float]]:
    """Time all of `entered`, the first of them Polyseme in fp32; return the results in that order, and facts.

    Raises PolysemeError if vectors in fp32 differ by more than `AGREE`.
    """
    vectors = {entry.label: entry.run(sentences) for entry in entered}
    exact = vectors[entered[0].label]
    apart = {label: float(np.abs(found - exact).max()) for label, found in vectors.items()}
    for entry in entered:
        if entry.peer.precision == "fp32" and not apart[entry.label] <= AGREE:
            raise PolysemeError(
                f"{entry.label}: vectors differ by {apart[entry.label]:.1e}; expected {AGREE:g} at most."
            )
    multiply, flops_of_products = products(engine.encoder)
    multiply()
    runners = {entry.label: partial(entry.run, sentences) for entry in entered}
    times = race({_PRODUCTS: multiply, **runners}, rounds, warm=True)
    rate = flops_of_products / times.pop(_PRODUCTS).typical
    tokens, flops = _work(engine, sentences)
    first = times[entered[0].label]
    results = [
        Result(
            name=entry.peer.name,
            batch=entry.batch,
            note=entry.note,
            precision=entry.peer.precision,
            times=times[entry.label],
            ratios=times[entry.label].over(first),
            utilisation=flops / times[entry.label].typical / rate if entry.peer.precision == "fp32" else None,
            difference=apart[entry.label],
            cosine=likeness(vectors[entry.label], exact),
        )
        for entry in entered
    ]
    return results, {
        "tokens": tokens,
        "GFLOP of their products": flops / 1e9,
        "GFLOP/s a core of products alone": rate / 1e9,
    }


def _work(engine: Engine, sentences: Sequence[str]) -> tuple[int, int]:
    """Return the number of tokens, special tokens included, and the floating-point operations for them."""
    pointers = tokenize(engine, sentences).sentence_ptr
    windows = sentence_windows(pointers, range(len(sentences)), engine.spec.max_tokens, engine.frame)
    return int(windows.lengths.sum()), model_flops(engine.encoder.network, windows)
