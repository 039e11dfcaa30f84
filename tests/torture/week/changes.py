"""Changes: which edit or mishap comes next, and the files that there are in the beginning."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from tests.torture.week.edits import (
    add,
    add_record,
    annotate,
    change,
    copy_file,
    delete,
    delete_record,
    move_across,
    rename,
    rename_folder,
    touch,
)  # fmt: skip
from tests.torture.week.folders import Root
from tests.torture.week.mishaps import (
    break_file,
    link_folder,
    lose_target,
    mend_file,
    mount,
    move_lake,
    rename_root,
    replace_file,
    unmount,
)  # fmt: skip
from tests.torture.week.world import World

ROOTS = ("news", "archive 100%#?.d", os.fsdecode(b"caf\xe9\xff"))
_MOST_FILES = 22
EDITS: dict[Callable[[World, Root], str], int] = {
    add: 14, change: 14, annotate: 4, add_record: 6, delete_record: 5, delete: 7, rename: 6, rename_folder: 2,
    move_across: 4, copy_file: 4, break_file: 5, mend_file: 7, replace_file: 2, link_folder: 1, lose_target: 3,
    touch: 4, unmount: 3, rename_root: 1, move_lake: 1,
}  # fmt: skip
DURING = (add, change, annotate, add_record, delete_record)
"""Edits that are made while a run reads, too."""


def begin(place: Path, seed: int) -> World:
    """Return a world with its first files."""
    world = World(place, random.Random(seed), place / "lake")
    (place / "elsewhere").mkdir()
    for name in ROOTS:
        root = Root(str(place / name))
        os.mkdir(root.path)
        world.roots.append(root)
        for _ in range(10):
            add(world, root)
    return world


def change_something(world: World, *, during: bool = False) -> str:
    """Make one edit to a source that is mounted, or bring one back; return what was done, empty if nothing."""
    away = [root for root in world.roots if root.away]
    if away and not during and world.chance.random() < 0.15:
        root = world.chance.choice(away)
        mount(root)
        return f"mount {root.path!r}"
    roots = world.mounted()
    if not roots:
        return ""
    root = world.chance.choice(roots)
    kinds = list(DURING if during else EDITS)
    weights = [EDITS[kind] * (3 if kind is delete and len(root.files) > _MOST_FILES else 1) for kind in kinds]
    return world.chance.choices(kinds, weights)[0](world, root)
