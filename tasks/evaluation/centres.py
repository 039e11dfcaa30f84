"""Centres: around what the vectors of an encoding are stored as bits, found from the model alone.

The example corpus is encoded, so that an encoding has the same centre in every lake: recall@10 of sentences is .71
then, against .73 with the mean of the lake's own vectors and .71 with that of its first 500 sentences
(`python -m benchmarks.tiers`). Does not know where a centre is kept.
"""

from __future__ import annotations

import numpy as np

from polyseme.storage.tiers import Centre, tier_of
from polyseme.tasks.engine import Engine
from polyseme.tasks.evaluation.precision_loss import probe
from polyseme.tasks.inference.vectors import token_and_text_vectors

_SENTENCES = 512


def centres(engine: Engine) -> dict[str, Centre]:
    """Return the centres of `engine`'s encoding by table, of those that have binary vectors."""
    wanted = [table for table in ("sentences", "words") if tier_of(engine.spec.store, table) == "binary"]
    if not wanted:
        return {}
    tokens, sentences = token_and_text_vectors(engine, probe(_SENTENCES))
    if tokens.shape[1] != engine.spec.width:  # dense layers of sentences: there are no words
        tokens = np.zeros((1, engine.spec.width), np.float32)
    found = {"sentences": sentences, "words": tokens}
    return {table: Centre.of(found[table]) for table in wanted}
