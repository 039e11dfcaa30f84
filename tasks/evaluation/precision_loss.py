"""Precision loss: how close the vectors of a reduced precision are to fp32, on sentences of the example corpus.

Both precisions encode the same sentences with the same settings. Recall is measured as in a lake: queries in fp32,
stored vectors in the reduced precision. Does not know where the result is stored.
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
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources
from polyseme.tasks.shipped import shipped
from polyseme.tasks.text.sentences import split

PROBE_SENTENCES = 128
"""Takes a few seconds of CPU for the embedded model in both precisions."""
NEAREST = 10


def measure(engine: Engine) -> PrecisionLoss:
    """Compare `engine`'s vectors of the probe sentences with those of the same encoding in fp32."""
    texts = probe()
    exact = Engine(replace(engine.config, precision="fp32"))
    tokens, sentences = token_and_text_vectors(engine, texts)
    exact_tokens, exact_sentences = token_and_text_vectors(exact, texts)
    queries = np.arange(len(texts))
    cosines = (unit(tokens) * unit(exact_tokens)).sum(1)
    return PrecisionLoss(
        sentences=len(texts),
        token_cosine=float(cosines.mean()),
        least_token_cosine=float(cosines.min()),
        recall_at_10=recall(*(nearest(exact_sentences, stored, queries) for stored in (exact_sentences, sentences))),
    )


def probe(most: int = PROBE_SENTENCES) -> list[str]:
    """Return up to `most` distinct sentences spread over the example corpus, the same at every call."""
    corpus = shipped("examples/corpus")
    items = read_sources(resolve([str(corpus)]), ReadOptions(), stdin=BytesIO())
    documents = [document for document in items if isinstance(document, Document)]
    sentences = sorted({d.text[s.start : s.stop] for d in documents for s in split(d.text)})
    chosen = np.linspace(0, len(sentences) - 1, min(most, len(sentences))).astype(int)
    return [sentences[i] for i in chosen]


def nearest(exact: Floats, stored: Floats, queries: Ints, k: int = NEAREST) -> Ints:
    """Return `(queries, k)`: the rows of `stored` nearest by cosine to these rows of `exact`, each except its own."""
    similarity = unit(exact[queries]) @ unit(stored).T
    similarity[np.arange(len(queries)), queries] = -2
    return np.argsort(-similarity, axis=1, kind="stable")[:, :k]


def recall(true: Ints, found: Ints) -> float:
    """Return the share of the neighbours in each row of `true` that are in the same row of `found`, in any order."""
    hits = sum(len(set(a) & set(b)) for a, b in zip(true.tolist(), found.tolist(), strict=True))
    return hits / true.size
