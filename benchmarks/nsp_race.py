"""NSP: the speed of scoring transitions, and of one pass for scores and vectors compared with two."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.pipeline_race import model_alone
from benchmarks.race import Times, race
from polyseme.storage.records import Context
from polyseme.tasks.encode.transitions import transitions
from polyseme.tasks.engine import Engine
from polyseme.tasks.text.chunks import Chunk
from polyseme.tasks.text.windows import pair_windows

CONTEXTS: tuple[Context, ...] = ("sentence", "pair")


def compare(engine: Engine, laid_out: Sequence[Chunk], rounds: int) -> tuple[dict[str, Times], dict[str, float]]:
    """Time scoring alone, `--context sentence` with NSP and `--context pair`; return times and facts."""
    limit, frame = engine.spec.max_tokens, engine.frame
    pairs = [transitions(chunk, 0).pairs for chunk in laid_out]
    windows = [pair_windows(chunk.sentence_ptr, p, limit, frame)[0] for chunk, p in zip(laid_out, pairs, strict=True)]
    both = {c: model_alone(engine, laid_out, nsp=True, context=c) for c in CONTEXTS}
    forward = {c: sum(made.forward_tokens for made in run()) for c, run in both.items()}

    def score() -> None:
        for chunk, w in zip(laid_out, windows, strict=True):
            engine.encoder.score_pairs(chunk.ids, w)

    times = race({"scores alone": score} | {f"scores and vectors, context {c}": run for c, run in both.items()}, rounds)
    source = sum(len(chunk.ids) for chunk in laid_out)
    return times, {
        "pairs": sum(map(len, pairs)),
        "tokens of pairs": sum(int(w.lengths.sum()) for w in windows),
        **{f"tokens run per source token, context {c}": n / source for c, n in forward.items()},
    }
