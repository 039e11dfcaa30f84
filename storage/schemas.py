"""Schemas: the Arrow schema of every table in the lake. Knows column names and types, nothing of files."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from polyseme.storage.records import Store

TABLES: tuple[str, ...] = ("documents", "sentences", "words", "tokens", "transitions")
"""Tables that have parts, one kind of row each."""

ADJACENT, RANDOM = "adjacent", "random"
"""The two values of `transitions.kind`: a step of the text, and a pair drawn for the baseline."""

SORT_KEYS: dict[str, tuple[str, ...]] = {
    "documents": ("doc_id",),
    "sentences": ("doc_id", "sentence_index"),
    "words": ("word_lower", "doc_id", "sentence_index", "word_index"),
    "tokens": ("token", "doc_id", "sentence_index", "token_index"),
    "transitions": ("doc_id", "sentence_index", "kind"),
}
"""Row order inside a part. `words` and `tokens` sort by form, so that one word is a few row groups."""

ADDED: dict[str, tuple[str, ...]] = {
    "documents": ("language", "n_unknown", "modified_at", "bytes"),
    "sentences": ("pll", "pll_variant"),
    "words": ("lemma",),
    "tokens": ("surprisal", "replaced_logit"),
    "transitions": ("order_margin",),
}
"""Columns that parts of older releases lack. They may be NULL, and read as NULL from such a part."""


def embedding_type(width: int, store: Store = "float16") -> pa.DataType:
    """Return the Arrow type of a stored vector: a fixed-size list of `width` numbers, of bytes if they are bits."""
    values = {"float16": (pa.float16(), width), "int8": (pa.int8(), width), "binary": (pa.uint8(), -(-width // 8))}
    kind, count = values[store]
    return pa.list_(pa.field("item", kind, nullable=False), count)


def table_schema(table: str, width: int, store: Store = "float16") -> pa.Schema:
    """Return the Arrow schema of `table` for vectors of `width` dimensions. Raises KeyError for an unknown table.

    Tables have vectors in float16 until they are written to a part.
    """
    key: list[pa.Field[Any]] = [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
    ]
    sentence = pa.field("sentence_index", pa.int32(), nullable=False)
    span: list[pa.Field[Any]] = [
        pa.field("char_start", pa.int64(), nullable=False),
        pa.field("char_end", pa.int64(), nullable=False),
    ]
    vector = [pa.field("embedding", embedding_type(width, store), nullable=False)]
    vector += [pa.field("embedding_scale", pa.float16(), nullable=False)] if store == "int8" else []
    columns: dict[str, list[pa.Field[Any]]] = {
        "documents": [
            *key,
            pa.field("uri", pa.string(), nullable=False),
            pa.field("title", pa.string()),
            pa.field("metadata", pa.string(), nullable=False),
            pa.field("text", pa.large_string(), nullable=False),
            pa.field("language", pa.string()),
            pa.field("n_chars", pa.int64(), nullable=False),
            pa.field("n_sentences", pa.int32(), nullable=False),
            pa.field("n_tokens", pa.int64(), nullable=False),
            pa.field("n_unknown", pa.int64()),
            pa.field("content_sha256", pa.string(), nullable=False),
            pa.field("ingested_at", pa.timestamp("us", tz="UTC"), nullable=False),
            pa.field("modified_at", pa.timestamp("us", tz="UTC")),
            pa.field("bytes", pa.int64()),
        ],
        "sentences": [
            *key,
            sentence,
            *span,
            pa.field("text", pa.large_string(), nullable=False),
            pa.field("n_tokens", pa.int32(), nullable=False),
            pa.field("pll", pa.float32()),
            pa.field("pll_variant", pa.string()),
            *vector,
        ],
        "words": [
            *key,
            sentence,
            pa.field("word_index", pa.int32(), nullable=False),
            *span,
            pa.field("word", pa.string(), nullable=False),
            pa.field("word_lower", pa.string(), nullable=False),
            pa.field("lemma", pa.string()),
            pa.field("tokens", pa.list_(pa.string()), nullable=False),
            *vector,
        ],
        "tokens": [
            *key,
            sentence,
            pa.field("token_index", pa.int32(), nullable=False),
            pa.field("word_index", pa.int32(), nullable=False),
            *span,
            pa.field("token", pa.string(), nullable=False),
            pa.field("token_id", pa.int32(), nullable=False),
            pa.field("layer", pa.string(), nullable=False),
            pa.field("surprisal", pa.float32()),
            pa.field("replaced_logit", pa.float32()),
            *vector,
        ],
        "transitions": [
            *key,
            sentence,
            pa.field("kind", pa.string(), nullable=False),
            pa.field("next_doc_id", pa.string(), nullable=False),
            pa.field("next_sentence_index", pa.int32(), nullable=False),
            pa.field("nsp_logit_is_next", pa.float32()),
            pa.field("nsp_logit_not_next", pa.float32()),
            pa.field("cosine", pa.float32(), nullable=False),
            pa.field("n_truncated", pa.int32(), nullable=False),
            pa.field("order_margin", pa.float32()),
        ],
    }
    return pa.schema(columns[table])
