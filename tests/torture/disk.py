"""Disk: the files that are left after a power loss, given the system calls that were made before it.

The weakest file system that POSIX allows: bytes are durable after fsync of their file, names after fsync of their
folder, and nothing else is. Of what is not durable any part may have reached the disk: writes by the 512-byte sector in
any order, names by the operation, in order or not. A rename is either done or not.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.tracer import Call

_SECTOR = 512


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[int, bytes] | int] = field(default_factory=list)
    """Writes as (offset, bytes), truncations as a size."""

    def sync(self) -> None:
        for change in self.waiting:
            _apply(self.durable, change)
        self.waiting = []

    def after_crash(self, chance: random.Random) -> bytes:
        """Return the bytes that are left: all that are durable and some of the others."""
        content = bytearray(self.durable)
        luck = chance.choice((0.0, 0.5, 0.9, 1.0))
        for change in self.waiting:
            if isinstance(change, int):
                if chance.random() < luck:
                    _apply(content, change)
                continue
            offset, data = change
            for start in range(0, len(data), _SECTOR):
                if chance.random() < luck:
                    _apply(content, (offset + start, data[start : start + _SECTOR]))
        return bytes(content)


def _apply(content: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        del content[change:]
        content.extend(bytes(change - len(content)))
        return
    offset, data = change
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


@dataclass(frozen=True, slots=True)
class _Entry:
    """One change of names: `name` refers to `file` from now on, or to nothing for None; the name `gone` is removed."""

    name: str
    file: int | None
    gone: str = ""


_FOLDER = -1


@dataclass
class Disk:
    """The state of everything under `root`; at the start only the folder itself exists, and is durable."""

    root: str
    _files: list[_File] = field(default_factory=list)
    _by_inode: dict[int, int] = field(default_factory=dict)
    """Indexes into `_files` by inode: the system reuses the number of an inode once its file is gone."""
    _names: dict[str, int] = field(default_factory=dict)
    _durable: dict[str, int] = field(default_factory=dict)
    _waiting: dict[str, list[_Entry]] = field(default_factory=dict)

    def play(self, call: Call, result: int) -> None:
        """Apply a call that succeeded and returned `result`."""
        if call.path.endswith("-shm"):
            return
        match call.kind:
            case "write" | "pwrite":
                self._file(call).waiting.append((call.offset, call.data[:result]))
            case "truncate":
                self._file(call).waiting.append(call.offset)
            case "fsync" if call.is_folder:
                for entry in self._waiting.pop(call.path, []):
                    _rename(self._durable, entry)
            case "fsync":
                self._file(call).sync()
            case "open" if not call.existed:
                self._by_inode[call.inode] = len(self._files)
                self._enter(_Entry(call.path, len(self._files)))
                self._files.append(_File())
            case "mkdir":
                self._enter(_Entry(call.path, _FOLDER))
            case "unlink":
                self._enter(_Entry(call.path, None))
            case "rename":
                self._enter(_Entry(call.other, self._names[call.path], gone=call.path))

    def crash(self, image: Path, chance: random.Random) -> None:
        """Write to `image`, a new folder, the files that are left if power is lost now."""
        names = dict(self._durable)
        for entries in self._waiting.values():
            if chance.random() < 0.5:
                survive = entries[: chance.randint(0, len(entries))]
            else:
                survive = [entry for entry in entries if chance.random() < 0.5]
            for entry in survive:
                _rename(names, entry)
        image.mkdir()
        for name in sorted(names):
            place = image / os.path.relpath(name, self.root)
            if not place.parent.is_dir():
                continue
            if names[name] == _FOLDER:
                place.mkdir()
            else:
                place.write_bytes(self._files[names[name]].after_crash(chance))

    def _file(self, call: Call) -> _File:
        return self._files[self._by_inode[call.inode]]

    def _enter(self, entry: _Entry) -> None:
        _rename(self._names, entry)
        self._waiting.setdefault(os.path.dirname(entry.name), []).append(entry)


def _rename(names: dict[str, int], entry: _Entry) -> None:
    if entry.file is None:
        names.pop(entry.name, None)
        return
    if entry.gone:
        names.pop(entry.gone, None)
    names[entry.name] = entry.file
