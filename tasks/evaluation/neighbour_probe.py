"""A probe of search: whether the sentences nearest to a sentence, among those of many documents, are of its document.

Needs no labels: documents are about something. A figure depends on the number of documents, the more the harder, so it
compares models on one text only. Knows no model: vectors are given.
"""

from __future__ import annotations

import numpy as np

from polyseme.tasks.arrays import Floats, Ints, unit
from polyseme.tasks.training.corpus import TrainingText

_DOCUMENTS = 200
_SENTENCES = 8
_SHORTEST, _LONGEST = 8, 64
"""In tokens, about 40 to 300 characters: headings and lists have no neighbours by meaning."""


def draw_sentences(text: TrainingText, documents: int, seed: int) -> Ints:
    """Draw sentences of medium length from up to `documents` documents, 200 at most; rising, the same for a seed.

    2 to 8 of each document: one alone has no neighbour to find.
    """
    random = np.random.default_rng(seed)
    lengths = np.diff(text.sentence_ptr)
    medium = np.flatnonzero((lengths >= _SHORTEST) & (lengths <= _LONGEST))
    counts = np.bincount(text.document[medium], minlength=text.n_documents)
    usable = np.flatnonzero(counts >= 2)
    chosen = np.sort(random.permutation(usable)[: min(documents, _DOCUMENTS)])
    edges = np.searchsorted(text.document[medium], np.stack([chosen, chosen + 1], axis=1))
    drawn = [random.permutation(medium[start:stop])[:_SENTENCES] for start, stop in edges.tolist()]
    return np.sort(np.concatenate([np.empty(0, np.int64), *drawn]))


def neighbour_figures(vectors: Floats, document: Ints) -> dict[str, float | None]:
    """Return figures between 0 and 1 of sentences' `vectors` (sentences, width), `document[i]` the document of each.

    `article_first` is the share whose nearest other sentence by cosine is of the same document; `article_precision` is
    the mean average precision of all others of the document. None unless there are two documents of two sentences.
    """
    same = document[:, None] == document
    np.fill_diagonal(same, False)
    if len(np.unique(document[same.any(axis=1)])) < 2:
        return {"article_first": None, "article_precision": None}
    rows = unit(vectors)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -2)  # last, and cut off
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :-1]
    hits = np.take_along_axis(same, order, axis=1)[same.any(axis=1)]
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return {
        "article_first": float(hits[:, 0].mean()),
        "article_precision": float(((precision * hits).sum(axis=1) / hits.sum(axis=1)).mean()),
    }
