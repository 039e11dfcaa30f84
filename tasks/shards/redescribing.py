"""Redescribing: documents of which only the description changed get a new row of `documents`, and nothing is encoded.

Their text is the one that the lake has, so its vectors are too. What the row repeats of the old one is read from the
lake; documents of which that cannot be read are left to be encoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from polyseme.storage.catalog import Catalog
from polyseme.storage.parts import write_part
from polyseme.storage.records import Counts, Document, DocumentVersion, Outputs, Part, Shard
from polyseme.storage.schemas import table_schema
from polyseme.tasks.shards.comparison import is_redescribed

_LEAST = Outputs("sentences", None, nsp=False)


@dataclass(frozen=True, slots=True)
class Redescribed:
    """The part and versions of documents described anew, and those `left` to be encoded with these `outputs` too."""

    parts: tuple[Part, ...] = ()
    versions: tuple[DocumentVersion, ...] = ()
    counts: Counts = field(default_factory=Counts)
    left: list[Document] = field(default_factory=list)
    outputs: Outputs = _LEAST


def redescribe(
    shard: Shard, documents: Sequence[Document], catalog: Catalog, *, width: int, ingested_at: datetime
) -> Redescribed:
    """Write the new rows of those documents whose text the lake still has with all outputs of the shard."""
    # Needs DuckDB, and only here: a machine that encodes new documents may have none.
    from polyseme.storage.sql.row_values import stored_values

    known = catalog.lookup(shard.encoding_id, [d.doc_id for d in documents])
    same = [d for d in documents if d.doc_id in known and is_redescribed(known[d.doc_id], d, shard.outputs)]
    stored = stored_values(catalog, shard.encoding_id, {d.doc_id: known[d.doc_id].version for d in same})
    same = sorted((d for d in same if d.doc_id in stored), key=lambda d: d.doc_id)
    taken = {d.doc_id for d in same}
    left = [d for d in documents if d.doc_id not in taken]
    outputs = _LEAST
    for document in left:
        outputs = outputs.union(known[document.doc_id].outputs) if document.doc_id in known else outputs
    if not same:
        return Redescribed(left=left, outputs=outputs)
    columns = {
        "doc_id": [d.doc_id for d in same],
        "version": [shard.version] * len(same),
        "uri": [d.uri for d in same],
        "title": [d.title for d in same],
        "metadata": [d.metadata for d in same],
        "text": [d.text for d in same],
        "language": [stored[d.doc_id].language for d in same],
        "n_chars": [len(d.text) for d in same],
        "n_sentences": [stored[d.doc_id].n_sentences for d in same],
        "n_tokens": [known[d.doc_id].n_tokens for d in same],
        "n_unknown": [stored[d.doc_id].n_unknown for d in same],
        "content_sha256": [d.content_sha256 for d in same],
        "ingested_at": [ingested_at] * len(same),
        "modified_at": [d.modified_at for d in same],
        "bytes": [d.bytes for d in same],
    }
    rows = pa.table(columns, schema=table_schema("documents", width))
    part = write_part(catalog.lake, rows, table="documents", encoding_id=shard.encoding_id, width=width)
    return Redescribed(
        parts=(part,),
        versions=tuple(_version(d, shard, known[d.doc_id]) for d in same),
        counts=Counts(redescribed=len(same), bytes=part.bytes),
        left=left,
        outputs=outputs,
    )


def _version(document: Document, shard: Shard, known: DocumentVersion) -> DocumentVersion:
    """Return the version to commit. It takes whichever rows of the text the catalog has then with the outputs asked."""
    return DocumentVersion(
        doc_id=document.doc_id,
        uri=document.uri,
        version=shard.version,
        record_sha256=document.record_sha256,
        outputs=shard.outputs,
        n_tokens=known.n_tokens,
        text_version=document.text_version,
        rows_version=known.version if known.rows_version is None else known.rows_version,
        content_sha256=document.content_sha256,
        device=known.device,
    )
