"""Edits: what people and programs do to the files of a source: they add, change, delete, rename and copy them."""

from __future__ import annotations

import copy
import os

from tests.torture.week.contents import SUFFIXES, File, text
from tests.torture.week.folders import Root
from tests.torture.week.world import World, any_file, blocked, reachable

_NAMES = (
    "plain", "x%41", "q?y#z", "line\nbreak", "turned\u202etxt", os.fsdecode(b"\xff\xfe"), " lead", "trail ", "v1.2.txt",
    "[br]*", "back\\slash", "emoji\U0001f600", "e\u0301", "'quote\"", "tab\t", "--option", "file:", "a&b=c;d", "CON",
)  # fmt: skip
_FOLDERS = (
    "sub", "v1.0", "d#1?", os.fsdecode(b"\xe9t\xe9"), "deep/er", "notes.txt", "100%", "new\nline/[x]", "table.parquet",
)  # fmt: skip


def add(world: World, root: Root) -> str:
    """Add a file of any kind and name, to any folder."""
    chance, number = world.chance, world.next()
    suffix = chance.choice((".txt", ".txt", *SUFFIXES))
    folder = chance.choice(("", "", *_FOLDERS, *root.folders()))
    name = os.path.join(folder, f"{chance.choice(_NAMES)}{number}{suffix}")
    if any(name.startswith(link + "/") for link in root.dangling) or blocked(root, name):
        return ""
    file = File(suffix, {"": text(chance, number)})
    if suffix != ".txt":
        file = File(suffix, {}, ids=chance.random() < 0.6)
        for _ in range(chance.randrange(1, 6)):
            _add_record(world, file)
    if chance.random() < 0.1:
        file.linked_to = str(world.place / "elsewhere" / f"file{number}{suffix}")
    root.files[name] = file
    root.put(name)
    return f"add {name!r}"


def change(world: World, root: Root) -> str:
    """Change one text."""
    name = any_file(world, root)
    if name:
        file = root.files[name]
        file.texts[world.chance.choice(list(file.texts))] = text(world.chance, world.next())
        root.put(name)
    return name and f"change {name!r}"


def annotate(world: World, root: Root) -> str:
    """Change the metadata of records and no text."""
    name = any_file(world, root, lambda f: f.suffix != ".txt")
    if name:
        root.files[name].note += 1
        root.put(name)
    return name and f"annotate {name!r}"


def add_record(world: World, root: Root) -> str:
    """Add a record to a file."""
    name = any_file(world, root, lambda f: f.suffix != ".txt" and len(f.texts) < 12)
    if name:
        _add_record(world, root.files[name])
        root.put(name)
    return name and f"add a record to {name!r}"


def delete_record(world: World, root: Root) -> str:
    """Delete a record of a file that has others. Those without ids after it move up."""
    name = any_file(world, root, lambda f: len(f.texts) > 1)
    if name:
        file = root.files[name]
        del file.texts[world.chance.choice(list(file.texts))]
        if not file.ids:
            file.texts = {str(i): t for i, t in enumerate(file.texts.values())}
        root.put(name)
    return name and f"delete a record of {name!r}"


def delete(world: World, root: Root) -> str:
    """Delete a few files, rarely many: more than one run may hide."""
    names = [n for n in root.files if reachable(root, n)]
    share = 0.6 if world.chance.random() < 0.06 else 0.1
    gone = world.chance.sample(names, min(len(names), max(1, int(share * len(names)))))
    for name in gone:
        root.remove(name)
    return f"delete {len(gone)} files" if gone else ""


def rename(world: World, root: Root) -> str:
    """Rename a file, or move it into another folder under the same name."""
    name = any_file(world, root, lambda f: not f.linked_to, whole=False)
    if not name:
        return ""
    base = os.path.basename(name)
    if world.chance.random() < 0.5:
        to = os.path.join(
            os.path.dirname(name), f"{world.chance.choice(_NAMES)}{world.next()}{root.files[name].suffix}"
        )
    else:
        to = os.path.join(world.chance.choice(("", *_FOLDERS)), base)
    if to in root.files or blocked(root, to):
        return ""
    root.move(name, to)
    return f"rename {name!r} to {to!r}"


def rename_folder(world: World, root: Root) -> str:
    """Rename a folder with everything in it."""
    folders = root.folders()
    if not folders:
        return ""
    old, new = world.chance.choice(folders), f"{world.chance.choice(_FOLDERS).split('/')[0]}{world.next()}"
    root.move(old, new)
    return f"rename the folder {old!r} to {new!r}"


def move_across(world: World, root: Root) -> str:
    """Move a file to another source, under its name."""
    name, other = any_file(world, root, lambda f: not f.linked_to), world.chance.choice(world.mounted())
    if not name or other is root or blocked(other, os.path.basename(name)) or os.path.basename(name) in other.files:
        return ""
    to = os.path.basename(name)
    os.rename(os.path.join(root.path, name), os.path.join(other.path, to))
    other.files[to] = root.files.pop(name)
    return f"move {name!r} to {other.path!r}"


def copy_file(world: World, root: Root) -> str:
    """Copy a file, ids and all, into the same or another source."""
    name, other = any_file(world, root), world.chance.choice(world.mounted())
    if not name:
        return ""
    base = os.path.basename(name)
    to = base if world.chance.random() < 0.5 else f"copy{world.next()}{root.files[name].suffix}"
    if to in other.files or blocked(other, to):
        return ""
    other.files[to] = copy.deepcopy(root.files[name])
    other.files[to].linked_to = ""
    other.put(to)
    return f"copy {name!r} to {to!r} of {other.path!r}"


def touch(world: World, root: Root) -> str:
    """Give a file another time, of the past or the future."""
    name = any_file(world, root)
    if name:
        when = world.chance.choice((0.0, 1e9, 4e9, 1.8e9 + world.chance.random() * 1e6))
        os.utime(os.path.join(root.path, name), (when, when))
    return name and f"touch {name!r}"


def _add_record(world: World, file: File) -> None:
    number = world.next()
    key = f"r{number}" if file.ids else str(len(file.texts))
    file.texts[key] = text(world.chance, number)
