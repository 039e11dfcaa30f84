"""Reuse: the stored documents that the documents of a shard can copy rows from.

A document's own live version, or what it was before it was deleted, if it can be restored; else that of a live
document with the same text, whatever its id. Of the same encoding, and computed on the same kind of device. Or the same
documents of an encoding that differs in how vectors are stored, from where they are rounded: that moves a lake to a
smaller tier. Which rows are copied is decided by `encode.known`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import locating
from polyseme.storage.records import Document, DocumentVersion, EncodingSpec, Outputs
from polyseme.storage.stored.rows import stored_rows
from polyseme.storage.tiers import tier_of
from polyseme.tasks.encode.known import StoredSource
from polyseme.tasks.engine import Engine

FETCHED_A_TOKEN = 256 << 10
"""Bytes of parts that are fetched from an object store at most, for each token whose rows might be copied.

At 100 MB/s, and with its hash, a byte takes 12 ns: as many take the 3 ms that a model of BERT base's size needs for a
token on a CPU. A local part is always read: its bytes take a seventh of the time.
"""


@contextmanager
def stored_source(
    documents: Sequence[Document],
    known: Mapping[str, DocumentVersion],
    catalog: Catalog,
    engine: Engine,
    outputs: Outputs,
    *,
    version: int,
) -> Iterator[StoredSource | None]:
    """Yield the rows to copy from, None if there are none. `known` are the live versions of the documents.

    Nothing is copied from the run `version` itself, of which other shards are committed meanwhile: the pairs of the
    random baseline would depend on which were first.
    """
    deleted = catalog.restorable(engine.spec.encoding_id, [d.doc_id for d in documents if d.doc_id not in known])
    before = {**deleted, **known}
    own = {
        d.doc_id: d.doc_id for d in documents if d.doc_id in before and _is_usable(before[d.doc_id], outputs, engine)
    }
    others = _with_equal_text([d for d in documents if d.doc_id not in own], catalog, engine, outputs, before=version)
    own |= {doc_id: stored.doc_id for doc_id, stored in others.items()}
    source_id, devices = engine.spec.encoding_id, dict[str, str | None]()
    larger_id, larger = in_a_larger_tier(documents, catalog, engine, outputs)
    if len(larger) > len(own):
        source_id, before, others, own = larger_id, larger, {}, {doc_id: doc_id for doc_id in larger}
        devices = {doc_id: version.device for doc_id, version in larger.items()}
    if not own:
        yield None
        return
    tables = _tables(outputs)
    most_bytes = None
    if not isinstance(catalog.lake.root, Path):
        found = {stored.doc_id: stored.n_tokens for stored in (*before.values(), *others.values())}
        most_bytes = FETCHED_A_TOKEN * sum(found[doc_id] for doc_id in set(own.values()))
    with stored_rows(
        catalog, source_id, list(own.values()), tables=tables, width=engine.spec.width, most_bytes=most_bytes
    ) as rows:
        there = {document.doc_id for document in rows.documents}
        devices = {doc_id: device for doc_id, device in devices.items() if doc_id in there}
        yield StoredSource(rows, own, devices) if rows.documents else None


def in_a_larger_tier(
    documents: Sequence[Document], catalog: Catalog, engine: Engine, outputs: Outputs
) -> tuple[str, dict[str, DocumentVersion]]:
    """Return the documents that an encoding has whole which only stores vectors with more bits, and that encoding's id.

    Of several the one that has most. Every row of such a document is copied, so that it does not matter where it was
    computed. None is larger for float16: from fewer bits vectors do not come back, and are computed again.
    """
    best: tuple[str, dict[str, DocumentVersion]] = "", {}
    for encoding in catalog.encodings():
        if not is_larger(encoding.spec, engine.spec):
            continue
        known = catalog.lookup(encoding.encoding_id, [d.doc_id for d in documents])
        found = {
            d.doc_id: known[d.doc_id]
            for d in documents
            if d.doc_id in known
            and known[d.doc_id].content_sha256 == d.content_sha256
            and known[d.doc_id].outputs.covers(outputs)
        }
        best = max(best, (encoding.encoding_id, found), key=lambda each: len(each[1]))
    return best


def is_larger(spec: EncodingSpec, wanted: EncodingSpec) -> bool:
    """Return whether an encoding only stores vectors with more bits than the wanted one, whose rows it can give."""
    if spec.store == wanted.store or replace(spec, store=wanted.store).encoding_id != wanted.encoding_id:
        return False
    tiers = [[tier_of(each.store, table) for each in (spec, wanted)] for table in ("sentences", "words")]
    return all(had in ("float16", asked) for had, asked in tiers)


def _with_equal_text(
    documents: Sequence[Document], catalog: Catalog, engine: Engine, outputs: Outputs, *, before: int
) -> dict[str, DocumentVersion]:
    """Return live documents of runs before that one that have the text of one of these, by its id."""
    texts = {d.doc_id: d.content_sha256 for d in documents}
    with catalog.reading() as connection:
        found = locating.documents_with_text(
            connection, engine.spec.encoding_id, sorted(set(texts.values())), before=before, device=engine.device_kind
        )
    candidates = catalog.lookup(engine.spec.encoding_id, [doc_id for ids in found.values() for doc_id in ids])
    candidates = {d: v for d, v in candidates.items() if v.version < before and _is_usable(v, outputs, engine)}
    usable = {
        text: min((candidates[i] for i in ids if i in candidates), key=_age, default=None)
        for text, ids in found.items()
    }
    return {doc_id: stored for doc_id, text in texts.items() if (stored := usable.get(text)) is not None}


def _age(version: DocumentVersion) -> tuple[int, str]:
    return version.version, version.doc_id


def _is_usable(version: DocumentVersion, wanted: Outputs, engine: Engine) -> bool:
    if version.device is None or version.device != engine.device_kind:
        return False
    # A GPU adds up sentences itself if no rows of tokens are wanted, and rounds them differently.
    pooled = [outputs.level == "sentences" for outputs in (version.outputs, wanted)]
    return engine.device_type != "cuda" or pooled[0] == pooled[1]


def _tables(outputs: Outputs) -> list[str]:
    wanted = {"words": outputs.level != "sentences", "tokens": outputs.level == "tokens", "transitions": outputs.nsp}
    return [name for name, is_wanted in wanted.items() if is_wanted]
