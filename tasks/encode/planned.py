"""What a planned chunk would cost and hold, before anything is run: counts as `chunk_tables` makes them after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polyseme.storage.records import Counts
from polyseme.tasks.encode.plan import ChunkPlan
from polyseme.tasks.encode.words import ChunkWords
from polyseme.tasks.text.chunks import Chunk


@dataclass(frozen=True, slots=True)
class PlannedChunk:
    """The counts of a chunk without bytes and seconds, and the tokens that would run if nothing of it were known."""

    counts: Counts
    forward_tokens_anew: int


def planned_counts(chunk: Chunk, plan: ChunkPlan, words: ChunkWords | None, max_tokens: int) -> Counts:
    """Return what the tables of a chunk will hold, what will be run for it and what copied. `words` get rows."""
    own, lengths = np.flatnonzero(chunk.own), np.diff(chunk.sentence_ptr)
    reused = own[plan.copied.sentences.there[own]] if plan.copied is not None else own[:0]
    return Counts(
        documents=sum(part.ends for part in chunk.slices),
        sentences=len(own),
        words=0 if words is None else len(words),
        tokens=int(lengths[own].sum()),
        transitions=0 if plan.scored is None else plan.scored.adjacent,
        forward_tokens=plan.forward_tokens(chunk, max_tokens),
        reused_sentences=len(reused),
        reused_tokens=int(lengths[reused].sum()),
    )
