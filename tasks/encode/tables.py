"""Tables: a chunk and its vectors as Arrow tables, sorted as the lake stores them.

Pure functions from arrays to tables; knows the schemas, not files, models or the catalog.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from polyseme.storage.records import Layers, PllVariant
from polyseme.storage.schemas import ADJACENT, RANDOM, SORT_KEYS, table_schema
from polyseme.storage.tiers import Layout
from polyseme.tasks.arrays import Floats, Ints
from polyseme.tasks.encode.copied import BaselineRow, CopiedRows
from polyseme.tasks.encode.forward import ScoredTransitions
from polyseme.tasks.encode.pooling import Halves, word_vectors
from polyseme.tasks.encode.transitions import cosines
from polyseme.tasks.encode.words import ChunkWords, sentence_of_token, slices
from polyseme.tasks.text.chunks import Chunk


@dataclass(frozen=True, slots=True)
class TableBuilder:
    """Builds the tables of one chunk. `version` is the run's ordinal, `width` the hidden size.

    `layout` is how vectors of sentences will be stored, None for float16.
    """

    chunk: Chunk
    version: int
    width: int
    layout: Layout | None = None

    def documents(self, ingested_at: datetime, unknown: Ints) -> pa.Table:
        """Return one row per document that ends in this chunk, where its counts are complete.

        `unknown` is `(documents,)`, the unknown tokens of each.
        """
        ended = [part for part in self.chunk.slices if part.ends]
        texts = [part.document for part in ended]
        return self._table(
            "documents",
            {
                "doc_id": [d.doc_id for d in texts],
                "version": [self.version] * len(texts),
                "uri": [d.uri for d in texts],
                "title": [d.title for d in texts],
                "metadata": [d.metadata for d in texts],
                "text": [d.text for d in texts],
                "language": [part.passage.language or None for part in ended],
                "n_chars": [len(d.text) for d in texts],
                "n_sentences": [part.stop for part in ended],
                "n_tokens": [part.document_tokens for part in ended],
                "n_unknown": unknown,
                "content_sha256": [d.content_sha256 for d in texts],
                "ingested_at": [ingested_at] * len(texts),
                "modified_at": [d.modified_at for d in texts],
                "bytes": [d.bytes for d in texts],
            },
        )

    def sentences(
        self,
        vectors: Floats,
        likelihoods: npt.NDArray[np.float64] | None = None,
        variant: PllVariant | None = None,
    ) -> pa.Table:
        """Return one row per sentence. `vectors` is `(sentences, width)` over all sentences of the chunk.

        `likelihoods` is `(sentences,)`: the pseudo-log-likelihood of each.
        """
        own = np.flatnonzero(self.chunk.own)
        starts, stops = self.chunk.spans[own].T
        return self._table(
            "sentences",
            {
                **self._keys(own),
                "char_start": starts,
                "char_end": stops,
                "text": slices(self.chunk, own, starts, stops),
                "n_tokens": np.diff(self.chunk.sentence_ptr)[own],
                "pll": pa.nulls(len(own)) if likelihoods is None else likelihoods[own],
                "pll_variant": pa.repeat(pa.scalar(variant, pa.string()), len(own)),
            },
            lambda order: vectors[own[order]].astype(np.float16),
        )

    def words(
        self,
        words: ChunkWords,
        tokens: Floats,
        pieces: pa.Array,
        copied: CopiedRows | None = None,
        lemmas: Sequence[str | None] | None = None,
    ) -> pa.Table:
        """Return one row per word: the mean of its tokens, or its vector in `copied`. `tokens` is `(tokens, width)`.

        `pieces` is the vocabulary by id, `lemmas` are `(words,)`.
        """
        counts = words.stop - words.start
        inside = np.repeat(words.start - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))
        names = pa.ListArray.from_arrays(
            pa.array(np.append(0, np.cumsum(counts)).astype(np.int32)), pieces.take(pa.array(self.chunk.ids[inside]))
        )
        return self._table(
            "words",
            {
                **self._keys(words.sentence),
                "word_index": words.index,
                "char_start": words.char_start,
                "char_end": words.char_end,
                "word": words.surface,
                "word_lower": words.key,
                "lemma": pa.nulls(len(words)) if lemmas is None else lemmas,
                "tokens": names,
            },
            lambda order: self._word_vectors(words, tokens, copied, order),
        )

    def _word_vectors(self, words: ChunkWords, tokens: Floats, copied: CopiedRows | None, order: Ints) -> Halves:
        if copied is None or not copied.there.any():
            return word_vectors(tokens, words.start[order], words.stop[order])
        at = copied.at[order]
        known, unknown = np.flatnonzero(at >= 0), np.flatnonzero(at < 0)
        vectors = np.empty((len(order), self.width), np.float16)
        vectors[known] = copied.vectors[at[known]]
        if len(unknown):
            chosen = order[unknown]
            vectors[unknown] = word_vectors(tokens, words.start[chosen], words.stop[chosen])
        return vectors

    def tokens(
        self,
        tokens: Floats,
        pieces: pa.Array,
        layers: Layers,
        surprisals: Floats | None = None,
        replaced: Floats | None = None,
    ) -> pa.Table:
        """Return one row per token. `tokens` is `(tokens, width)`; `surprisals` and `replaced` are `(tokens,)`."""
        chunk, sentence = self.chunk, sentence_of_token(self.chunk)
        count = len(sentence)
        return self._table(
            "tokens",
            {
                **self._keys(sentence),
                "token_index": np.arange(count) - chunk.sentence_ptr[sentence],
                "word_index": chunk.word[:count],
                "char_start": chunk.char_start[:count],
                "char_end": chunk.char_end[:count],
                "token": pieces.take(pa.array(chunk.ids[:count])),
                "token_id": chunk.ids[:count],
                "layer": pa.repeat(layers, count),
                "surprisal": pa.nulls(count) if surprisals is None else surprisals[:count],
                "replaced_logit": pa.nulls(count) if replaced is None else pa.array(replaced[:count], from_pandas=True),
            },
            lambda order: tokens[order].astype(np.float16),
        )

    def transitions(self, scored: ScoredTransitions, vectors: Floats, baseline: Sequence[BaselineRow] = ()) -> pa.Table:
        """Return one row per scored pair, adjacent and random, and per pair that the `baseline` keeps from before.

        `vectors` is `(sentences, width)`.
        """
        first, second = scored.transitions.pairs.first, scored.transitions.pairs.second
        near = scored.transitions.adjacent
        columns: dict[str, object] = {
            **self._keys(first),
            "kind": [ADJACENT] * near + [RANDOM] * (len(first) - near),
            "next_doc_id": self._doc_ids(second),
            "next_sentence_index": self.chunk.index[second],
            "nsp_logit_is_next": pa.array(scored.logits[:, 0], from_pandas=True),
            "nsp_logit_not_next": pa.array(scored.logits[:, 1], from_pandas=True),
            "cosine": cosines(self._as_read(vectors), first, second),
            "n_truncated": scored.left_out,
            "order_margin": pa.array(scored.logits[:, 2], from_pandas=True),
        }
        schema = table_schema("transitions", self.width)
        made = pa.table({field.name: _array(columns[field.name], field.type) for field in schema}, schema=schema)
        kept = pa.Table.from_pylist([row.to_dict(self.version) for row in baseline], schema=schema)
        joined = pa.concat_tables([made, kept]).combine_chunks()
        return self._table("transitions", {name: joined[name].combine_chunks() for name in schema.names})

    def _as_read(self, vectors: Floats) -> Halves:
        halves = vectors.astype(np.float16)
        return halves if self.layout is None else self.layout.rounded(halves)

    def _doc_ids(self, sentence: Ints) -> pa.Array:
        ids = pa.array([part.document.doc_id for part in self.chunk.slices], pa.string())
        return ids.take(pa.array(self.chunk.slice_of[sentence]))

    def _keys(self, sentence: Ints) -> dict[str, object]:
        return {
            "doc_id": self._doc_ids(sentence),
            "version": pa.repeat(pa.scalar(self.version, pa.int64()), len(sentence)),
            "sentence_index": self.chunk.index[sentence],
        }

    def _table(
        self, name: str, columns: dict[str, object], vectors: Callable[[Ints], Halves] | None = None
    ) -> pa.Table:
        """Cast to the schema and sort. `vectors(order)` returns the vectors of the rows in that order."""
        schema = table_schema(name, self.width)
        arrays = {field.name: _array(columns[field.name], field.type) for field in schema if field.name in columns}
        table = pa.table(arrays)
        order = pc.sort_indices(table, sort_keys=[(key, "ascending") for key in SORT_KEYS[name]])
        table = table.take(order)
        if vectors is not None:
            ordered = vectors(order.to_numpy().astype(np.int64))
            table = table.append_column("embedding", _vector_array(ordered, self.width))
        return table.cast(schema)


def _array(values: object, kind: pa.DataType) -> pa.Array:
    if isinstance(values, np.ndarray):
        return pa.array(values).cast(kind)
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)


def _vector_array(vectors: npt.NDArray[np.float16], width: int) -> pa.Array:
    """Return `(rows, width)` float16 as a fixed-size list array, without copying."""
    kind = pa.list_(pa.field("item", pa.float16(), nullable=False), width)
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).reshape(-1)), type=kind)
