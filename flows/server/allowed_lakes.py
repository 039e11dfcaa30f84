"""Allowed lakes: which lakes a flow may open because an event, which anybody can send, names them.

Those that `polyseme.toml` or the environment configures, and those in the folders of its `allowed_lakes`. Opens none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from polyseme.flows.received_events import check_address
from polyseme.flows.server.corpora import lakes_configured
from polyseme.flows.settings import CONFIG_FILE, allowed_lakes, configured_lakes, lake_at
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake


def allowed_lake(address: object) -> Lake:
    """Return the lake at an address from an event, with the catalog that is configured for it.

    Raises UsageError for one that nobody configured: opening it could run what a stranger put there.
    """
    wanted = Lake(check_address(address))
    for root, catalog in _configured():
        if Lake(root).root == wanted.root:
            return lake_at(str(wanted.root), catalog)
    if any(_is_in(wanted, Lake(place)) for place in allowed_lakes()):
        return lake_at(str(wanted.root))
    raise UsageError(
        f"An event names the lake {str(wanted.root)!a}, which is not configured here, so it was not opened. If it is "
        f'yours, put it into {CONFIG_FILE}: as the lake of a corpus, or with allowed_lakes = ["FOLDER"], which allows '
        "every lake in that folder."
    )


def _configured() -> Iterator[tuple[str, str | None]]:
    yield from lakes_configured().items()
    yield from configured_lakes()


def _is_in(lake: Lake, place: Lake) -> bool:
    if isinstance(lake.root, Path) and isinstance(place.root, Path):
        return lake.root.is_relative_to(place.root)
    inside = str(lake.root).startswith(f"{place.root}/") or str(lake.root) == str(place.root)
    return type(lake.root) is type(place.root) and inside and ".." not in str(lake.root).split(os.sep)
