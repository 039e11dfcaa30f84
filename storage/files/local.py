"""Local files: a lake in a folder of this machine, or of a file system that several machines mount.

A new file is made beside its final name; `durable` makes it whole and durable under that name.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from polyseme.storage.checks import RESTORE
from polyseme.storage.errors import NOT_ALLOWED, LakeError, mend_of
from polyseme.storage.files.durable import make_folder, replace_file
from polyseme.storage.files.protocol import FileInfo

if TYPE_CHECKING:
    import duckdb

_READ_ONLY = 0o444
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp(\.wal)?|\.[0-9a-f]{32}\.parquet\.tmp")
"""The temporary names that `new` and an earlier release give; DuckDB writes its log beside the file it makes."""


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """The files below a folder, as `protocol.Files` describes them."""

    root: Path

    def prepare(self) -> None:
        try:
            for name in ("data", "staging"):
                make_folder(self.root / name)
        except OSError as e:
            mend = mend_of(e) if self.root.is_dir() else "Name a folder that you may write to with --lake."
            raise LakeError(f"Cannot make a lake at {self.root}: {e}. {mend}") from e

    @contextmanager
    def new(self, path: str, *, read_only: bool = False) -> Iterator[Path]:
        final = self._inside(path)
        temporary = final.with_name(f".{final.name}.{uuid4().hex}.tmp")
        try:
            make_folder(final.parent)
            yield temporary
            if read_only:
                temporary.chmod(_READ_ONLY)
            replace_file(temporary, final)
        except BaseException as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno in NOT_ALLOWED:
                raise LakeError(f"Cannot write {final}: {error}. {mend_of(error)}") from error
            raise

    @contextmanager
    def fetched(self, path: str) -> Iterator[Path]:
        found = self._inside(path)
        if found.is_symlink() or (found.exists() and not found.is_file()):
            raise self._not_a_file(path)
        if not found.is_file():
            raise FileNotFoundError(f"There is no file {found}.")
        yield found

    def missing(self, paths: Sequence[str]) -> list[str]:
        return [path for path in paths if not self._inside(path).is_file()]

    def remove(self, paths: Sequence[str]) -> None:
        for path in paths:
            found = self._inside(path)
            try:
                found.unlink(missing_ok=True)
            except OSError as error:
                raise LakeError(f"Cannot remove {found}: {error}. {mend_of(error)}") from error

    def remove_folder(self, folder: str) -> None:
        shutil.rmtree(self._inside(folder), ignore_errors=True)

    def listed(self, folder: str) -> Iterator[FileInfo]:
        for entry in _entries(self._inside(folder, itself=True)):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from self.listed(path)
            elif entry.is_file(follow_symlinks=False) and (stats := _stat(entry)):
                yield FileInfo(path, stats.st_size, _moment(stats))

    def folders(self, folder: str) -> Iterator[FileInfo]:
        for entry in _entries(self._inside(folder, itself=True)):
            if entry.is_dir(follow_symlinks=False) and (stats := _stat(entry)):
                path = f"{folder}/{entry.name}"
                inside = list(self.listed(path))
                yield FileInfo(path, sum(s.bytes for s in inside), max([_moment(stats), *(s.modified for s in inside)]))

    def unfinished(self) -> Iterator[FileInfo]:
        for entry in _entries(self.root):
            if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False) and (stats := _stat(entry)):
                yield FileInfo(entry.name, stats.st_size, _moment(stats))
        yield from (found for found in self.listed("data") if _TEMPORARY.fullmatch(found.path.rsplit("/", 1)[-1]))

    def attach(self, con: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> None:
        """Require that what is there under these names are files, not links; DuckDB reads them by itself."""
        inside: dict[str, set[str]] = {}
        for path in paths:
            folder, _, name = path.rpartition("/")
            inside.setdefault(folder, set()).add(name)
        for folder, names in inside.items():
            # A listing has the kind of each entry: a call for each of 20,000 parts would take ten times as long.
            for entry in _entries(self._inside(folder, itself=True)):
                if entry.name in names and not entry.is_file(follow_symlinks=False):
                    raise self._not_a_file(f"{folder}/{entry.name}")

    def _inside(self, path: str, *, itself: bool = False) -> Path:
        """Return the full path, unless a link on the way leads out of the lake; with `itself` the path's end counts.

        Raises LakeError: through such a link another's files would be read, written over or removed.
        """
        steps = path.split("/")
        if "\0" in path or path.startswith("/") or ".." in steps:
            raise LakeError(f"The lake at {self.root} names a file outside it: {path!a}. {RESTORE}")
        folder = self.root.joinpath(*(steps if itself else steps[:-1]))
        real = os.path.realpath(folder)
        if real != str(folder) and not Path(real).is_relative_to(os.path.realpath(self.root)):
            raise LakeError(
                f"{folder} is, or is in, a link that leads out of the lake at {self.root}. Nothing was read or "
                "written. If the link is yours, mount the other folder there instead, or move the lake as a "
                "whole and link to its root. A lake that somebody else made may have it on purpose: do not open it."
            )
        return self.root / path

    def _not_a_file(self, path: str) -> LakeError:
        return LakeError(
            f"{self.root / path} is a link, a pipe or a folder, and Polyseme makes only files. Nothing was read from "
            f"it. {RESTORE}"
        )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def _moment(stats: os.stat_result) -> datetime:
    return datetime.fromtimestamp(stats.st_mtime, UTC)
