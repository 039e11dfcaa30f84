"""The scan: which documents of the sources are new or changed, staged as shards.

Streaming: a document is hashed, compared with the catalog, and either counted or staged; at most one lookup batch is in
memory. The catalog alone decides what is up to date.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.skipped_files import SkippedFiles
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, DocumentVersion, HeldBack, Outputs, Reject, Shard
from polyseme.tasks.reading.ahead import parsed_ahead
from polyseme.tasks.reading.coverage import Coverage
from polyseme.tasks.reading.skipped import WITHOUT_TEXT, Skipped
from polyseme.tasks.reading.source import Source
from polyseme.tasks.reading.source_file import SourceFile
from polyseme.tasks.shards.comparison import Batch, Pending, is_current, is_redescribed
from polyseme.tasks.shards.deletion_guard import DeletionLimit
from polyseme.tasks.shards.file_readings import FileReadings
from polyseme.tasks.shards.identity import Identities, is_derived, is_impostor
from polyseme.tasks.shards.increments import resumed, unread
from polyseme.tasks.shards.moves import Moves
from polyseme.tasks.shards.presence import Presence
from polyseme.tasks.shards.refusals import duplicate, key_bytes, taken, too_long
from polyseme.tasks.shards.refused_tally import RefusedRecords, RefusedTally
from polyseme.tasks.shards.reject_rows import RejectRows
from polyseme.tasks.shards.seen_ids import SeenIds
from polyseme.tasks.shards.settling import settle
from polyseme.tasks.shards.shielding import Shielding
from polyseme.tasks.shards.skipped_rows import SkippedRows
from polyseme.tasks.shards.skipped_tally import SkippedTally
from polyseme.tasks.shards.staging import Stage
from polyseme.tasks.shards.tally import Reading, SourceTallies, Tally, What
from polyseme.tasks.shards.unopened_files import Closed, Unopened, UnopenedFiles

Item = SourceFile | Document | Reject | Skipped
"""What a scan is given: a file that it reads or not, or what was read already."""
_OPEN_STAGES = 16
"""Shards that are filled at once at most, each with the documents that are to have the same outputs."""


@dataclass
class Scan:
    """One pass over the `sources` of a run; None if its documents come from the lake itself.

    `outputs` are those that every document must have afterwards.
    """

    catalog: Catalog
    lake: Lake
    run_id: str
    version: int
    encoding_id: str
    outputs: Outputs
    sources: Sequence[Source] | None = None
    by_source: bool = False
    """Whether to tally each source too, which costs a look-up for each document."""
    tally: Tally = field(default_factory=Tally)
    reading: Reading = field(default_factory=Reading)
    of_sources: SourceTallies | None = None
    held_back: list[HeldBack] = field(default_factory=list)
    """Deletions that were not made because they were too many."""
    seen: SeenIds = field(default_factory=SeenIds)
    _refused: RefusedTally = field(default_factory=RefusedTally)
    _skipped: SkippedTally = field(default_factory=SkippedTally)
    _shielding: Shielding = field(init=False)
    _identities: Identities | None = None
    _moves: Moves = field(init=False)
    _coverage: Coverage = field(init=False)
    _reject_rows: RejectRows = field(init=False)
    encodings: tuple[str, ...] = ()
    """The ids of all encodings of the lake when the scan began."""
    watching: Callable[[Iterable[Item]], Iterable[Item]] = iter
    """What looks at each item before the scan does, also at those of each file, and may end them."""
    _batch: Batch = field(default_factory=Batch)
    _readings: FileReadings = field(init=False)
    _unopened: UnopenedFiles = field(init=False)

    def __post_init__(self) -> None:
        self._readings = FileReadings(self.catalog, self.encoding_id)
        self._unopened = UnopenedFiles(self.catalog, self.encoding_id, self.outputs)
        self.encodings = tuple(e.encoding_id for e in self.catalog.encodings())
        self._coverage = Coverage(self.sources or ())
        self._reject_rows = RejectRows(self.catalog, self.run_id)
        self._shielding = Shielding(self.catalog)
        if self.by_source and self.sources is not None:
            self.of_sources = SourceTallies.of(len(self.sources), self._coverage.reading)
        presence, covers = Presence(), None if self.sources is None else self._covers
        self._moves = Moves(self.catalog, self.encoding_id, self.encodings, presence, covers)
        if covers is not None:
            seen = self.seen
            self._identities = Identities(
                self.catalog, covers, seen=lambda id_: seen.is_new(id_) is not None, presence=presence
            )

    def pending(self, items: Iterable[Item]) -> Iterator[Pending]:
        """Yield each document that is new or changed; count the rest, and the files that were skipped."""
        for item in parsed_ahead(self._unopened.chosen(self.watching(items))):
            if isinstance(item, Closed):
                yield from self._compared()  # in order: what was read before may have one of its ids
                yield from self._passed(item.files)
            elif isinstance(item, SourceFile):
                yield from self._read(item)
            else:
                yield from self._taken(item)
        yield from self._compared()
        self._shielding.finish()
        self._readings.finish()
        self._reject_rows.finish()

    def _read(self, file: SourceFile) -> Iterator[Pending]:
        earlier = resumed(self.catalog, self.encoding_id, self.outputs, file)
        if earlier is not None:
            self._shielding.add(unread(file.uri))
        self.reading.files += 1
        self.reading.uri = file.uri
        self._readings.begin(file, earlier)
        for item in self.watching(file.read()):
            assert not isinstance(item, SourceFile)
            yield from self._taken(item)
        self._readings.end()
        self.reading.uri = ""

    def _taken(self, item: Document | Reject | Skipped) -> Iterator[Pending]:
        longest = self.catalog.longest_key
        batch = self._batch
        if isinstance(item, Reject):
            self._readings.refuse()
            if self._is_impostor(item):
                item = replace(item, doc_id=None)  # as with a good text: it has none of the lake's documents
            self._reject(item)
            batch.refused.append(item)
        elif isinstance(item, Skipped):
            self._readings.skip(item)
            self._skip(item)
        elif longest is not None and key_bytes(item) > longest:
            self._readings.refuse()
            refused = too_long(item, longest)
            self._reject(refused)
            batch.refused.append(refused)
        elif self._is_impostor(item):
            self._readings.refuse()
            self._reject(taken(item))
        else:
            self._readings.take(item)
            batch.add(item)
        if batch.is_full:
            yield from self._compared()

    def _is_impostor(self, read: Document | Reject) -> bool:
        return self.sources is not None and is_impostor(read, self._covers, self._moves.presence.has_moved)

    def _compared(self) -> Iterator[Pending]:
        """Compare what was taken with the catalog."""
        batch, self._batch = self._batch, Batch()
        if batch.documents or batch.refused:
            yield from self._compare(batch.documents, batch.refused)
        self._readings.keep()

    def _passed(self, closed: Sequence[Unopened]) -> Iterator[Pending]:
        """Pass files that need not be read, all at once if that can be; read those that have to be after all."""
        only = [unopened.only for unopened in closed]  # one document, of nearly all files
        if None not in only and self.seen.add_all(lambda: (doc_id for doc_id, _ in filter(None, only))):
            for unopened in closed:
                self._count_passed(unopened.file.uri)
                self._skip_again(unopened)
            self.reading.files += len(closed)
            return
        for unopened in closed:
            if not self._is_passed(unopened):
                yield from self._read(unopened.file)
                yield from self._compared()

    def _is_passed(self, unopened: Unopened) -> bool:
        """Return whether a file stays closed; if so, count its documents as unchanged. Not if one was read before."""
        with self._unopened.documents_of(unopened) as unread:
            if unread is None or not self.seen.add_all(lambda: (doc_id for doc_id, _ in unread.documents())):
                return False
            for _, uri in unread.documents():
                self._count_passed(uri)
        self.reading.files += 1
        self._skip_again(unopened)
        if unread.has_moved and self._identities is not None:
            self._identities.meet_stranger()
        return True

    def _skip_again(self, unopened: Unopened) -> None:
        for part in unopened.kept.skipped:
            self._skip(Skipped(part.example, part.reason), files=part.files)

    def _count_passed(self, uri: str) -> None:
        for tally in (self.tally, *(self.of_sources.of_first(uri) if self.of_sources is not None else ())):
            tally.documents += 1
            tally.unchanged += 1
            tally.unopened += 1

    def shards(self, items: Iterable[Item]) -> Iterator[Shard]:
        """Yield the documents that are new or changed as staged shards, those that are described anew in their own.

        Documents that are to have different outputs are in different shards, so that none is run for words of others.
        """
        ordinals = count()
        open_: dict[tuple[bool, Outputs], Stage] = {}
        for found in self.pending(items):
            kind = found.redescribes, found.outputs
            if kind not in open_ and len(open_) >= _OPEN_STAGES:
                yield open_.pop(next(iter(open_))).close()
            stage = open_.get(kind) or open_.setdefault(kind, Stage(self, next(ordinals), redescribes=kind[0]))
            stage.add(found.document, found.outputs)
            if stage.is_full:
                yield open_.pop(kind).close()
        for kind in sorted(open_, key=lambda kind: kind[0]):
            yield open_[kind].close()

    def delete_gone(self, sources: Sequence[Source], limit: DeletionLimit | None = None) -> int:
        """Delete documents that their source no longer yields; return their number.

        Not those that may still exist (see `shields`), those rejected by id in this scan (their last good version
        stays), those that another source has, and those that the limit holds back (see `held_back`).
        """
        self.held_back = settle(self, sources, limit or DeletionLimit())
        return self.tally.deleted

    def shielded(self, uri: str) -> bool:
        """Return whether documents of `uri` may still exist although this scan did not read them."""
        return self._shielding.has(uri)

    def retire_rejects(self, sources: Sequence[Source]) -> None:
        """Remove the rejects of earlier scans of `sources`; those of this scan replace them."""
        self.catalog.retire_rejects(self.run_id, Coverage(sources).scans)

    def record_skipped(self, sources: Sequence[Source]) -> None:
        """Record the files that this scan, a whole one, skipped, in place of those of earlier scans of `sources`."""
        rows = SkippedRows(sources, self.shielded)
        self.catalog.replace_skipped(self.run_id, partial(rows.settle, self._skipped.rows(self._names)))

    @property
    def refused(self) -> Counter[str]:
        """The number of rejected records so far, by code."""
        return self._refused.by_code

    @property
    def refused_records(self) -> list[RefusedRecords]:
        """What was rejected so far, by code, with examples."""
        return self._refused.totals()

    @property
    def skipped_files(self) -> list[SkippedFiles]:
        """What was skipped so far, by source, extension and reason."""
        return self._skipped.totals(self._names)

    @property
    def _names(self) -> list[str]:
        return [source.name for source in self.sources or ()]

    def close(self) -> None:
        """Remove the temporary file of ids."""
        self.seen.close()

    def _compare(self, batch: Sequence[Document], refused: Sequence[Reject]) -> Iterator[Pending]:
        known = self.catalog.lookup(self.encoding_id, [d.doc_id for d in batch])
        here = self._identified(batch, refused, known)
        moved: list[tuple[str, str]] = []
        left: list[tuple[str, str]] = []
        new: list[str] = []
        arrived: list[str] = []
        changed: list[str] = []
        for document in here:
            self._count("documents", document.uri)
            record = document.record_sha256
            before = known.get(document.doc_id)
            self._readings.compared(document, record, before)
            if before is not None and before.uri != document.uri:
                left.append((document.doc_id, before.uri))
                if not set(self._coverage.of(document.uri)) <= set(self._coverage.of(before.uri)):
                    arrived.append(document.doc_id)
            if before is not None and is_current(before, document, self.outputs, record=record):
                self._count("unchanged", document.uri)
                if before.uri != document.uri:
                    self._count("moved", document.uri)
                    moved.append((document.doc_id, document.uri))
                continue
            if before is None:
                new.append(document.doc_id)
            elif before.uri != document.uri:
                changed.append(document.doc_id)
            if before is not None and is_redescribed(before, document, self.outputs):
                self._count("redescribed", document.uri)
                yield Pending(document, self.outputs, redescribes=True)
                continue
            self._count("new" if before is None else "changed", document.uri, chars=len(document.text))
            outputs = self.outputs if before is None else self.outputs.union(before.outputs)
            yield Pending(document, outputs, redescribes=False)
        self.seen.mark_new([*new, *arrived])
        self._moves.settle(moved, left, [*new, *changed], {d.doc_id: d.uri for d in here})

    def _identified(
        self, batch: Sequence[Document], refused: Sequence[Reject], known: dict[str, DocumentVersion]
    ) -> Sequence[Document]:
        """Return the batch with the ids that its documents have in the lake, and add these to `known`.

        Rejects a record whose id is the address of a file that the lake has, and all but the first of an id.
        """
        if self._identities is None:
            return [document for document in batch if self._is_first(document)]
        settled, kept_back = self._identities.settled(batch, refused, known)
        for doc_id in kept_back:
            self.seen.add_refused(doc_id)
        kept, renamed = [], []
        for was, document in zip(batch, settled, strict=True):
            before = known.get(document.doc_id)
            is_of_a_file = self._identities.is_of_a_file
            if before and not is_derived(was) and is_of_a_file(document.doc_id, before.uri, document.uri):
                self._reject(taken(document))
            elif self._is_first(document):
                kept.append(document)
                if document is not was:
                    renamed.append(document.doc_id)
        if renamed:
            known |= self.catalog.lookup(self.encoding_id, renamed)
        return kept

    def _is_first(self, document: Document) -> bool:
        """Return whether the id was not read before in this scan; reject the document if it was."""
        if not self.seen.add(document.doc_id):
            self._reject(duplicate(document))
            self.seen.add_again(document.doc_id, document.uri)
            return False
        return True

    def _count(self, what: What, uri: str, *, chars: int = 0) -> None:
        self.tally.add(what, chars=chars)
        if self.of_sources is not None:
            self.of_sources.add(what, uri, chars=chars)

    def _skip(self, skipped: Skipped, *, files: int = 1) -> None:
        number = self._coverage.skipping(skipped.uri)
        self._skipped.add(skipped, number, files=files)
        self.tally.skipped_files += files
        if self.of_sources is not None:
            self.of_sources.tallies[number].skipped_files += files
        if skipped.reason in WITHOUT_TEXT and self._covers(skipped.uri):
            self._shielding.add_unread(skipped.uri)

    def _covers(self, uri: str) -> bool:
        return bool(self._coverage.of(uri))

    def _reject(self, reject: Reject) -> None:
        self.tally.add("rejected")
        if self.of_sources is not None:
            self.of_sources.refuse(reject.uri, reject.code)
        self._refused.add(reject)
        self._readings.refuse_document(reject.uri)
        self._shielding.add(reject)
        # Whose id an address is shows when the batch is compared: another file may have moved from there.
        if reject.doc_id is not None and (self._identities is None or not is_derived(reject)):
            self.seen.add_refused(reject.doc_id)
        self._reject_rows.add(reject)
