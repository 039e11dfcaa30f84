"""Verification: check that every part is as written, and that the lake has what its catalog lists and no more.

Reads everything and changes nothing. Files are checked first; rows are then checked in the parts that are whole, so
that one broken file does not hide another fault. Knows no model: whether vectors are correct is not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import part_rows, versions
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot, take_snapshot
from polyseme.storage.lake import PUBLISHED, Lake
from polyseme.storage.maintenance.broken_parts import settle_broken_parts
from polyseme.storage.maintenance.vacuum import find_leftovers
from polyseme.storage.parts import sha256_of
from polyseme.storage.records import Part
from polyseme.storage.schemas import ADDED, table_schema
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.literals import escaped
from polyseme.storage.sql.publish import read_foreign
from polyseme.storage.tiers import Layout

Kind = Literal["missing", "corrupt", "schema", "rows", "contents", "orphan", "published"]
BROKEN: frozenset[Kind] = frozenset({"missing", "corrupt", "schema", "rows"})
"""Faults of a file: its rows cannot be trusted, and `repair` retires it."""

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault. `subject` is the path of a part, or a view of an encoding."""

    kind: Kind
    subject: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """How many parts and bytes were checked, and the faults. `fresh` counts unknown files within the grace period."""

    parts: int
    bytes: int
    findings: tuple[Finding, ...]
    fresh: int

    @property
    def broken(self) -> frozenset[str]:
        """Paths of the parts that cannot be trusted."""
        return frozenset(f.subject for f in self.findings if f.kind in BROKEN)


def verify(
    catalog: Catalog, *, grace: timedelta, now: datetime, progress: Callable[[Part], None] = lambda part: None
) -> Verification:
    """Check every live part, and their rows together. Unknown files are faults once they are older than `grace`.

    Parts that merges found broken and that are whole are not recorded as broken any more. `progress` is called with
    each part that was checked.
    """
    with catalog.reading() as connection:
        parts = part_rows.live_parts(connection)
        snapshot = take_snapshot(connection)
        live = {e.encoding_id: versions.live_versions(connection, e.encoding_id) for e in snapshot.encodings}
    layouts = {e.encoding_id: e.layouts for e in snapshot.encodings}
    findings: list[Finding] = []
    for part in parts:
        found = _check_file(catalog.lake, part, layouts[part.encoding_id].of(part.table))
        findings += [found] if found else []
        progress(part)
    broken = frozenset(f.subject for f in findings)
    settle_broken_parts(catalog, broken)
    whole = snapshot.without_parts(broken)
    for encoding in snapshot.encodings:
        complete = not any(p.path in broken for p in parts if p.encoding_id == encoding.encoding_id)
        findings += _check_contents(catalog.lake, whole, encoding, live[encoding.encoding_id], complete=complete)
        findings += _check_repairs(catalog.damaged_documents(encoding.encoding_id), encoding)
    orphans = find_leftovers(catalog, grace=grace, now=now).unknown
    young = len(find_leftovers(catalog, grace=timedelta(0), now=now).unknown) - len(orphans)
    findings += [
        Finding(
            kind="orphan",
            subject=o.path,
            message="the catalog does not know this file; `polyseme vacuum --yes` removes it",
        )
        for o in orphans
    ]
    findings += _check_published(catalog, snapshot)
    return Verification(
        parts=len(parts), bytes=sum(p.bytes for p in parts), findings=tuple(findings), fresh=max(0, young)
    )


def _check_file(lake: Lake, part: Part, layout: Layout) -> Finding | None:
    try:
        with lake.files.fetched(part.path) as path:
            return _check_bytes(path, part, layout)
    except FileNotFoundError:
        return Finding(kind="missing", subject=part.path, message="the file is gone")


def _check_bytes(path: Path, part: Part, layout: Layout) -> Finding | None:
    found = sha256_of(path)
    if found != part.sha256:
        return Finding(
            kind="corrupt", subject=part.path, message=f"sha256 is {found[:16]}…, expected {part.sha256[:16]}…"
        )
    try:
        with pq.ParquetFile(path) as file:
            rows, schema = file.metadata.num_rows, file.schema_arrow
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        return Finding(kind="corrupt", subject=part.path, message=f"it is not a Parquet file: {error}")
    if rows != part.rows:
        return Finding(kind="rows", subject=part.path, message=f"it has {rows} rows, expected {part.rows}")
    later, wanted = ADDED.get(part.table, ()), table_schema(part.table, layout.width, layout.tier)
    if schema.names != [n for n in wanted.names if n in schema.names or n not in later]:
        return Finding(kind="schema", subject=part.path, message=f"its columns are not those of {part.table}")
    if "embedding" in wanted.names and layout.tier != "float16" and not _is_stored_so(schema, layout):
        return Finding(kind="schema", subject=part.path, message=f"its vectors are not stored as {layout.tier}")
    return None


def _is_stored_so(schema: pa.Schema, layout: Layout) -> bool:
    try:
        found = Layout.of_file(schema, layout.width)
    except ValueError:
        return False
    return (found.tier, found.metadata) == (layout.tier, layout.metadata)


def _check_contents(
    lake: Lake, snapshot: Snapshot, encoding: Encoding, live: pa.Table, *, complete: bool
) -> list[Finding]:
    name = encoding.name
    findings = []
    with open_snapshot(snapshot, lake) as con:
        con.register("live", live)
        for (view, message, needs_all), query in _CHECKS.items():
            if needs_all and not complete:
                continue
            subject = f"{view}_{name}"
            try:
                bad = [str(row[0]) for row in con.execute(query.format(name=escaped(name))).fetchall()]
            except (duckdb.Error, UnicodeDecodeError) as error:
                # Whoever made the part gave the catalog the hash of its broken bytes.
                unreadable = f"a part has the bytes of its hash and cannot be read ({str(error).splitlines()[0]})"
                findings.append(Finding(kind="contents", subject=subject, message=unreadable))
                continue
            if bad:
                findings.append(Finding(kind="contents", subject=subject, message=_named(message, bad)))
    return findings


def _check_repairs(damaged: Mapping[str, str], encoding: Encoding) -> list[Finding]:
    """Return the documents that a repair marked and that were not encoded again: missing words show nowhere else."""
    if not damaged:
        return []
    message = _named("rows were lost with a broken part and not encoded again yet", list(damaged))
    return [Finding(kind="contents", subject=f"documents_{encoding.name}", message=message)]


def _check_published(catalog: Catalog, snapshot: Snapshot) -> list[Finding]:
    """Compare the published file with the catalog. One that is merely behind, as during a run, is not a fault."""
    found = read_foreign(catalog, snapshot)
    if found is None:
        return []
    message = (
        f"it shows version {found.catalog_version} of a catalog that was restored or replaced since, whose version is "
        f"{snapshot.catalog_version}; `polyseme publish` or the next run writes it again"
    )
    return [Finding(kind="published", subject=PUBLISHED, message=message)]


def _named(message: str, documents: Sequence[str]) -> str:
    more = f" and {len(documents) - _NAMED:,} more" if len(documents) > _NAMED else ""
    return f"{message}: {', '.join(documents[:_NAMED])}{more}"


_CHECKS = {
    ("documents", "the catalog has documents without a row", True):
        'SELECT doc_id FROM live ANTI JOIN "documents_{name}" USING (doc_id, version) ORDER BY ALL',
    ("documents", "there are rows of documents that are not live in the catalog", False):
        'SELECT doc_id FROM "documents_{name}" ANTI JOIN live USING (doc_id, version) ORDER BY ALL',
    ("documents", "documents have more than one row", False):
        'SELECT doc_id FROM "documents_{name}" GROUP BY doc_id HAVING count(*) > 1 ORDER BY ALL',
    ("documents", "n_chars is not the length of the text", False):
        'SELECT doc_id FROM "documents_{name}" WHERE n_chars <> length(text) ORDER BY ALL',
    ("sentences", "the number of sentences is not the document's n_sentences", True):
        'SELECT d.doc_id FROM "documents_{name}" d LEFT JOIN (SELECT doc_id, count(*) AS n, count(DISTINCT '
        'sentence_index) AS u FROM "sentences_{name}" GROUP BY doc_id) s USING (doc_id) '
        "WHERE coalesce(s.n, 0) <> d.n_sentences OR coalesce(s.u, 0) <> d.n_sentences ORDER BY ALL",
    ("sentences", "there are sentences without a document", True):
        'SELECT DISTINCT doc_id FROM "sentences_{name}" ANTI JOIN "documents_{name}" USING (doc_id) ORDER BY ALL',
    ("sentences", "offsets do not give the sentence's text", False):
        'SELECT DISTINCT doc_id FROM "sentences_{name}" s JOIN "documents_{name}" d USING (doc_id) '
        "WHERE s.char_start < 0 OR s.char_end > d.n_chars "
        "OR s.text <> substring(d.text, s.char_start + 1, s.char_end - s.char_start) ORDER BY ALL",
    ("words", "there are words without a sentence", True):
        'SELECT DISTINCT doc_id FROM "words_{name}" ANTI JOIN "sentences_{name}" USING (doc_id, sentence_index) '
        "ORDER BY ALL",
    ("words", "offsets do not give the word", False):
        'SELECT DISTINCT w.doc_id FROM "words_{name}" w JOIN "sentences_{name}" s USING (doc_id, sentence_index) '
        "WHERE w.char_start < s.char_start OR w.char_end > s.char_end OR w.word <> "
        "substring(s.text, w.char_start - s.char_start + 1, w.char_end - w.char_start) ORDER BY ALL",
    ("words", "words have more than one row", False):
        'SELECT DISTINCT doc_id FROM (SELECT doc_id FROM "words_{name}" GROUP BY doc_id, sentence_index, word_index '
        "HAVING count(*) > 1) ORDER BY ALL",
    ("tokens", "offsets are outside the sentence", False):
        'SELECT DISTINCT t.doc_id FROM "tokens_{name}" t JOIN "sentences_{name}" s USING (doc_id, sentence_index) '
        "WHERE t.char_start < s.char_start OR t.char_end > s.char_end OR t.char_start > t.char_end ORDER BY ALL",
    ("transitions", "there are transitions without a sentence", True):
        'SELECT DISTINCT doc_id FROM "transitions_{name}" ANTI JOIN "sentences_{name}" USING (doc_id, sentence_index) '
        "ORDER BY ALL",
}  # fmt: skip
"""Queries that must return no document, by view, message, and whether they need every part to be whole."""
