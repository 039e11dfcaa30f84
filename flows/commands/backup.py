"""`polyseme backup`: a copy of a lake that `polyseme restore --from` brings back."""

from __future__ import annotations

from dataclasses import asdict

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.running import Json
from polyseme.flows.display.output import write_json
from polyseme.flows.display.terminal import show


def backup(target: str, *, lake: LakeOptions = LakeOptions(), json: Json = False) -> None:
    """Copy the lake to TARGET as it is at one moment, while others read and write it.

    A second backup to the same place copies only what is new since. A backup is a lake itself: query it with --lake
    TARGET, check it with polyseme verify, bring it back with polyseme restore --from TARGET.

    Example: polyseme backup /mnt/backup/news --lake news

    Parameters
    ----------
    target
        An empty or new folder, an earlier backup of the same lake, or a URL such as s3://bucket/backup.
    """
    from polyseme.flows.display.progress_bar import counted
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.lake import Lake
    from polyseme.storage.maintenance.backup import backup as run

    place = Lake(target)
    with Catalog.open(lake.lake()) as catalog:
        total = sum(catalog.totals(e.encoding_id)["bytes"] for e in catalog.encodings())
        with counted("backing up", total) as advance:
            copied = run(catalog, place, progress=advance)
    if json:
        write_json({"target": str(place.root), **asdict(copied)})
        return
    show(f"{place.root} has version {copied.catalog_version} of the lake: {copied.in_words}")
