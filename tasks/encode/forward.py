"""The forward passes over a chunk: what its plan says is run, and the results by token, sentence and transition.

Runs in the encoder lane; knows no text and no tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from polyseme.storage.records import Context, Pooling
from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.encode.copied import Copied
from polyseme.tasks.encode.input_keys import ChunkKeys
from polyseme.tasks.encode.masked_lm import Masking, token_surprisals, word_numbers
from polyseme.tasks.encode.passes import passes
from polyseme.tasks.encode.plan import ChunkPlan, Equal, plan
from polyseme.tasks.encode.pooling import sentence_vectors
from polyseme.tasks.encode.sentence_head import SentenceHead
from polyseme.tasks.encode.transitions import Transitions
from polyseme.tasks.text.chunks import Chunk
from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.windows import pair_windows, sentence_windows

if TYPE_CHECKING:
    from polyseme.tasks.model.encoder import Encoder

Model = Callable[[], "Encoder"]
"""Returns the loaded model. Called only if something is run, so that nothing is loaded for a chunk of known rows."""


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

    `tokens` may be empty if they were not requested, and lacks those of sentences that were `copied`, unless their
    vectors are. `replaced` is `(tokens,)`, the logits of a discriminator, None without one. `surprisals` is `(tokens,)`
    in nats, 0 for the tokens of a sentence that the chunk does not store, and `likelihoods` `(sentences,)`.
    `forward_tokens` counts all tokens run, `seconds` is wall time by stage.
    """

    tokens: Floats
    sentences: Floats
    scored: ScoredTransitions | None
    replaced: Floats | None
    surprisals: Floats | None
    likelihoods: npt.NDArray[np.float64] | None
    copied: Copied | None
    forward_tokens: int
    seconds: dict[str, float]


def chunk_vectors(
    encoder: Encoder, chunk: Chunk, frame: Frame, *, context: Context, pooling: Pooling, max_tokens: int, nsp: bool,
    seed: int, on_batch: Callable[[int], None], masking: Masking | None = None, tokens: bool = True,
) -> ChunkVectors:  # fmt: skip
    """Run all passes over a chunk of which nothing is known: vectors, NSP if `nsp`, surprisals if `masking` is given.

    Without `tokens`, a GPU returns no token vectors. `seed` draws the random pairs. Raises PolysemeError if a token
    would be left without a vector.
    """
    possible = passes(chunk, frame, context=context, max_tokens=max_tokens, nsp=nsp)
    keys = ChunkKeys.of(chunk, possible, nsp=nsp, pll=masking is not None)
    found = Forward(chunk, plan(chunk, possible, keys, seed=seed), pooling, max_tokens, on_batch)
    return found.run(lambda: encoder, width=encoder.width, masking=masking, tokens=tokens)


@dataclass(frozen=True, slots=True)
class Forward:
    """The passes of one chunk as planned. `on_batch` is called after every batch with its number of tokens.

    Pooled sentence vectors go through the `head`.
    """

    chunk: Chunk
    plan: ChunkPlan
    pooling: Pooling
    max_tokens: int
    on_batch: Callable[[int], None]
    head: SentenceHead = field(default_factory=SentenceHead)

    def run(
        self, model: Model, *, width: int, masking: Masking | None = None, tokens: bool = True, replaced: bool = False
    ) -> ChunkVectors:
        """Run them. Without `tokens`, a GPU returns no token vectors. `masking` is needed for likelihoods.

        `replaced` asks for a discriminator's logits of the tokens, and needs `tokens`.
        """
        begun = time.perf_counter()
        copied, sentences = self.plan.copied, self.plan.sentences
        token_vectors, vectors, logits, scores = self._encoded(model, width, tokens, replaced)
        if len(token_vectors):
            _repeat_tokens(token_vectors, self.chunk.sentence_ptr, sentences)
        if scores is not None:
            _repeat_tokens(scores, self.chunk.sentence_ptr, sentences)
            if copied is not None and copied.replaced is not None:
                scores = np.where(np.isnan(copied.replaced), scores, copied.replaced)
        vectors[sentences.places] = vectors[sentences.sources]
        if copied is not None:
            copied.sentences.put(vectors)
            if copied.tokens is not None:
                copied.tokens.put(token_vectors)
        encoded_at = time.perf_counter()
        scored = self._scored(model, logits)
        scored_at = time.perf_counter()
        seconds = {"encode": encoded_at - begun, "nsp": scored_at - encoded_at}
        surprisals = likelihoods = None
        if self.plan.likelihoods is not None and masking is not None:
            surprisals, likelihoods = self._likelihoods(model, self.plan.likelihoods, masking)
            seconds["pll"] = time.perf_counter() - scored_at
        forward = self.plan.forward_tokens(self.chunk, self.max_tokens)
        return ChunkVectors(token_vectors, vectors, scored, scores, surprisals, likelihoods, copied, forward, seconds)

    def _encoded(
        self, model: Model, width: int, tokens: bool, replaced: bool
    ) -> tuple[Floats, Floats, Floats, Floats | None]:
        """Return the vectors of tokens and sentences, zeros for what is not run, the logits of joined passes, and those
        of `replaced` tokens, NaN for what is not run."""
        chunk, windows, run = self.chunk, self.plan.windows, self.plan.sentences.run
        scores = len(self.plan.passes.pairs) if self.plan.passes.joined and self.plan.scored is not None else 0
        vectors = np.zeros((chunk.sentences, self.head.width(width)), np.float32)
        if not len(windows):
            has_tokens = tokens and (self.plan.copied is None or self.plan.copied.tokens is not None)
            nothing = np.full((scores, 3), np.nan, np.float32)
            unknown = np.full(len(chunk.ids), np.nan, np.float32) if replaced else None
            return np.zeros((len(chunk.ids) if has_tokens else 0, width), np.float32), vectors, nothing, unknown
        encoder = model()
        if tokens or encoder.device.type != "cuda":
            encoded = encoder.encode(
                chunk.ids, windows, sentences=chunk.sentences, pairs=scores, on_batch=self.on_batch,
                sentence_ptr=chunk.sentence_ptr, pooling=self.pooling, replaced=replaced,
            )  # fmt: skip
            vectors[run] = self.head(sentence_vectors(encoded, chunk.sentence_ptr, self.pooling, run))
            return encoded.tokens, vectors, encoded.logits, encoded.replaced
        pooled, logits = encoder.encode_sentences(
            chunk.ids, windows, sentence_ptr=chunk.sentence_ptr, pooling=self.pooling, pairs=scores,
            on_batch=self.on_batch,
        )  # fmt: skip
        vectors[run] = self.head(pooled[run])
        return np.empty((0, width), np.float32), vectors, logits, None

    def _scored(self, model: Model, joined_logits: Floats) -> ScoredTransitions | None:
        """Return the scores of all pairs."""
        wanted, steps, possible = self.plan.scored, self.plan.steps, self.plan.passes
        if wanted is None or steps is None:
            return None
        near, far = wanted.adjacent, wanted.far
        logits = np.full((len(wanted.pairs), 3), np.nan, np.float32)
        windows, left_out = pair_windows(self.chunk.sentence_ptr, far, self.max_tokens, self.plan.passes.steps.frame)
        if possible.joined:
            logits[:near] = joined_logits
        elif len(steps.run):
            alone = possible.steps.chosen(steps.run)
            logits[steps.run] = model().score_pairs(self.chunk.ids, alone, on_batch=self.on_batch)
        if len(far):
            logits[near:] = model().score_pairs(self.chunk.ids, windows, on_batch=self.on_batch)
        logits[steps.places] = logits[steps.sources]
        if self.plan.copied is not None and self.plan.copied.steps is not None:
            known = np.flatnonzero(self.plan.copied.steps)
            assert self.plan.copied.logits is not None
            logits[known] = self.plan.copied.logits[known]
        return ScoredTransitions(wanted, logits, np.concatenate([possible.left_out, left_out]))

    def _likelihoods(self, model: Model, wanted: Equal, masking: Masking) -> tuple[Floats, npt.NDArray[np.float64]]:
        """Return surprisals and likelihoods. Each sentence is scored alone."""
        chunk, ptr = self.chunk, self.chunk.sentence_ptr
        surprisals = np.zeros(len(chunk.ids), np.float32)
        if len(wanted.run):
            words = word_numbers(chunk.word, ptr)
            windows = sentence_windows(ptr, wanted.run.tolist(), self.max_tokens, self.plan.passes.steps.frame)
            surprisals = token_surprisals(model(), chunk.ids, windows, words, masking=masking, on_batch=self.on_batch)
        _repeat_tokens(surprisals, ptr, wanted)
        sentence = np.repeat(np.arange(chunk.sentences), np.diff(ptr))
        likelihoods = 0.0 - np.bincount(sentence, surprisals, chunk.sentences).astype(np.float64)
        copied = self.plan.copied
        if copied is not None and copied.likelihoods is not None:
            known = ~np.isnan(copied.likelihoods)
            likelihoods[known] = copied.likelihoods[known]
            if copied.surprisals is not None:
                tokens = known[sentence]
                surprisals[tokens] = copied.surprisals[tokens]
        return surprisals, likelihoods


def _repeat_tokens(values: Floats, ptr: Ints, equal: Equal) -> None:
    """Copy the values of the tokens of each of the `sources` to those of the equal sentence in `places`."""
    lengths = (ptr[equal.places + 1] - ptr[equal.places]) if len(equal.places) else np.empty(0, np.int64)
    inside = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    values[np.repeat(ptr[equal.places], lengths) + inside] = values[np.repeat(ptr[equal.sources], lengths) + inside]
