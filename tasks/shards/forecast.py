"""The forecast: what encoding the shards of a scan would run, copy and write. Writes nothing and needs no model.

Shards are planned as they would be encoded. Of a large corpus only the first of the new documents are, and the rest
counts like them; changed documents, which may have most of their vectors already, are planned much further.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import Counts, Document, DocumentVersion, Outputs, Shard, ShardResult, Store
from polyseme.storage.tiers import tier_of
from polyseme.tasks.encode.forward import chunk_vectors
from polyseme.tasks.engine import Engine
from polyseme.tasks.shards.reuse import in_a_larger_tier, stored_source
from polyseme.tasks.shards.stages import still_wanted, version_of
from polyseme.tasks.text.chunks import chunk_tokens, chunks
from polyseme.tasks.text.passages import passages

NEW_CHARS, CHANGED_CHARS = 2_000_000, 20_000_000
"""Characters of new and of changed documents that are planned; what is beyond them is extrapolated."""
_TRIAL_TOKENS, _TRIAL_CHARS = 3_000, 15_000
"""What is encoded to measure the speed."""
_BYTES: dict[Store, float] = {"float16": 2, "int8": 1, "binary": 1 / 8}
"""Bytes a number takes."""
_ROW, _DOCUMENT = 28, 600
"""Bytes of a row without its vector, and of a document without its text, as Parquet stores them."""


@dataclass
class _Sample:
    """What was planned of some documents, and the tokens that would run if nothing of it were known."""

    chars: int = 0
    counts: Counts = field(default_factory=Counts)
    forward_tokens_anew: int = 0

    def extrapolated(self, chars: int, *, anew: bool = False, rounded: bool = False) -> Counts:
        """Return the counts of so many characters more, of documents of which nothing is known if `anew`.

        Those that are `rounded` are known whole.
        """
        if not chars or not self.chars:
            return Counts()
        scale = chars / self.chars
        names = ("sentences", "words", "tokens", "transitions", "forward_tokens", "reused_sentences", "reused_tokens")
        scaled = {name: round(getattr(self.counts, name) * scale) for name in names}
        if anew:
            scaled |= {"forward_tokens": round(self.forward_tokens_anew * scale)}
            scaled |= {"reused_sentences": 0, "reused_tokens": 0}
        if rounded:
            scaled |= {"forward_tokens": 0}
            scaled |= {f"reused_{name}": scaled[name] for name in ("sentences", "tokens")}
        return Counts(**scaled)


@dataclass
class Forecast:
    """Takes the shards of a scan in order, which are staged in `staged`, and adds up what a run would do with them.

    `catalog` is a scratch copy: each shard is committed to it without rows, so that what follows finds its documents.
    """

    catalog: Catalog
    staged: Lake
    engine: Engine
    new_chars: int = field(default_factory=lambda: NEW_CHARS)
    changed_chars: int = field(default_factory=lambda: CHANGED_CHARS)
    """Characters that are still to be planned."""
    _whole: _Sample = field(default_factory=_Sample)
    """Of shards that were planned whole, with new and changed documents."""
    _changed: _Sample = field(default_factory=_Sample)
    """Of the changed documents of other shards."""
    _redescribed: Counts = field(default_factory=Counts)
    _left: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    """Characters of documents that were not planned, new ones and changed ones."""
    _left_rounded: int = 0
    """Characters of those that were not planned and that an encoding with more bits has."""
    _documents: int = 0
    _rounded: int = 0
    _chars: int = 0
    _outputs: Outputs | None = None
    _trial: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether everything was planned and nothing extrapolated."""
        return not any(self._left.values()) and not self._left_rounded

    @property
    def counts(self) -> Counts:
        """What a run would do with the shards taken so far. `bytes` is estimated."""
        counts = self._whole.counts + self._changed.counts
        counts += self._whole.extrapolated(self._left[True], anew=True)
        like = self._changed if self._changed.chars else self._whole
        counts += like.extrapolated(self._left[False])
        counts += self._whole.extrapolated(self._left_rounded, rounded=True)
        written = self._bytes(counts) + self._redescribed.bytes
        return replace(
            counts, documents=self._documents, redescribed=self._redescribed.redescribed,
            rounded_documents=self._rounded, bytes=written,
        )  # fmt: skip

    def add(self, shard: Shard) -> None:
        """Plan a shard, commit its documents to the scratch catalog and remove its staged file."""
        documents, known = still_wanted(shard, self.staged, self.catalog)
        if shard.redescribes:
            size = sum(len(d.text.encode()) + _DOCUMENT for d in documents)
            self._redescribed += Counts(redescribed=len(documents), bytes=size)
        else:
            self._plan(shard, documents, known)
        versions = [version_of(d, shard, shard.outputs, 0, device=None) for d in documents]
        self.catalog.commit_shard(
            ShardResult(shard=shard, parts=(), documents=tuple(versions), rejects=(), counts=Counts())
        )
        self.staged.files.remove([shard.path])

    def _plan(self, shard: Shard, documents: Sequence[Document], known: Mapping[str, DocumentVersion]) -> None:
        self._documents += len(documents)
        self._chars += sum(len(d.text) for d in documents)
        self._outputs = shard.outputs if self._outputs is None else self._outputs.union(shard.outputs)
        for document in documents:
            if len(self._trial) >= _TRIAL_CHARS:
                break
            self._trial += document.text[: _TRIAL_CHARS - len(self._trial)] + "\n\n"
        changed = [d for d in documents if d.doc_id in known]
        new, old = (sum(len(d.text) for d in documents if (d.doc_id in known) is there) for there in (False, True))
        if (not new or self.new_chars > 0) and (not old or self.changed_chars > 0):
            self._count(self._whole, shard, documents, known)
            self.new_chars -= new
            self.changed_chars -= old
            return
        self._left[True] += new - self._round_unplanned(shard, documents, known)
        if old and self.changed_chars > 0:
            self._count(self._changed, shard, changed, known)
            self.changed_chars -= old
        else:
            self._left[False] += old

    def _round_unplanned(
        self, shard: Shard, documents: Sequence[Document], known: Mapping[str, DocumentVersion]
    ) -> int:
        """Count the new documents of a shard that would only be rounded, and return their characters."""
        new = [d for d in documents if d.doc_id not in known]
        _, larger = in_a_larger_tier(new, self.catalog, self.engine, shard.outputs)
        chars = sum(len(d.text) for d in new if d.doc_id in larger)
        self._rounded += len(larger)
        self._left_rounded += chars
        return chars

    def _count(
        self, sample: _Sample, shard: Shard, documents: Sequence[Document], known: Mapping[str, DocumentVersion]
    ) -> None:
        seed = int(shard.shard_key[:12], 16)
        with stored_source(documents, known, self.catalog, self.engine, shard.outputs, version=shard.version) as stored:
            self._rounded += 0 if stored is None else len(stored.devices)
            for chunk in self.engine.planned(documents, shard.outputs, seed=seed, stored=stored):
                sample.counts += chunk.counts
                sample.forward_tokens_anew += chunk.forward_tokens_anew
        sample.chars += sum(len(d.text) for d in documents)

    @property
    def vectors(self) -> int:
        """The number of vectors that a run would write: a row each of a sentence, a word or a token."""
        return self._vectors(self.counts)

    def _vectors(self, counts: Counts) -> int:
        of_tokens = self._outputs is not None and self._outputs.level == "tokens"
        return counts.sentences + counts.words + (counts.tokens if of_tokens else 0)

    def _bytes(self, counts: Counts) -> int:
        spec, vectors = self.engine.spec, self._vectors(counts)
        of_sentences, of_words = (_BYTES[tier_of(spec.store, table)] for table in ("sentences", "words"))
        stored = spec.width * (counts.sentences * of_sentences + (vectors - counts.sentences) * of_words)
        return (
            round(stored) + vectors * _ROW + counts.transitions * _ROW + 2 * self._chars + self._documents * _DOCUMENT
        )

    def tokens_per_second(self) -> float:
        """Return how many tokens are run a second here: measured on the first text that is to be encoded, loaded."""
        engine, outputs = self.engine, self._outputs
        assert outputs is not None
        found = passages([Document(doc_id="trial", uri="trial:", text=self._trial)], engine.wordpiece, engine.split)
        chunk = next(chunks(found, min(_TRIAL_TOKENS, chunk_tokens(engine.spec.width))))

        def encode() -> int:
            return engine.in_lane(
                lambda encoder: chunk_vectors(
                    encoder, chunk, engine.frame, context=engine.config.context, pooling=engine.spec.pooling,
                    max_tokens=engine.spec.max_tokens, nsp=outputs.nsp, seed=0, on_batch=lambda tokens: None,
                ).forward_tokens
            )  # fmt: skip

        engine.in_lane(lambda encoder: encoder.label)
        started = time.perf_counter()
        forward = encode()
        return forward / (time.perf_counter() - started)
