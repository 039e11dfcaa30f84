"""Local files: a lake in a folder of this machine, or of a file system that several machines mount.

A new file is made beside its final name; `durable` makes it whole and durable under that name.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from polyseme.storage.errors import LakeError
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
            raise LakeError(
                f"Cannot make a lake at {self.root}: {e}. Name a folder that you may write to with --lake."
            ) from e

    @contextmanager
    def new(self, path: str, *, read_only: bool = False) -> Iterator[Path]:
        final = self.root / path
        temporary = final.with_name(f".{final.name}.{uuid4().hex}.tmp")
        try:
            make_folder(final.parent)
            yield temporary
            if read_only:
                temporary.chmod(_READ_ONLY)
            replace_file(temporary, final)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    @contextmanager
    def fetched(self, path: str) -> Iterator[Path]:
        found = self.root / path
        if not found.is_file():
            raise FileNotFoundError(f"There is no file {found}.")
        yield found

    def missing(self, paths: Sequence[str]) -> list[str]:
        return [path for path in paths if not (self.root / path).is_file()]

    def remove(self, paths: Sequence[str]) -> None:
        for path in paths:
            (self.root / path).unlink(missing_ok=True)

    def remove_folder(self, folder: str) -> None:
        shutil.rmtree(self.root / folder, ignore_errors=True)

    def listed(self, folder: str) -> Iterator[FileInfo]:
        for entry in _entries(self.root / folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from self.listed(path)
            elif entry.is_file(follow_symlinks=False) and (stats := _stat(entry)):
                yield FileInfo(path, stats.st_size, _moment(stats))

    def folders(self, folder: str) -> Iterator[FileInfo]:
        for entry in _entries(self.root / folder):
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
        """Do nothing: DuckDB reads this machine's files by itself."""


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def _moment(stats: os.stat_result) -> datetime:
    return datetime.fromtimestamp(stats.st_mtime, UTC)
