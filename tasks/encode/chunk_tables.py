"""The tables of one chunk with the counts of what they hold: from arrays to what a shard writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from polyseme.storage.records import Counts, Layers, Outputs
from polyseme.storage.tiers import Layout
from polyseme.tasks.arrays import Ints
from polyseme.tasks.encode.forward import ChunkVectors
from polyseme.tasks.encode.tables import TableBuilder
from polyseme.tasks.encode.unknown import LEAST_TOKENS, has_unknown_text
from polyseme.tasks.encode.words import ChunkWords
from polyseme.tasks.text.chunks import Chunk

_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class ChunkTables:
    """The Arrow tables of one chunk by name (`documents`, `sentences`, ...), with row counts and seconds by stage."""

    tables: dict[str, pa.Table]
    counts: Counts


@dataclass(frozen=True, slots=True)
class TableMaker:
    """What the tables of a run have in common. `vocabulary` is the WordPiece of every id, `width` the hidden size.

    `layout` is how vectors of sentences will be stored, None for float16.
    """

    outputs: Outputs
    version: int
    ingested_at: datetime
    width: int
    layers: Layers
    vocabulary: pa.Array
    layout: Layout | None = None

    def tables(
        self,
        chunk: Chunk,
        vectors: ChunkVectors,
        words: ChunkWords | None,
        unknown: Ints,
        lemmas: Sequence[str | None] | None = None,
    ) -> dict[str, pa.Table]:
        """Return the tables of a chunk that have rows. `words` are those that get rows, `lemmas` their lemmas.

        `unknown` is `(documents,)`, the unknown tokens of each document that ends in it.
        """
        rows = TableBuilder(chunk, self.version, self.width, self.layout)
        copied = vectors.copied
        tables = {
            "documents": rows.documents(self.ingested_at, unknown),
            "sentences": rows.sentences(vectors.sentences, vectors.likelihoods, self.outputs.pll),
        }
        if words is not None:
            of_words = None if copied is None else copied.words
            tables["words"] = rows.words(words, vectors.tokens, self.vocabulary, of_words, lemmas)
        if self.outputs.level == "tokens":
            tables["tokens"] = rows.tokens(
                vectors.tokens, self.vocabulary, self.layers, vectors.surprisals, vectors.replaced
            )
        if vectors.scored is not None:
            kept = [] if copied is None else copied.baseline
            tables["transitions"] = rows.transitions(vectors.scored, vectors.sentences, kept)
        return {name: table for name, table in tables.items() if table.num_rows}


def counts(
    chunk: Chunk,
    tables: dict[str, pa.Table],
    vectors: ChunkVectors,
    seconds: dict[str, float],
    spoken: frozenset[str] = frozenset(),
) -> Counts:
    """Return what a chunk's tables hold, what was run for it and what was copied.

    `spoken` are the languages that the model was made for, empty if they are not known.
    """

    def rows(name: str) -> int:
        return tables[name].num_rows if name in tables else 0

    reused = np.flatnonzero(chunk.own & vectors.copied.sentences.there) if vectors.copied else np.empty(0, np.int64)
    ended = tables.get("documents")
    unknown, long = (ended[name].to_numpy() for name in ("n_unknown", "n_tokens")) if ended else (_NONE, _NONE)
    foreign = has_unknown_text(unknown, long) | (_in_another_language(ended, spoken) & (long >= LEAST_TOKENS))
    return Counts(
        documents=rows("documents"),
        sentences=rows("sentences"),
        words=rows("words"),
        tokens=pc.sum(tables["sentences"]["n_tokens"]).as_py() if "sentences" in tables else 0,
        transitions=vectors.scored.transitions.adjacent if vectors.scored else 0,
        forward_tokens=vectors.forward_tokens,
        reused_sentences=len(reused),
        reused_tokens=int(np.diff(chunk.sentence_ptr)[reused].sum()),
        unknown_tokens=int(unknown.sum()),
        unknown_documents=int(foreign.sum()),
        seconds=seconds,
    )


def _in_another_language(ended: pa.Table | None, spoken: frozenset[str]) -> npt.NDArray[np.bool_]:
    """Return `(documents,)`: whether a document's language is clear, and none of those that the model was made for."""
    languages = [] if ended is None else ended["language"].to_pylist()
    return np.array([bool(spoken) and code is not None and code not in spoken for code in languages], dtype=bool)
