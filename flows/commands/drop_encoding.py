"""`polyseme drop-encoding`: the vectors and documents of one encoding, removed from a lake that has others."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.running import Json
from polyseme.flows.display.output import write_json
from polyseme.flows.display.terminal import show
from polyseme.storage.wording import many

Exit = int


def drop_encoding(
    name: str,
    /,
    *,
    yes: Annotated[bool, Parameter(negative="", alias="-y")] = False,
    lake: LakeOptions = LakeOptions(),
    json: Json = False,
) -> Exit:
    """Remove one encoding of the lake: its documents, vectors and topics. Other encodings stay as they are.

    Without --yes it says what would go, and changes nothing. What is dropped cannot be restored: embed or backfill
    makes it anew. Its files go with polyseme vacuum, 24 hours later, for readers that have them open.

    Refused for the encoding that views without a suffix show (polyseme status --default chooses another), and while a
    run encodes into it.

    Example: polyseme drop-encoding polyseme_mini --yes

    Parameters
    ----------
    name
        The encoding, as polyseme status names it.
    yes
        Remove it.
    """
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.database.dropped_encodings import require_droppable
    from polyseme.storage.sql.publish import publish

    with Catalog.open(lake.lake()) as catalog:
        with catalog.writing() as connection:
            encoding_id = require_droppable(connection, name)
        had = catalog.totals(encoding_id)
        if yes:
            catalog.drop_encoding(name)
            publish(catalog)
    size = {key: had[key] for key in ("documents", "tokens", "parts", "bytes")}
    if json:
        write_json({"encoding": name, "encoding_id": encoding_id, "dropped": yes, **size})
        return 0
    what = (
        f"{name}: {many(had['documents'], 'documents')}, {had['bytes'] / 1e6:,.1f} MB in {many(had['parts'], 'parts')}"
    )
    if yes:
        show(f"Dropped {what}. polyseme vacuum removes the files once no reader needs them.")
    else:
        show(f"Would drop {what}. Nothing was changed; --yes drops it.")
    return 0
