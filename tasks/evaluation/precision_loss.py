"""Fidelity: how near a rounded precision comes to fp32, measured on sentences of the example corpus.

Both encode the same sentences with the same settings. Recall is asked as a lake is: a question in fp32, stored vectors
as they are. Vectors in, numbers out; where they are kept is for the caller.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np

from polyseme.storage.records import Document, PrecisionLoss
from polyseme.tasks.arrays import Floats, Ints, unit
from polyseme.tasks.engine import Engine
from polyseme.tasks.inference.vectors import token_and_text_vectors
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.sources import read_sources, resolve
from polyseme.tasks.shipped import shipped
from polyseme.tasks.text.sentences import split

PROBE_SENTENCES = 128
"""A few seconds of CPU for the embedded model in both precisions."""
NEAREST = 10


def measure(engine: Engine) -> PrecisionLoss:
    """Hold `engine`'s vectors of the probe's sentences against those of the same encoding in fp32."""
    texts = probe()
    exact = Engine(replace(engine.config, precision="fp32"))
    tokens, sentences = token_and_text_vectors(engine, texts)
    exact_tokens, exact_sentences = token_and_text_vectors(exact, texts)
    asked = np.arange(len(texts))
    alike = (unit(tokens) * unit(exact_tokens)).sum(1)
    return PrecisionLoss(
        sentences=len(texts),
        token_cosine=float(alike.mean()),
        least_token_cosine=float(alike.min()),
        recall_at_10=recall(*(nearest(exact_sentences, stored, asked) for stored in (exact_sentences, sentences))),
    )


def probe() -> list[str]:
    """Return sentences from all over the example corpus, the same at every call."""
    corpus = shipped("examples/corpus")
    read = read_sources(resolve([str(corpus)]), ReadOptions(), stdin=BytesIO())
    documents = [document for document in read if isinstance(document, Document)]
    found = sorted({d.text[s.start : s.stop] for d in documents for s in split(d.text)})
    places = np.linspace(0, len(found) - 1, min(PROBE_SENTENCES, len(found))).astype(int)
    return [found[place] for place in places]


def nearest(exact: Floats, stored: Floats, asked: Ints, k: int = NEAREST) -> Ints:
    """Return `(asked, k)`: for each of these rows of `exact` the rows of `stored` most like it, but not its own."""
    likeness = unit(exact[asked]) @ unit(stored).T
    likeness[np.arange(len(asked)), asked] = -2
    return np.argsort(-likeness, axis=1, kind="stable")[:, :k]


def recall(true: Ints, found: Ints) -> float:
    """Return the share of the numbers in the rows of `true` that the same rows of `found` have, in any order."""
    hits = sum(len(set(a) & set(b)) for a, b in zip(true.tolist(), found.tolist(), strict=True))
    return hits / true.size
