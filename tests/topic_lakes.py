"""Lakes whose documents are about something: the first word of a sentence decides where its vector points."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from polyseme.storage.catalog import Catalog
from polyseme.storage.fitted_topics import TopicFit
from polyseme.tasks.sql.topic_fit import fit_topics
from tests import lakes

SPEC = lakes.make_spec(width=8)
_SUBJECTS = ("river", "money", "music", "court")
_SENTENCES = {
    "river": "river flood water and the bank",
    "money": "money loan gold and the bank",
    "music": "music song choir and the hall",
    "court": "court judge law and the hall",
}


def vector(text: str) -> list[float]:
    """Return the vector of a sentence: of its subject, a little of its own, and what all have in common."""
    own = np.random.default_rng(zlib.crc32(text.encode())).standard_normal(8) * 0.1
    subject = text.split(maxsplit=1)[0]
    return (own + 2 + 2 * (np.arange(8) == _SUBJECTS.index(subject))).tolist()


def documents(subject: str, count: int, *, first: int = 0) -> dict[str, list[str]]:
    """Return `count` documents of two sentences about a subject."""
    line = _SENTENCES[subject]
    return {f"{subject}-{i:03d}": [f"{line} number{i}", f"{line} again"] for i in range(first, first + count)}


def commit(catalog: Catalog, texts: Mapping[str, list[str]]) -> int:
    """Commit documents as a run of their own."""
    return lakes.commit(catalog, SPEC, texts, vector=vector)


def fit(catalog: Catalog, number: int | None = None, *, seed: int = 0, anew: bool = False) -> TopicFit:
    """Fit a new version of the topics and store it."""
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    made = fit_topics(snapshot, catalog.lake, snapshot.default, number=number, seed=seed, anew=anew)
    catalog.add_topics(snapshot.default.encoding_id, made)
    return made
