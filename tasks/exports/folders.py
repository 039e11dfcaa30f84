"""Folders that an export made: locked while one is written, with its mark, and replaced as a whole.

A new folder is written beside the old one, under a name that begins with a dot, and takes its place by renaming; what
others put into the old one is in the new one too. Between two renames there is none under the name; a crash there
leaves the old one beside, and the next export brings it back.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polyseme.storage.errors import PolysemeError, UsageError, mend_of
from polyseme.storage.files.durable import make_folder, sync, write_atomically
from polyseme.tasks.exports.marks import Mark

MARK = "_polyseme_export.json"
"""Readers of tables in folders pass by files that begin so."""


def local_path(out: str) -> Path:
    """Return a folder that a user named. Raises UsageError for an address of another place."""
    if "://" in out:
        raise UsageError("This format is written into a folder, and --out is an address. Name a folder.")
    return Path(out)


class ExportFolder:
    """A folder that is there or will be. Use `locked` before all else."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError for the root of a file system."""
        self.path = path.expanduser().resolve()
        if not self.path.name:
            raise UsageError(f"An export cannot be all of {self.path}. Name a folder in it.")
        self._staged = self.path.with_name(f".{self.path.name}.partial")
        self._old = self.path.with_name(f".{self.path.name}.old")

    def __str__(self) -> str:
        return str(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other exports from the folder, and undo what one that was killed left. Raises PolysemeError."""
        with _explained(self.path):
            make_folder(self.path.parent)
        lock = self._take_lock()
        try:
            with _explained(self.path):
                self._recover()
            yield
        finally:
            self._lock_path.unlink(missing_ok=True)  # first: who opens the file now waits for nothing
            os.close(lock)

    @property
    def _lock_path(self) -> Path:
        return self.path.with_name(f".{self.path.name}.lock")

    def _take_lock(self) -> int:
        """Return the descriptor of the lock's file, which goes with its name when the lock is given up."""
        while True:
            with _explained(self.path):
                lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(lock), self._lock_path.stat()):
                    return lock
            except BlockingIOError as error:
                os.close(lock)
                raise PolysemeError(f"Another export writes {self.path}. Wait until it is done.") from error
            except FileNotFoundError:
                pass
            os.close(lock)

    def _recover(self) -> None:
        if self._old.exists():
            if self.path.exists():
                shutil.rmtree(self._old)
            else:
                self._old.rename(self.path)
        shutil.rmtree(self._staged, ignore_errors=True)

    def mark(self) -> Mark | None:
        """Return the mark of the folder; None if it does not exist or is empty.

        Raises UsageError for a folder or file that no export made.
        """
        try:
            return Mark.parse((self.path / MARK).read_text("utf-8"), str(self.path))
        except FileNotFoundError:
            if not self.path.exists() or not any(self.path.iterdir()):
                return None
        except NotADirectoryError:
            pass
        except (OSError, UnicodeDecodeError) as error:
            raise PolysemeError(f"Cannot read {self.path / MARK}: {error}. Check that you may read it.") from error
        raise UsageError(
            f"{self.path} is not an export of Polyseme: it has no {MARK}. It is left as it is; name a new folder, or "
            "remove what is there."
        )

    def remember(self, mark: Mark) -> None:
        """Write the mark into the folder, which is as it shall be otherwise."""
        write_atomically(self.path / MARK, mark.to_json() + "\n")

    @contextmanager
    def replaced(self, mark: Mark) -> Iterator[Path]:
        """Yield a new folder to fill; if that succeeds it gets the mark and replaces the old one.

        What the old one has under other names, such as a license or the folder of a repository, stays in it.
        """
        with _explained(self.path):
            self._staged.mkdir()
            try:
                yield self._staged
                (self._staged / MARK).write_text(mark.to_json() + "\n", "utf-8")
                self._take_over()
                self._swap()
            finally:
                shutil.rmtree(self._staged, ignore_errors=True)

    def _take_over(self) -> None:
        for old in self.path.iterdir() if self.path.exists() else ():
            new = self._staged / old.name
            if os.path.lexists(new):
                continue
            if old.is_dir() and not old.is_symlink():
                shutil.copytree(old, new, symlinks=True, copy_function=link_or_copy)
            else:
                link_or_copy(old, new)

    def _swap(self) -> None:
        for folder, _, files in os.walk(self._staged):
            for path in (Path(folder, name) for name in files):
                if not path.is_symlink():
                    sync(path)
            sync(Path(folder))
        if self.path.exists():
            self.path.rename(self._old)
        self._staged.rename(self.path)
        sync(self.path.parent)
        shutil.rmtree(self._old, ignore_errors=True)

    def size(self) -> int:
        """Return the bytes of all files in the folder."""
        return sum(Path(folder, name).lstat().st_size for folder, _, files in os.walk(self.path) for name in files)


def link_or_copy(old: str | Path, new: str | Path) -> None:
    """Give a file that does not change a second name."""
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:  # a file system without links
        shutil.copy2(old, new, follow_symlinks=False)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno is None:  # of a library, about something else
            raise
        raise PolysemeError(f"Cannot write {path}: {error.strerror or error}. {mend_of(error)}") from error
