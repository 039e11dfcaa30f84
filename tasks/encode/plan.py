"""The plan of a chunk: which of its windows are run, given what is known already. Every input is run once.

Knows positions and keys, no model. What is not run is a copy: of a stored row, or of an equal input of the chunk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polyseme.tasks.arrays import Ints
from polyseme.tasks.encode.copied import Copied
from polyseme.tasks.encode.input_keys import ChunkKeys, first_of_each
from polyseme.tasks.encode.passes import Passes, sentences_of
from polyseme.tasks.encode.transitions import Flags, Transitions, transitions
from polyseme.tasks.text.chunks import Chunk
from polyseme.tasks.text.windows import Windows, pair_windows, sentence_windows


@dataclass(frozen=True, slots=True)
class Equal:
    """Places whose results are computed, `run`, and those that are copies of one of them: `places` of `sources`."""

    run: Ints
    places: Ints
    sources: Ints

    @staticmethod
    def among(first: Ints, unknown: Flags) -> Equal:
        """Return what to do for the `unknown` places; `first` is the first place of the same key, for each place.

        Places of one key are known or unknown as one, or else each unknown one is run.
        """
        wanted = np.flatnonzero(unknown)
        is_copy = (first[wanted] != wanted) & unknown[first[wanted]]
        places = wanted[is_copy]
        return Equal(wanted[~is_copy], places, first[places])


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """What to run: `windows` for the vectors of the sentences in `sentences`, and `steps` for scores.

    In joined passes the windows score their pairs too, and `steps` has what is copied only. `scored` are all pairs to
    have scores, None for none. `likelihoods` are the sentences to score for themselves, None for none.
    """

    passes: Passes
    copied: Copied | None
    sentences: Equal
    windows: Windows
    scored: Transitions | None
    steps: Equal | None
    likelihoods: Equal | None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be run, so that no model is needed."""
        far = 0 if self.scored is None else len(self.scored.pairs) - self.scored.adjacent
        equals = [equal for equal in (self.sentences, self.steps, self.likelihoods) if equal is not None]
        return not far and not any(len(equal.run) for equal in equals)

    def forward_tokens(self, chunk: Chunk, max_tokens: int) -> int:
        """Return how many tokens are run, special tokens included. For likelihoods every token is masked once."""
        tokens, ptr = int(self.windows.lengths.sum()), chunk.sentence_ptr
        if self.scored is not None and self.steps is not None:
            if not self.passes.joined:
                tokens += int(self.passes.steps.lengths[self.steps.run].sum())
            tokens += int(pair_windows(ptr, self.scored.far, max_tokens, self.passes.steps.frame)[0].lengths.sum())
        if self.likelihoods is not None and len(self.likelihoods.run):
            windows = sentence_windows(ptr, self.likelihoods.run.tolist(), max_tokens, self.passes.steps.frame)
            tokens += int((windows.lengths * (windows.take_stop - windows.take_start)).sum())
        return tokens


def plan(chunk: Chunk, possible: Passes, keys: ChunkKeys, *, seed: int, copied: Copied | None = None) -> ChunkPlan:
    """Return which passes to run. `seed` draws the random pairs of sentences that keep none from before."""
    unknown = np.ones(chunk.sentences, bool) if copied is None else ~copied.sentences.there
    sentences = Equal.among(first_of_each(keys.vectors), unknown)
    scored = steps = likelihoods = None
    if keys.steps is not None:
        new = None if copied is None or copied.kept is None else ~copied.kept
        scored = transitions(chunk, seed, possible.pairs, new)
        missing = np.ones(len(possible.pairs), bool)
        if copied is not None and copied.steps is not None:
            missing = ~copied.steps
        steps = Equal.among(first_of_each(keys.steps), missing)
    if keys.likelihoods is not None:
        missing = chunk.own.copy()
        if copied is not None and copied.likelihoods is not None:
            missing &= np.isnan(copied.likelihoods)
        likelihoods = Equal.among(first_of_each(keys.likelihoods), missing)
    window, sentence = sentences_of(possible.windows, chunk.sentence_ptr)
    needed = np.zeros(len(possible.windows), bool)
    needed[window[np.isin(sentence, sentences.run)]] = True
    if possible.joined and steps is not None:
        needed[steps.run] = True
    windows = possible.windows if needed.all() else possible.windows.chosen(np.flatnonzero(needed))
    return ChunkPlan(possible, copied, sentences, windows, scored, steps, likelihoods)
