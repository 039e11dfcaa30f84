"""Documents that a scan meets at another address than the lake has: which addresses they get, in every encoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import addresses
from polyseme.tasks.shards.presence import Presence

At = tuple[str, str]
"""The id of a document and an address."""


@dataclass(frozen=True)
class Moves:
    """Moves documents of a scan in `encodings`, of which `encoding_id` is the one that the scan compares with.

    `covers` says whether a source of the scan has an address; None if its documents come from the lake itself.
    """

    catalog: Catalog
    encoding_id: str
    encodings: tuple[str, ...]
    presence: Presence
    covers: Callable[[str], bool] | None

    def settle(self, moved: Sequence[At], left: Sequence[At], elsewhere: Sequence[str], now: Mapping[str, str]) -> None:
        """Give the documents of a batch their addresses `now`.

        `moved` are unchanged ones with their new address, `left` others with the address that they had, `elsewhere`
        those that another encoding may have at another address.
        """
        in_others = self._in_others(elsewhere, now)
        once = [(doc_id, now[doc_id]) for doc_id in dict.fromkeys(doc_id for doc_id, _ in in_others)]
        for encoding_id in self.encodings:
            found = moved if encoding_id == self.encoding_id else [*moved, *once]
            if found:
                self.catalog.move_documents(encoding_id, found)
        self._keep([*left, *in_others], now)

    def _in_others(self, doc_ids: Sequence[str], now: Mapping[str, str]) -> list[At]:
        """Return the addresses, other than those of `now`, that other encodings have of these documents."""
        if self.covers is None or not doc_ids or set(self.encodings) <= {self.encoding_id}:
            return []
        with self.catalog.reading() as connection:
            found = addresses.addresses_of(connection, doc_ids)
        return [(doc_id, uri) for doc_id in doc_ids for uri in sorted(found.get(doc_id, set()) - {now[doc_id]})]

    def _keep(self, left: Sequence[At], now: Mapping[str, str]) -> None:
        """Keep the addresses that documents had before if they are of other sources, which may still have them."""
        if self.covers is None:
            return
        covers, is_gone = self.covers, lru_cache(self.presence.has_moved)
        kept = [(doc_id, uri) for doc_id, uri in left if not covers(uri) and not is_gone(uri, now[doc_id])]
        if kept:
            with self.catalog.writing() as connection:
                for encoding_id in self.encodings:
                    addresses.add_other(connection, encoding_id, kept)
