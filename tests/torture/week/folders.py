"""Folders: the truth of the week. What is in the source folders, what is broken or unmounted, and what is deleted.

Every change is made to the model and to the disk. Files are replaced by a rename, so that no run reads half of one.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.week.contents import File

Where = tuple[str, str]
"""The uri and the text of a document."""


@dataclass
class Root:
    """A source folder: its files by relative path. `away` is where its contents are while it is not mounted."""

    path: str
    files: dict[str, File] = field(default_factory=dict)
    away: str = ""
    links: dict[str, str] = field(default_factory=dict)
    """Folders that were swapped for a link, with where they are now."""
    dangling: set[str] = field(default_factory=set)
    """Those whose target is not there."""

    def uri(self, name: str) -> str:
        return Path(self.path, name).as_uri()

    def put(self, name: str) -> None:
        """Write a file as the model has it."""
        file, path = self.files[name], os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        where = file.linked_to or path
        half = os.path.join(os.path.dirname(where), ".half")
        with open(half, "wb") as made:
            made.write(file.to_bytes())
        os.replace(half, where)
        if file.linked_to and not os.path.lexists(path):
            os.symlink(where, path)

    def remove(self, name: str) -> File:
        """Remove a file, or what is in its place."""
        path = os.path.join(self.path, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        return self.files.pop(name)

    def move(self, name: str, to: str) -> None:
        """Rename a file or a folder. What is broken is not protected any more: nothing shows that it is the same."""
        os.makedirs(os.path.dirname(os.path.join(self.path, to)), exist_ok=True)
        os.rename(os.path.join(self.path, name), os.path.join(self.path, to))
        self.files = {_moved(n, name, to): file for n, file in self.files.items()}
        self.links = {_moved(n, name, to): target for n, target in self.links.items()}
        self.dangling = {_moved(n, name, to) for n in self.dangling}
        for n, file in self.files.items():
            if n == to or n.startswith(to + "/"):
                file.protected = False

    def folders(self) -> list[str]:
        """Return the folders directly in it."""
        return sorted({name.split("/")[0] for name in self.files if "/" in name})

    def whole(self) -> Iterator[tuple[str, File]]:
        """Yield the files that a run can read to their end."""
        for name, file in self.files.items():
            if not file.broken and not file.replaced_by and not self._out_of_reach(name):
                yield name, file

    def hidden(self) -> Iterator[tuple[str, File]]:
        """Yield the files that are not deleted and cannot be read: broken, unmounted, or behind a dangling link."""
        for name, file in self.files.items():
            if not file.replaced_by and (file.broken or self._out_of_reach(name)):
                yield name, file

    def _out_of_reach(self, name: str) -> bool:
        return bool(self.away) or any(name.startswith(link + "/") for link in self.dangling)


@dataclass
class Truth:
    """What folders have: the places of each record with an id, all others as `(uri, text)`; `ids` also by uri."""

    ids: dict[str, set[Where]] = field(default_factory=dict)
    others: Counter[Where] = field(default_factory=Counter)
    files: dict[str, File] = field(default_factory=dict)

    def has(self, doc_id: str, where: Where) -> bool:
        return where in self.ids[doc_id] if doc_id in self.ids else where in self.others

    def add(self, uri: str, file: File) -> None:
        self.files[uri] = file
        for key, text in file.texts.items():
            if file.ids:
                self.ids.setdefault(key, set()).add((uri, text))
            else:
                self.others[uri, text] += 1


def readable(roots: Iterable[Root]) -> Truth:
    """Return what a run over these folders has to find."""
    truth = Truth()
    for root in roots:
        for name, file in root.whole():
            truth.add(root.uri(name), file)
    return truth


def out_of_sight(roots: Iterable[Root], *, protected: bool = True) -> Truth:
    """Return what nobody deleted and a run cannot read; without `protected` also what moved while it was broken."""
    truth = Truth()
    for root in roots:
        for name, file in root.hidden():
            if file.protected or not protected:
                truth.add(root.uri(name), file)
    return truth


def _moved(name: str, old: str, new: str) -> str:
    return new if name == old else new + name[len(old) :] if name.startswith(old + "/") else name
