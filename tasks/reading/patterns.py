"""Patterns of `--include` and `--exclude`: which files of a source a run reads, in the syntax of .gitignore.

Paths are relative to the folder of their source, with `/`. Knows no files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from polyseme.storage.errors import UsageError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_MOST, _LONGEST = 1000, 1000
_MOST_STARS = 3
"""Wildcards of any length in one name: with four a hostile path of 4 KB takes 12 s to compare, with three .2 s."""
_STARS = re.compile(r"\*+")


@dataclass(frozen=True, slots=True)
class Patterns:
    """Which files to read: all that match one of `include`, without it all, but none that `exclude` matches.

    As in .gitignore the last pattern that matches decides, `!` reverses one, and nothing in an excluded folder is read.
    Raises UsageError for a pattern that has no meaning.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for option, lines in (("--include", self.include), ("--exclude", self.exclude)):
            if len(lines) > _MOST:
                raise UsageError(f"{option} has {len(lines):,} patterns, more than {_MOST:,}. Name folders instead.")
            for line in lines:
                _check(option, line)
        # Lists come from JSON and TOML.
        object.__setattr__(self, "include", tuple(self.include))
        object.__setattr__(self, "exclude", tuple(self.exclude))

    def __bool__(self) -> bool:
        return bool(self.include or self.exclude)

    def leave_out_folder(self, path: str) -> bool:
        """Return whether a folder, whose parents are not left out, is not entered."""
        return bool(self.exclude) and _spec(self.exclude).match_file(path + "/")

    def leave_out_file(self, path: str) -> bool:
        """Return whether a file, whose folders are not left out, is not read."""
        if self.exclude and _spec(self.exclude).match_file(path):
            return True
        return bool(self.include) and not _spec(self.include).match_file(path)

    def leave_out_within(self, folder: str) -> bool:
        """Return whether a folder is not entered, because of its own name or of a folder that it is in."""
        return bool(self.exclude) and _in_left_out(self, folder)

    def leave_out(self, path: str) -> bool:
        """Return whether a file is not read, because of its own name or of a folder that it is in."""
        return self.leave_out_within(path.rpartition("/")[0]) or self.leave_out_file(path)


ALL = Patterns()
"""Leaves nothing out."""


@lru_cache(maxsize=4096)
def _in_left_out(patterns: Patterns, folder: str) -> bool:
    ends = [at for at, character in enumerate(folder) if character == "/"]
    return bool(folder) and any(patterns.leave_out_folder(folder[:end]) for end in (*ends, len(folder)))


@lru_cache(maxsize=64)
def _spec(lines: tuple[str, ...]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # only where there are patterns

    return GitIgnoreSpec.from_lines(lines)


def _check(option: str, line: str) -> None:
    """Raise UsageError for a pattern that matches nothing, or takes too long to compare."""
    if not line.strip() or line.startswith("#") or "\n" in line or "\0" in line or len(line) > _LONGEST:
        raise UsageError(f"{option} {line!r} is not a pattern; write one of .gitignore, e.g. '*.log' or 'build/'.")
    if any(len(_STARS.findall(name)) > _MOST_STARS for name in line.split("/")) or line.count("**") > _MOST_STARS:
        raise UsageError(
            f"{option} {line!r} has more than {_MOST_STARS} wildcards of any length, which take very long to compare; "
            "write several patterns with fewer."
        )
    try:
        means = any(pattern.include is not None for pattern in _spec((line,)).patterns)
    except (ValueError, re.error) as error:
        raise UsageError(f"{option} {line!r} is not a pattern of .gitignore ({error}).") from error
    if not means:
        raise UsageError(f"{option} {line!r} matches nothing; write a pattern of .gitignore, e.g. '*.log' or 'build/'.")
