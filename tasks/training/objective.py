"""BERT's objective: the pairs of segments of each step, their masked tokens, and the labels of both.

Devlin et al. (2018): half of the pairs are true neighbours; 15 % of the tokens are predicted. Segments are one to
several sentences of one paragraph. All randomness depends on the seed and the step alone, so a run can resume at any
step. Knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polyseme.storage.errors import UsageError
from polyseme.tasks.arrays import Ints
from polyseme.tasks.text.tokenizer import TextTokenizer
from polyseme.tasks.training.corpus import TrainingText
from polyseme.tasks.training.masking import choose, mask_tokens
from polyseme.tasks.training.segment_pairs import IS_NEXT, NEXT, NOT_NEXT, PairSampler, PairShape, SegmentPairs

_POOL_STEPS = 32
"""Steps whose pairs are drawn together and grouped by length, to reduce padding."""
_LENGTH_STEP = 8
"""Batches are padded to a multiple of this length: few shapes, and one kernel for each."""
_EPOCH, _PAIRS, _MASKS = range(3)
"""The purpose of a generator, part of its seed, so that no two draw the same numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveConfig:
    """The shape of training examples. `max_tokens` per pair includes [CLS] and both [SEP], `max_sentences` per segment.

    `mask_share` is the share of tokens to predict. `same_document` and `swapped` are shares of the negative pairs; the
    rest of these have a B from another document. Raises UsageError for values out of range.
    """

    max_tokens: int = 128
    max_sentences: int = 3
    mask_share: float = 0.15
    whole_words: bool = False
    same_document: float = 0.25
    swapped: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < 8:
            raise UsageError(f"--max-tokens must be at least 8, got {self.max_tokens}.")
        if self.max_sentences < 1:
            raise UsageError(f"--max-sentences must be at least 1, got {self.max_sentences}.")
        if not 0 < self.mask_share < 1:
            raise UsageError(f"--mask-share must lie between 0 and 1, got {self.mask_share}.")
        if min(self.same_document, self.swapped) < 0 or self.same_document + self.swapped > 1:
            raise UsageError(
                "--same-document and --swapped are shares of the negative pairs: neither may be negative, and together "
                f"they may be 1 at most; got {self.same_document} and {self.swapped}."
            )
        if self.seed < 0:
            raise UsageError(f"--seed must not be negative, got {self.seed}.")

    @property
    def shape(self) -> PairShape:
        """The part of it that pairs are drawn by."""
        return PairShape(
            max_tokens=self.max_tokens, max_sentences=self.max_sentences, same_document=self.same_document,
            swapped=self.swapped,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """One batch, padded to its longest pair, rounded up: int64 `(n, length)`, `kind` `(n,)`.

    `original` are the ids before masking. `at` are the positions to predict, as rising flat indices into
    `(n * length)`; `mlm_labels` are the original ids there.
    """

    ids: Ints
    original: Ints
    types: Ints
    attention: Ints
    at: Ints
    mlm_labels: Ints
    kind: Ints

    @property
    def label(self) -> Ints:
        """`(n,)`: IS_NEXT or NOT_NEXT."""
        return np.where(self.kind == NEXT, IS_NEXT, NOT_NEXT)

    @property
    def n_tokens(self) -> int:
        """The number of tokens without padding."""
        return int(self.attention.sum())


class Objective:
    """All steps of a training run over one text. Steps can be requested in any order."""

    def __init__(self, text: TrainingText, wordpiece: TextTokenizer, config: ObjectiveConfig, *, pairs: int) -> None:
        """`pairs` is the number of pairs per step."""
        self.text, self.wordpiece, self.config, self.pairs = text, wordpiece, config, pairs
        self.sampler = PairSampler(text, config.shape)
        specials = {wordpiece.cls_id, wordpiece.sep_id, wordpiece.pad_id, wordpiece.mask_id, wordpiece.unk_id}
        self._vocabulary = np.array([i for i in range(wordpiece.vocab_size) if i not in specials], np.int64)
        self._pool: tuple[int, SegmentPairs] | None = None
        self._epoch: tuple[int, Ints] | None = None

    def step(self, number: int, size: int) -> list[Examples]:
        """Return the examples of step `number`, counted from 0, in batches of `size` pairs."""
        pool, slot = divmod(number, _POOL_STEPS)
        if self._pool is None or self._pool[0] != pool:
            self._pool = (pool, self._grouped(pool))
        pairs = self._pool[1].take(slice(slot * self.pairs, (slot + 1) * self.pairs))
        generator = self._generator(_MASKS, number)
        return [self.examples(pairs.take(slice(i, i + size)), generator) for i in range(0, len(pairs), size)]

    def examples(self, pairs: SegmentPairs, generator: np.random.Generator) -> Examples:
        """Return `pairs` as `[CLS] A [SEP] B [SEP]` with tokens masked."""
        n, longest = len(pairs), int(pairs.lengths.max())
        length = min(longest + -longest % _LENGTH_STEP, max(longest, self.config.max_tokens))
        original = np.full((n, length), self.wordpiece.pad_id, np.int64)
        begins = np.zeros((n, length), bool)
        text = np.zeros((n, length), bool)
        types = np.zeros((n, length), np.int64)
        columns = (pairs.a_start, pairs.a_stop, pairs.b_start, pairs.b_stop)
        for row, (a0, a1, b0, b1) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
            middle, end = a1 - a0 + 1, a1 - a0 + b1 - b0 + 2
            original[row, [0, middle, end]] = self.wordpiece.cls_id, self.wordpiece.sep_id, self.wordpiece.sep_id
            for start, stop, at in ((a0, a1, 1), (b0, b1, middle + 1)):
                place = slice(at, at + stop - start)
                original[row, place], begins[row, place] = self.text.ids[start:stop], self.text.begins[start:stop]
                begins[row, at], text[row, place] = True, True
            types[row, middle + 1 : end + 1] = 1
        chosen = choose(
            text, begins, share=self.config.mask_share, whole_words=self.config.whole_words, generator=generator
        )
        ids = mask_tokens(original, chosen, self.wordpiece.mask_id, self._vocabulary, generator)
        attention = (np.arange(length) < pairs.lengths[:, None]).astype(np.int64)
        return Examples(ids, original, types, attention, np.flatnonzero(chosen), original[chosen], pairs.kind)

    def _grouped(self, pool: int) -> SegmentPairs:
        """Return the pairs of a pool's steps: similar in length within a step, the steps in random order."""
        generator = self._generator(_PAIRS, pool)
        drawn = self.sampler.at(self._slots(pool * _POOL_STEPS * self.pairs, _POOL_STEPS * self.pairs), generator)
        by_length = np.argsort(drawn.lengths, kind="stable").reshape(_POOL_STEPS, self.pairs)
        return drawn.take(by_length[generator.permutation(_POOL_STEPS)].reshape(-1))

    def _slots(self, first: int, count: int) -> Ints:
        """Return joints `first` to `first + count` of a run: each occurs once per epoch, every epoch is reshuffled."""
        size = len(self.sampler.joints)
        parts = []
        while count:
            epoch, at = divmod(first, size)
            if self._epoch is None or self._epoch[0] != epoch:
                self._epoch = (epoch, self._generator(_EPOCH, epoch).permutation(self.sampler.joints))
            part = self._epoch[1][at : at + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return np.concatenate(parts)

    def _generator(self, purpose: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, purpose, number])
