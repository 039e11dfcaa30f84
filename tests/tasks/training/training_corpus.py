"""A corpus for training tests: documents of a few paragraphs, each with a topic of its own."""

from __future__ import annotations

import random

from polyseme.storage.records import Document

_TOPICS = (
    ("river", "water", "bank", "flood", "boat", "reeds"),
    ("court", "judge", "witness", "law", "letter", "verdict"),
    ("garden", "plant", "spring", "blossom", "frost", "seed"),
    ("organ", "choir", "pitch", "music", "hymn", "church"),
)
_FORMS = ("The {} stood near the {}.", "Nobody had seen the {} since the {}.", "After the {} came an old {}.",
          "They spoke of the {} and then of the {}, unbelievably.", "A {} without a {} is worth little.")  # fmt: skip


def documents(count: int) -> list[Document]:
    """Return `count` documents of three paragraphs of four sentences, the same at every call."""
    return [Document(f"doc{i}", f"file:///doc{i}", _text(i)) for i in range(count)]


def _text(number: int) -> str:
    draw = random.Random(number)
    words = _TOPICS[number % len(_TOPICS)]
    paragraphs = (" ".join(draw.choice(_FORMS).format(*draw.sample(words, 2)) for _ in range(4)) for _ in range(3))
    return "\n\n".join(paragraphs)
