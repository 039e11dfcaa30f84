"""Shielding: the addresses whose documents may still exist although a scan did not read them. They are not deleted."""

from __future__ import annotations

from dataclasses import dataclass, field

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import addresses
from polyseme.storage.records import Reject
from polyseme.tasks.reading.sources import shields

_UNREAD_A_LOOKUP = 1000


@dataclass
class Shielding:
    """What one scan refused, and the files in which it found no text."""

    catalog: Catalog
    _rejects: dict[str, Reject] = field(default_factory=dict)
    _unread: list[str] = field(default_factory=list)

    def add(self, reject: Reject) -> None:
        """Note what was refused."""
        if shields(reject, reject.uri):
            # One an address is enough; `unreadable` is the one that may be of a folder.
            address = reject.uri.rstrip("/")
            if reject.code == "unreadable" or address not in self._rejects:
                self._rejects[address] = reject

    def add_unread(self, uri: str) -> None:
        """Note a file in which there is no text, as there may have been: its documents stay if the catalog has some."""
        self._unread.append(uri)
        if len(self._unread) >= _UNREAD_A_LOOKUP:
            self.finish()

    def finish(self) -> None:
        """Look up what is waiting."""
        if self._unread:
            with self.catalog.reading() as connection:
                known = addresses.live_at(connection, self._unread)
            self._rejects |= {uri: Reject(uri, "", "read", "unreadable", "no text is found in it", "") for uri in known}
            self._unread = []

    def has(self, uri: str) -> bool:
        """Return whether documents of `uri` may still exist although this scan did not read them."""
        # Folders, and archives: what ends before `/`, or before `!/`.
        above = (uri[:end].removesuffix("!") for end, character in enumerate(uri) if character == "/")
        found = (self._rejects.get(address) for address in (uri, *above))
        return any(shields(reject, uri) for reject in found if reject is not None)
