"""BERT's objective as published: the pairs of segments of each step, their masked tokens, and the labels of both.

Devlin et al. (2018): half of the pairs are true neighbours, half have a B from another document; 15 % of the tokens are
chosen, of which 80 % become [MASK], 10 % a random token and 10 % stay. Segments are one to several sentences of one
paragraph. All randomness depends on the seed and the step alone, so a run can resume at any step. Knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polyseme.storage.errors import UsageError
from polyseme.tasks.arrays import Ints
from polyseme.tasks.text.wordpiece import WordPiece
from polyseme.tasks.training.corpus import TrainingText

IS_NEXT, NOT_NEXT = 0, 1
"""Labels as in transformers' `BertForPreTraining`."""

_POOL_STEPS = 32
"""Steps whose pairs are drawn together and grouped by length, to reduce padding."""
_LENGTH_STEP = 8
"""Batches are padded to a multiple of this length: few shapes, and one kernel for each."""
_EPOCH, _PAIRS, _MASKS = range(3)
"""The purpose of a generator, part of its seed, so that no two draw the same numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveConfig:
    """The shape of training examples. `max_tokens` per pair includes [CLS] and both [SEP], `max_sentences` per segment.

    `mask_share` is the share of tokens to predict. Raises UsageError for values out of range.
    """

    max_tokens: int = 128
    max_sentences: int = 3
    mask_share: float = 0.15
    whole_words: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < 8:
            raise UsageError(f"--max-tokens must be at least 8, got {self.max_tokens}.")
        if self.max_sentences < 1:
            raise UsageError(f"--max-sentences must be at least 1, got {self.max_sentences}.")
        if not 0 < self.mask_share < 1:
            raise UsageError(f"--mask-share must lie between 0 and 1, got {self.mask_share}.")
        if self.seed < 0:
            raise UsageError(f"--seed must not be negative, got {self.seed}.")


@dataclass(frozen=True, slots=True, eq=False)
class SegmentPairs:
    """Pairs of segments as half-open token ranges of a text, `(n,)` each; `label` is IS_NEXT or NOT_NEXT."""

    a_start: Ints
    a_stop: Ints
    b_start: Ints
    b_stop: Ints
    label: Ints

    def __len__(self) -> int:
        return len(self.label)

    @property
    def lengths(self) -> Ints:
        """`(n,)`: tokens of each pair, including the three special tokens."""
        return self.a_stop - self.a_start + self.b_stop - self.b_start + 3

    def take(self, which: Ints | slice) -> SegmentPairs:
        """Return the pairs at `which`, in that order."""
        return SegmentPairs(
            *(column[which] for column in (self.a_start, self.a_stop, self.b_start, self.b_stop, self.label))
        )


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """One batch, padded to its longest pair, rounded up: int64 `(n, length)`, `label` `(n,)`.

    `original` are the ids before masking. `at` are the positions to predict, as rising flat indices into
    `(n * length)`; `mlm_labels` are the original ids there.
    """

    ids: Ints
    original: Ints
    types: Ints
    attention: Ints
    at: Ints
    mlm_labels: Ints
    label: Ints

    @property
    def n_tokens(self) -> int:
        """The number of tokens without padding."""
        return int(self.attention.sum())


class Objective:
    """All steps of a training run over one text. Steps can be requested in any order."""

    def __init__(self, text: TrainingText, wordpiece: WordPiece, config: ObjectiveConfig, *, pairs: int) -> None:
        """`pairs` is the number of pairs per step."""
        self.text, self.wordpiece, self.config, self.pairs = text, wordpiece, config, pairs
        self._joints = text.joints()
        self._paragraph_stop = np.searchsorted(text.paragraph, text.paragraph, side="right")
        self._paragraph_start = np.searchsorted(text.paragraph, text.paragraph, side="left")
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
        chosen = choose(text, begins, self.config, generator)
        ids = mask_tokens(original, chosen, self.wordpiece.mask_id, self._vocabulary, generator)
        attention = (np.arange(length) < pairs.lengths[:, None]).astype(np.int64)
        return Examples(ids, original, types, attention, np.flatnonzero(chosen), original[chosen], pairs.label)

    def pairs_at(self, joints: Ints, generator: np.random.Generator) -> SegmentPairs:
        """Draw a pair at each of `joints`: A ends with that sentence, B is the text after it or of another document."""
        n = len(joints)
        label = generator.permutation(np.arange(n) % 2)
        a_last, b_first = joints, joints + 1
        b_first = np.where(label == IS_NEXT, b_first, self._elsewhere(joints, generator))
        a_many, b_many = generator.integers(1, self.config.max_sentences + 1, (2, n))
        a_first = np.maximum(a_last - a_many + 1, self._paragraph_start[a_last])
        b_end = np.minimum(b_first + b_many, self._paragraph_stop[b_first])
        ptr = self.text.sentence_ptr
        whole = SegmentPairs(ptr[a_first], ptr[a_last + 1], ptr[b_first], ptr[b_end], label)
        return trimmed(whole, self.config.max_tokens)

    def _elsewhere(self, joints: Ints, generator: np.random.Generator) -> Ints:
        """Return for each of `joints` a sentence of another document, like true ones not the first of its paragraph."""
        own = self.text.document[joints]
        found = generator.choice(self._joints, len(joints)) + 1
        while (same := self.text.document[found] == own).any():
            found[same] = generator.choice(self._joints, int(same.sum())) + 1
        return found

    def _grouped(self, pool: int) -> SegmentPairs:
        """Return the pairs of a pool's steps: similar in length within a step, the steps in random order."""
        generator = self._generator(_PAIRS, pool)
        drawn = self.pairs_at(self._slots(pool * _POOL_STEPS * self.pairs, _POOL_STEPS * self.pairs), generator)
        by_length = np.argsort(drawn.lengths, kind="stable").reshape(_POOL_STEPS, self.pairs)
        return drawn.take(by_length[generator.permutation(_POOL_STEPS)].reshape(-1))

    def _slots(self, first: int, count: int) -> Ints:
        """Return joints `first` to `first + count` of a run: each occurs once per epoch, every epoch is reshuffled."""
        size = len(self._joints)
        parts = []
        while count:
            epoch, at = divmod(first, size)
            if self._epoch is None or self._epoch[0] != epoch:
                self._epoch = (epoch, self._generator(_EPOCH, epoch).permutation(self._joints))
            part = self._epoch[1][at : at + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return np.concatenate(parts)

    def _generator(self, purpose: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, purpose, number])


def trimmed(pairs: SegmentPairs, max_tokens: int) -> SegmentPairs:
    """Return pairs cut to `max_tokens`: the end of A and the start of B are kept."""
    most = max_tokens - 3
    a, b = pairs.a_stop - pairs.a_start, pairs.b_stop - pairs.b_start
    b = np.minimum(b, np.maximum(most - a, most // 2))
    a = np.minimum(a, most - b)
    return SegmentPairs(pairs.a_stop - a, pairs.a_stop, pairs.b_start, pairs.b_start + b, pairs.label)


def choose(
    text: npt.NDArray[np.bool_], begins: npt.NDArray[np.bool_], config: ObjectiveConfig, generator: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return `(n, length)`: True for the tokens to predict, the configured share of each row's `text`, at least one.

    `text` is True for tokens of the segments, `begins` where a word begins. With whole words, complete words are
    chosen, as many as fit the share, at least one.
    """
    score = generator.random(text.shape)
    wanted = np.maximum(1, np.round(text.sum(axis=1) * config.mask_share)).astype(np.int64)[:, None]
    word = np.where(text, np.cumsum(begins, axis=1), 0)
    if config.whole_words:
        # One draw per word, so that its tokens are adjacent in the order of draws.
        score = np.take_along_axis(score, np.maximum(word - 1, 0), axis=1)
    rank = _ranks(np.where(text, score, 2.0))
    if not config.whole_words:
        chosen: npt.NDArray[np.bool_] = rank < wanted
        return chosen
    last = np.zeros_like(rank)
    np.maximum.at(last, (np.arange(len(text))[:, None], word), np.where(text, rank, 0))
    drawn_first = np.take_along_axis(word, rank.argmin(axis=1)[:, None], axis=1)
    whole: npt.NDArray[np.bool_] = text & ((np.take_along_axis(last, word, axis=1) < wanted) | (word == drawn_first))
    return whole


def _ranks(scores: npt.NDArray[np.float64]) -> Ints:
    """Return the rank of each number within its row, from 0; ties in the order of the row."""
    order = np.argsort(scores, axis=1, kind="stable")
    return np.argsort(order, axis=1, kind="stable").astype(np.int64)


def mask_tokens(
    ids: Ints, chosen: npt.NDArray[np.bool_], mask_id: int, vocabulary: Ints, generator: np.random.Generator
) -> Ints:
    """Return `ids` with 80 % of the `chosen` tokens masked and 10 % replaced by random tokens of `vocabulary`."""
    draw = generator.random(ids.shape)
    random = generator.choice(vocabulary, ids.shape)
    masked = np.where(chosen & (draw < 0.8), mask_id, ids)
    return np.where(chosen & (draw >= 0.9), random, masked)
