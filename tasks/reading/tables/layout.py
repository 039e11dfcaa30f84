"""How tables of Delta Lake and Iceberg lie in folders and below prefixes: recognised by names, without an extra.

A folder is a table's if it has a folder `_delta_log`, or a folder `metadata` with Iceberg's files. All that lies in it
is the table's, and none of it is read by itself: some files hold rows that were deleted or replaced. Opens no file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

TABLE_IN_FOLDER = "table-in-folder"
"""The code of a table that lies in a source. Its documents of earlier runs are gone as those of deleted files are."""
DELTA, ICEBERG = "delta-table", "iceberg-table"
TABLES = {DELTA: "Delta Lake", ICEBERG: "Iceberg"}
"""The kinds of tables, and what people call them."""
DELTA_LOG, METADATA = "_delta_log", "metadata"
"""The folders by which a table is recognised."""
NAMED = "iceberg://CATALOG/NAMESPACE.TABLE"
"""What an Iceberg table is called, wherever its files are."""
_PLAIN = re.compile(r"[A-Za-z0-9/._=-]+")


def table_in(folder: str, *, folders: Iterable[str] | None = None) -> str | None:
    """Return the kind of the table whose folder this is; None if it is none's. Lists `metadata`, if there is one.

    `folders` are those of the two names that are in it, where that is known.
    """
    if folders is None:
        folders = [name for name in (DELTA_LOG, METADATA) if os.path.isdir(f"{folder}/{name}")]
    if METADATA in folders and _has_iceberg(f"{folder}/{METADATA}"):
        return ICEBERG
    return DELTA if DELTA_LOG in folders else None


def tables_below(root: str, keys: Iterable[str]) -> dict[str, str]:
    """Return the kinds of the tables among keys that begin with `root`, by prefix; not those within another."""
    found: dict[str, str] = {}
    for key in keys:
        if DELTA_LOG not in key and METADATA not in key:  # as nearly all: a million take a tenth of a second
            continue
        *folders, name = key[len(root) :].split("/")
        for depth, folder in enumerate(folders):
            is_iceberg = folder == METADATA and depth == len(folders) - 1 and _is_of_iceberg(name)
            if is_iceberg or folder == DELTA_LOG:
                prefix = root + "".join(f"{above}/" for above in folders[:depth])
                if is_iceberg or prefix not in found:
                    found[prefix] = ICEBERG if is_iceberg else DELTA
                break
    outer = ""
    for prefix in sorted(found):
        if outer in found and prefix != outer and prefix.startswith(outer):
            del found[prefix]
        else:
            outer = prefix
    return found


def explained(kind: str, inside: str, *, place: str) -> str:
    """Return why the files of a table are not read, and what to do.

    `inside` is the path of its folder in its source, `place` what `embed` takes, empty for what it cannot read there.
    """
    remedy = "copy it to a local folder and embed that"
    if place:
        remedy = f"embed the table itself (polyseme embed {place}; beside this source it is not refused)"
    if inside:
        remedy += f", or leave it out (--exclude {f'/{inside}/' if _PLAIN.fullmatch(inside) else 'and its path'})"
    return (
        f"this folder is a table of {TABLES[kind]}. No file of it is read by itself, since some hold rows that were "
        f"deleted or replaced; {remedy}"
    )


def _has_iceberg(folder: str) -> bool:
    try:
        with os.scandir(folder) as listing:
            return any(_is_of_iceberg(entry.name) for entry in listing)
    except OSError:
        return False


def _is_of_iceberg(name: str) -> bool:
    return name == "version-hint.text" or name.endswith((".metadata.json", ".metadata.json.gz"))
