"""Words on demand: where a lake has a word in its sentences without vectors of it, and the backfill that adds them.

Without Prefect or PyTorch, as `job`. A document lacks a word if it is in the text and its outputs do not include it:
other documents are not read, and of the text of those that lack it the model runs the sentences with the word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyseme.flows.runs.backfill_job import BackfillRequest, backfill_job, config_of
from polyseme.flows.runs.job import Job
from polyseme.flows.runs.plan import Plan, plan
from polyseme.storage.catalog import Catalog
from polyseme.storage.records import Device, Outputs
from polyseme.storage.word_keys import word_keys

if TYPE_CHECKING:
    from polyseme.storage.lake import Lake
    from polyseme.tasks.sql.execution import Queries

FLOW = "polyseme.flows.backfill.backfill"
"""The flow that takes a request of `word_request`."""
SAMPLED = 200
"""Documents that are planned to say what a word costs; the other documents count like them."""
_SENTENCES = "SELECT doc_id, count(DISTINCT sentence_index) AS n FROM in_text($word) GROUP BY doc_id"
_LOOKED_UP = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """How many sentences have a word or phrase, `word`, in the documents without vectors of it, and what these have.

    `kept` are the words and phrases that documents have vectors of, None if some have those of all their words;
    with `only_sentences` no document has any.
    """

    word: str
    sentences: int
    documents: int
    kept: frozenset[str] | None
    only_sentences: bool

    @property
    def has_others(self) -> bool:
        """Whether the lake has vectors of any other word."""
        return self.kept is None or bool(self.kept - {self.word, *self.word.split()})


def lacking(queries: Queries, place: Lake, word: str, *, timeout: float | None = None) -> Lacking:
    """Return where the default encoding of the lake, open in `queries`, has a word or phrase without vectors of it."""
    key = " ".join(word_keys(word))
    with Catalog.open(place) as catalog:
        encoding = catalog.default_encoding() or ""
        outputs = catalog.outputs(encoding)
        found: dict[str, int] = {}
        if not all(one.has_word(key) for one in outputs):
            asked = queries.ask(_SENTENCES, timeout=timeout, word=key)
            found = {row["doc_id"]: row["n"] for row in asked}
        ids, without = list(found), list[str]()
        for first in range(0, len(ids), _LOOKED_UP):
            known = catalog.lookup(encoding, ids[first : first + _LOOKED_UP])
            without += [doc_id for doc_id, version in known.items() if not version.outputs.has_word(key)]
    of_words = [one.words for one in outputs if one.level != "sentences"]
    kept = None if None in of_words else frozenset[str]().union(*(words for words in of_words if words is not None))
    return Lacking(
        word=key, sentences=sum(found[doc_id] for doc_id in without), documents=len(without), kept=kept,
        only_sentences=not of_words,
    )  # fmt: skip


def word_request(
    place: Lake, word: str, *, device: Device = "auto", model: str | None = None, limit: int | None = None
) -> BackfillRequest:
    """Return the backfill that adds the vectors of a word or phrase to the documents that lack it.

    Each document keeps what it has besides, also the words of earlier runs. `model` is where the checkpoint is now.
    Raises ModelError if the lake's default encoding cannot be repeated.
    """
    from polyseme.storage.sql.selection import find_encoding

    with Catalog.open(place) as catalog:
        encoding = find_encoding(catalog.snapshot(), None)
    key = " ".join(word_keys(word))
    return BackfillRequest(
        lake=str(place.root), catalog=place.catalog, engine=config_of(encoding, device, model=model),
        outputs=Outputs("words", frozenset({key}), nsp=False), lacking=key, limit=limit,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What encoding a word takes: the sentences and tokens to run, and how many tokens a second were run just now."""

    sentences: int
    tokens: int
    tokens_per_second: float

    @property
    def seconds(self) -> float:
        """The time that the model takes."""
        return self.tokens / self.tokens_per_second if self.tokens_per_second else 0.0


def cost_of(place: Lake, found: Lacking, planned: Callable[[Job], Plan] = plan) -> Cost:
    """Return what encoding a word takes, as `planned` measures it. Of many documents some are planned."""
    limit = SAMPLED if found.documents > SAMPLED else None
    counts = (made := planned(backfill_job(word_request(place, found.word, limit=limit), dry_run=True))).counts
    scale = found.documents / max(1, made.to_encode) if limit else 1.0
    sentences = counts.sentences - counts.reused_sentences
    return Cost(
        sentences=round(sentences * scale), tokens=round(counts.forward_tokens * scale),
        tokens_per_second=made.tokens_per_second,
    )  # fmt: skip
