"""World: the source folders and the lake of the week, and the chance that decides. Knows no edits."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.week.contents import File
from tests.torture.week.folders import Root


@dataclass
class World:
    """The source folders, the lake's place, and the chance that decides."""

    place: Path
    chance: random.Random
    lake: Path
    roots: list[Root] = field(default_factory=list)
    former: list[str] = field(default_factory=list)
    """Where source folders were before they were renamed."""
    numbers: int = 0

    def next(self) -> int:
        self.numbers += 1
        return self.numbers

    def mounted(self) -> list[Root]:
        return [root for root in self.roots if not root.away]


def clear(world: World) -> None:
    """Remove everything, also below folders whose names no tool likes."""
    shutil.rmtree(os.fsencode(world.place))


def reachable(root: Root, name: str) -> bool:
    """Return whether no folder above a file is a link that leads nowhere."""
    return not any(name.startswith(link + "/") for link in root.dangling)


def blocked(root: Root, name: str) -> bool:
    """Return whether a folder in a path is taken by a file or leads nowhere."""
    parts = name.split("/")
    above = ["/".join(parts[:i]) for i in range(1, len(parts))]
    return any(folder in root.files or folder in root.dangling for folder in above) or any(
        taken.startswith(name + "/") for taken in root.files
    )


def any_file(
    world: World, root: Root, wanted: Callable[[File], bool] = lambda file: True, *, whole: bool = True
) -> str:  # fmt: skip
    """Return the name of some file that can be reached, whole unless stated; empty if there is none."""
    names = [
        name for name, file in root.files.items()
        if reachable(root, name) and not file.replaced_by and not (whole and file.broken) and wanted(file)
    ]  # fmt: skip
    return world.chance.choice(names) if names else ""
