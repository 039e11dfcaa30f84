"""Presence: whether what was read at an address is still there, for files of this machine and for objects.

An object is asked for, one request each, so only of few. What cannot be told is still there.
"""

from __future__ import annotations

import os
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from polyseme.storage.database import addresses
from polyseme.tasks.reading.archives import archive_of
from polyseme.tasks.reading.object_store import ObjectStore, stored_at

_MOST_ASKED = 10_000


def is_place(uri: str) -> bool:
    """Return whether something can be looked for at an address; of a file of the web only its server knows."""
    return uri.startswith((addresses.FILE, *addresses.STORES))


class Presence:
    """What one scan has found out: it asks for an object once, and for a file each time."""

    def __init__(self) -> None:
        self._has_object = lru_cache(maxsize=_MOST_ASKED)(_has_object)

    def is_there(self, uri: str) -> bool:
        """Return whether the file or object that has the document of an address is there, or may be."""
        if uri.startswith(addresses.FILE):
            return os.path.lexists(_path(uri))
        found = stored_at(archive_of(uri))
        return found is None or self._has_object(*found)

    def has_moved(self, uri: str, now: str) -> bool:
        """Return whether what was at `uri` is gone because it was moved to `now`, and not as a disk is not mounted.

        If its folder is gone too, its name decides: a folder was renamed, or two sources have files of different names.
        """
        if not is_place(uri) or self.is_there(uri):
            return False
        if not uri.startswith(addresses.FILE):
            return True  # the store has answered
        try:
            with os.scandir(os.path.dirname(_path(uri))) as listing:
                return next(listing, None) is not None
        except OSError:
            return os.path.basename(uri) == os.path.basename(now)

    def is_elsewhere(self, uri: str, here: str) -> bool:
        """Return whether another file or object than that of `here` is at `uri`, or may be there again."""
        if not is_place(uri) or not is_place(here):
            return False
        return not self.has_moved(uri, here) and not is_same(uri, here)


def is_same(uri: str, other: str) -> bool:
    """Return whether two addresses lead to the same document, one perhaps through a link."""
    if not (uri.startswith(addresses.FILE) and other.startswith(addresses.FILE)):
        return uri == other
    same_member = uri.removeprefix(archive_of(uri)) == other.removeprefix(archive_of(other))
    return same_member and os.path.realpath(_path(uri)) == os.path.realpath(_path(other))


def _has_object(store: ObjectStore, key: str) -> bool:
    try:
        return bool(store.object(key))
    except OSError:
        return True


def _path(uri: str) -> str:
    """Return the path of a file, of a member that of its archive."""
    return os.fsdecode(unquote_to_bytes(archive_of(uri).removeprefix("file://")))
