"""The forward passes over a chunk: which windows are run, and the results by token, sentence and transition.

The only module that knows the meaning of `--context`. Runs in the encoder lane; knows no text and no tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polyseme.storage.errors import PolysemeError
from polyseme.storage.records import Context, Pooling
from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.encode.masked_lm import Masking, token_surprisals, word_numbers
from polyseme.tasks.encode.pooling import sentence_vectors
from polyseme.tasks.encode.transitions import Transitions, transitions
from polyseme.tasks.text.chunks import Chunk
from polyseme.tasks.text.windows import (
    SentencePairs,
    Windows,
    context_windows,
    pair_windows,
    paired_context_windows,
    sentence_windows,
)

if TYPE_CHECKING:
    from polyseme.tasks.model.encoder import Encoder


@dataclass(frozen=True, slots=True)
class ScoredTransitions:
    """NSP over a chunk: `logits` is `(pairs, 3)` as `Encoder.score_pairs` returns them.

    `left_out` is `(pairs,)`: the tokens of each pair that did not fit.
    """

    transitions: Transitions
    logits: Floats
    left_out: Ints


@dataclass(frozen=True, slots=True)
class ChunkVectors:
    """The results for a chunk, float32: `tokens` is `(tokens, hidden)`, `sentences` is `(sentences, hidden)`.

    `tokens` may be empty if they were not requested. `surprisals` is `(tokens,)` in nats, 0 for the tokens of a
    sentence that the chunk does not store. `forward_tokens` counts all tokens run, `seconds` is wall time by stage.
    """

    tokens: Floats
    sentences: Floats
    scored: ScoredTransitions | None
    surprisals: Floats | None
    forward_tokens: int
    seconds: dict[str, float]


def chunk_vectors(
    encoder: Encoder,
    chunk: Chunk,
    *,
    context: Context,
    pooling: Pooling,
    max_tokens: int,
    nsp: bool,
    seed: int,
    on_batch: Callable[[int], None],
    masking: Masking | None = None,
    tokens: bool = True,
) -> ChunkVectors:
    """Run all passes over the chunk: vectors, NSP if `nsp`, surprisals if `masking` is given.

    Without `tokens`, a GPU returns no token vectors. `seed` draws the random pairs. Raises PolysemeError if a token
    would be left without a vector.
    """
    begun = time.perf_counter()
    ptr = chunk.sentence_ptr
    wanted = transitions(chunk, seed) if nsp or context == "pair" else None
    windows, near_left_out = _windows(chunk, wanted, context, max_tokens)
    if windows.taken != len(chunk.ids):
        raise PolysemeError(f"{len(chunk.ids)} tokens went in and {windows.taken} came out; nothing was stored.")
    scores = len(near_left_out) if nsp else 0
    if tokens or encoder.device.type != "cuda":
        encoded = encoder.encode(chunk.ids, windows, sentences=chunk.sentences, pairs=scores, on_batch=on_batch)
        token_vectors, near_logits = encoded.tokens, encoded.logits
        vectors = sentence_vectors(encoded, ptr, pooling)
    else:
        token_vectors = np.empty((0, encoder.width), dtype=np.float32)
        vectors, near_logits = encoder.encode_sentences(
            chunk.ids, windows, sentence_ptr=ptr, pooling=pooling, pairs=scores, on_batch=on_batch
        )
    forward, encoded_at = int(windows.lengths.sum()), time.perf_counter()
    scored = None
    if nsp and wanted is not None:
        rest = SentencePairs(wanted.pairs.first[scores:], wanted.pairs.second[scores:])
        pairs, left_out = pair_windows(ptr, rest, max_tokens)
        logits = np.concatenate([near_logits, encoder.score_pairs(chunk.ids, pairs, on_batch=on_batch)])
        scored = ScoredTransitions(wanted, logits, np.concatenate([near_left_out, left_out]))
        forward += int(pairs.lengths.sum())
    scored_at, surprisals = time.perf_counter(), None
    seconds = {"encode": encoded_at - begun, "nsp": scored_at - encoded_at}
    if masking is not None:
        surprisals, run = _surprisals(encoder, chunk, masking, max_tokens, on_batch)
        forward += run
        seconds["pll"] = time.perf_counter() - scored_at
    return ChunkVectors(token_vectors, vectors, scored, surprisals, forward, seconds)


def _surprisals(
    encoder: Encoder, chunk: Chunk, masking: Masking, limit: int, on_batch: Callable[[int], None]
) -> tuple[Floats, int]:
    """Return the surprisals and the number of tokens run. Each sentence is scored alone, whatever the context."""
    words = word_numbers(chunk.word, chunk.sentence_ptr)
    windows = sentence_windows(chunk.sentence_ptr, np.flatnonzero(chunk.own).tolist(), limit)
    found = token_surprisals(encoder, chunk.ids, windows, words, masking=masking, on_batch=on_batch)
    return found, int((windows.lengths * (windows.take_stop - windows.take_start)).sum())


def _windows(chunk: Chunk, wanted: Transitions | None, context: Context, limit: int) -> tuple[Windows, Ints]:
    """Return the encoding windows and, if they also score the adjacent pairs, the tokens of each that did not fit."""
    ptr, nothing = chunk.sentence_ptr, np.empty(0, dtype=np.int64)
    if context == "sentence":
        return sentence_windows(ptr, range(chunk.sentences), limit), nothing
    if context == "window":
        return context_windows(ptr, chunk.documents, limit), nothing
    assert wanted is not None
    near = SentencePairs(wanted.pairs.first[: wanted.adjacent], wanted.pairs.second[: wanted.adjacent])
    return paired_context_windows(ptr, near, chunk.sentences, limit)
