"""Fitted topics: where the topics of an encoding lie, what they are called, and how they were found; versions of them.

They are found once and cannot be derived again, so the catalog keeps them. Vectors are float16: what is stored is what
documents are compared with. Knows neither documents nor how topics are found.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from polyseme.storage.tiers import Halves

MOST_TOPICS = 1_000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its id, its most distinctive words, best first, how many documents of the fit it had, its direction.

    `direction` is `(width,)`: the mean of its documents' unit vectors less the centre of the fit, of length 1.
    """

    topic: int
    words: tuple[str, ...]
    documents: int
    direction: Halves

    @property
    def label(self) -> str:
        """Its first words as one text; a topic without words has its number."""
        return ", ".join(self.words[:3]) or f"topic {self.topic}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFit:
    """One version of an encoding's topics, from 1, fitted to `documents` of the catalog's version `catalog_version`.

    `centre` is the mean of the unit vectors of documents. `silhouette` is the mean over documents, -1 to 1, None
    for a single topic. A document
    is far from all topics if it is less similar to its own than `far_below`, as one in twenty of the fit was.
    """

    version: int
    fitted_at: str
    catalog_version: int
    documents: int
    seed: int
    silhouette: float | None
    far_below: float
    centre: Halves
    topics: tuple[Topic, ...]

    def to_record(self) -> dict[str, Any]:
        """Return the fit as JSON has it."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        topics = [
            {"topic": t.topic, "words": list(t.words), "documents": t.documents, "direction": _to_text(t.direction)}
            for t in self.topics
        ]
        return plain | {"centre": _to_text(self.centre), "topics": topics}

    @staticmethod
    def from_record(found: dict[str, Any]) -> TopicFit:
        """Return what `to_record` wrote; values are not checked here. Raises ValueError for what are no vectors."""
        topics = [
            Topic(t["topic"], tuple(t["words"]), t["documents"], _from_text(t["direction"])) for t in found["topics"]
        ]
        return TopicFit(**(found | {"centre": _from_text(found["centre"]), "topics": tuple(topics)}))


def _to_text(vector: Halves) -> str:
    return base64.b64encode(vector.astype("<f2").tobytes()).decode()


def _from_text(text: str) -> Halves:
    numbers = np.frombuffer(base64.b64decode(text, validate=True), "<f2").astype(np.float16)
    if not np.isfinite(numbers).all():
        raise ValueError("vectors have finite numbers")
    return numbers
