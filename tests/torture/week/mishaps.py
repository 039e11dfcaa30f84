"""Mishaps: files break, links and mounts come and go, sources and the lake are moved. Nobody has deleted anything."""

from __future__ import annotations

import os

from tests.torture.week.folders import Root
from tests.torture.week.world import World, any_file, reachable


def break_file(world: World, root: Root) -> str:
    """Truncate a file, cut it short, or write it without the field of the text."""
    name = any_file(world, root)
    if name:
        file = root.files[name]
        file.broken, file.protected = world.chance.choice(file.ways_to_break()), True
        root.put(name)
        return f"break {name!r}: {file.broken}"
    return ""


def mend_file(world: World, root: Root) -> str:
    """Write a broken or replaced file as it should be."""
    names = [n for n, f in root.files.items() if (f.broken or f.replaced_by) and reachable(root, n)]
    if not names:
        return ""
    name = world.chance.choice(names)
    mend(root, name)
    return f"mend {name!r}"


def mend(root: Root, name: str) -> None:
    """Write a file as it should be, whatever is in its place."""
    file, path = root.files[name], os.path.join(root.path, name)
    if file.replaced_by:
        os.rmdir(path) if file.replaced_by == "folder" else os.unlink(path)
    file.broken = file.replaced_by = ""
    file.protected = True
    root.put(name)


def replace_file(world: World, root: Root) -> str:
    """Put a folder or a pipe in a file's place."""
    name = any_file(world, root, lambda f: not f.linked_to)
    if not name:
        return ""
    path = os.path.join(root.path, name)
    os.unlink(path)
    root.files[name].replaced_by = world.chance.choice(("folder", "pipe"))
    os.mkdir(path) if root.files[name].replaced_by == "folder" else os.mkfifo(path)
    return f"{root.files[name].replaced_by} in place of {name!r}"


def link_folder(world: World, root: Root) -> str:
    """Swap a folder for a link to where it is now."""
    free = [name for name in root.folders() if name not in root.links]
    if not free:
        return ""
    name, target = world.chance.choice(free), str(world.place / "elsewhere" / f"folder{world.next()}")
    os.rename(os.path.join(root.path, name), target)
    os.symlink(target, os.path.join(root.path, name))
    root.links[name] = target
    return f"link {name!r}"


def lose_target(world: World, root: Root) -> str:
    """Take away what a linked folder leads to, or bring it back."""
    if not root.links:
        return ""
    name = world.chance.choice(sorted(root.links))
    target = root.links[name]
    if name in root.dangling:
        os.rename(f"{target}.away", target)
        root.dangling.remove(name)
        return f"the target of {name!r} is back"
    os.rename(target, f"{target}.away")
    root.dangling.add(name)
    for file_name, file in root.files.items():
        if file_name.startswith(name + "/") and not file.broken:
            file.protected = True
    return f"the target of {name!r} is gone"


def unmount(world: World, root: Root) -> str:
    """Take the contents of a source away: its folder is empty, or gone."""
    root.away = str(world.place / f"unmounted{world.next()}")
    os.rename(root.path, root.away)
    for file in root.files.values():
        file.protected = file.protected or not file.broken
    if world.chance.random() < 0.5:
        os.mkdir(root.path)
        return f"empty {root.path!r}"
    return f"unmount {root.path!r}"


def mount(root: Root) -> None:
    """Bring the contents of a source back."""
    if os.path.isdir(root.path):
        os.rmdir(root.path)
    os.rename(root.away, root.path)
    root.away = ""


def rename_root(world: World, root: Root) -> str:
    """Rename a source folder: the next run names it by its new name."""
    new = f"{root.path}-{world.next()}"
    if len(new) > 200:
        return ""
    world.former.append(root.path)
    os.rename(root.path, new)
    root.path = new
    for file in root.files.values():
        file.protected = file.protected and not file.broken
    return f"rename the source to {new!r}"


def move_lake(world: World, root: Root) -> str:
    """Rename the lake's folder."""
    to = world.place / f"{world.chance.choice(('lake', 'läke #1', 'the lake.d', 'lake%20'))}{world.next()}"
    if world.lake.exists():
        world.lake.rename(to)
        world.lake = to
    return f"move the lake to {to.name!r}"


def settle(world: World) -> None:
    """Bring everything back: mount what is away, mend what is broken, restore what links lead to."""
    for root in world.roots:
        if root.away:
            mount(root)
        for name in sorted(root.dangling):
            os.rename(f"{root.links[name]}.away", root.links[name])
        root.dangling.clear()
        for name, file in root.files.items():
            if file.broken or file.replaced_by:
                mend(root, name)
