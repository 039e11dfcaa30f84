"""Staging: the sizes of shards, and the one that is being filled with documents."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from polyseme.storage.records import Document, Outputs, Shard
from polyseme.storage.staging import StagingWriter, staged_path

if TYPE_CHECKING:
    from polyseme.tasks.shards.scan import Scan


SHARD_CHARS = 512_000
"""Characters of the first shards: two chunks of English text with the embedded model."""
SHARD_DOUBLES_EVERY, SHARD_CHARS_MOST = 24, 16_384_000
"""Later shards are larger, so that a run of gigabytes has only a few hundred task runs."""
SHARD_DOCUMENTS_MOST = 50_000
"""The most documents of a shard: each takes about a kilobyte of records while its shard is processed."""


def shard_chars(ordinal: int) -> int:
    """Return the number of characters of shard number `ordinal`."""
    doublings: int = ordinal // SHARD_DOUBLES_EVERY
    return min(SHARD_CHARS << doublings, SHARD_CHARS_MOST)


class Stage:
    """The shard that is being filled with documents, in a staged file.

    `redescribes` is for documents of which only the description changed.
    """

    def __init__(self, scan: Scan, ordinal: int, *, redescribes: bool = False) -> None:
        self._scan, self._ordinal, self._redescribes = scan, ordinal, redescribes
        self._path = staged_path(scan.run_id, ordinal)
        self._writer = StagingWriter(scan.lake, self._path)
        self._key = hashlib.sha256(f"{scan.encoding_id}/{scan.version}".encode())
        self._outputs = scan.outputs
        self.documents = self.chars = 0

    def add(self, document: Document, outputs: Outputs) -> None:
        """Stage a document, for which at least `outputs` are to be made."""
        self._writer.write(document)
        self._outputs = self._outputs.union(outputs)
        self._key.update(f"\0{document.doc_id}\0{document.record_sha256}".encode())
        self.documents += 1
        self.chars += len(document.text)

    @property
    def is_full(self) -> bool:
        """Whether the shard has the size of its place in the run."""
        return self.chars >= shard_chars(self._ordinal) or self.documents >= SHARD_DOCUMENTS_MOST

    def close(self) -> Shard:
        """Finish the file and return the shard, with a key that follows from its content."""
        self._writer.close()
        self._key.update(self._outputs.to_json().encode())
        return Shard(
            run_id=self._scan.run_id,
            ordinal=self._ordinal,
            version=self._scan.version,
            encoding_id=self._scan.encoding_id,
            outputs=self._outputs,
            path=self._path,
            n_documents=self.documents,
            n_chars=0 if self._redescribes else self.chars,
            shard_key=self._key.hexdigest(),
            redescribes=self._redescribes,
        )
