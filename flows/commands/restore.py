"""`polyseme restore`: deleted documents, brought back while their rows are in the lake, or a lake from its backup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from shlex import quote
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.running import Json
from polyseme.flows.display.output import write_json
from polyseme.flows.display.terminal import show
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.wording import many

if TYPE_CHECKING:
    from polyseme.storage.database.deletions import DeletedDocument
    from polyseme.storage.maintenance.restoring import Restored


def restore(
    *,
    run: str | None = None,
    uri: str | None = None,
    doc_id: str | None = None,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    replace: Annotated[bool, Parameter(negative="")] = False,
    lake: LakeOptions = LakeOptions(),
    json: Json = False,
) -> None:
    """Bring back deleted documents, with the rows they had, in every encoding; or, with --from, a lake from its backup.

    Lists the deleted documents if none are selected. They can be brought back until polyseme vacuum runs, 24 hours or
    more after the deletion. A document that its source still lacks is deleted again by the next run: bring the source
    back, or embed with --keep-missing.

    Example: polyseme restore --run 3f9a0c1d2b4e

    Example: polyseme restore --from /mnt/backup/news --lake news

    Parameters
    ----------
    run
        Restore what this run deleted; polyseme status lists the runs.
    uri
        Restore documents whose address begins so, e.g. file:///data/news/.
    doc_id
        Restore the document with this id.
    from_
        Make the lake what this backup has, a folder or URL that polyseme backup has written.
    replace
        With --from: also a lake that has documents. What was committed since the backup is lost. End its runs first.
    """
    chosen = any(value is not None for value in (run, uri, doc_id))
    if from_ is not None:
        if chosen:
            raise UsageError("--from brings back a whole lake; --run, --uri and --doc-id select documents. Give one.")
        _restore_lake(from_, lake, replace=replace, json=json)
        return
    if replace:
        raise UsageError("--replace belongs to --from BACKUP.")
    from polyseme.flows.runs.maintenance import restore as run_restore
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.maintenance import restoring

    with Catalog.open(lake.lake()) as catalog:
        found = restoring.deleted_documents(catalog, run_id=run, uri_prefix=uri, doc_id=doc_id)
        if not chosen:
            _list(found, lake.root, json=json)
            return
        if not found:
            raise PolysemeError(
                "No deleted document that can be restored is of that run, address or id: none was deleted, or vacuum "
                f"has ended the time for it. List what there is: polyseme restore --lake {quote(lake.root)}"
            )
        done = run_restore(catalog, found)
    if json:
        write_json({"restored": [asdict(d) for d in done.documents], "gone": [asdict(d) for d in done.gone]})
    else:
        _print(done)


def _restore_lake(source: str, lake: LakeOptions, *, replace: bool, json: bool) -> None:
    from polyseme.flows.display.progress_bar import counted
    from polyseme.storage.lake import Lake
    from polyseme.storage.maintenance import backup

    kept, place = Lake(source), lake.lake()
    with counted("restoring", backup.size(kept)) as advance:
        done = backup.restore(kept, place, replace=replace, progress=advance)
    if json:
        write_json({"from": str(kept.root), **asdict(done)})
        return
    show(f"{place.root} is what {kept.root} has: {done.in_words} Embed its sources to bring it up to date.")


def _list(found: Sequence[DeletedDocument], lake: str, *, json: bool) -> None:
    if json:
        write_json({"deleted": [asdict(document) for document in found]})
        return
    if not found:
        show("No deleted document can be restored.")
    for (run_id, deleted_at), some in groupby(found, key=lambda d: (d.run_id, d.deleted_at[:19])):
        uris = {d.doc_id: d.uri for d in some}
        command = f"polyseme restore --run {run_id} --lake {quote(lake)}"
        show(f"{deleted_at}  {many(len(uris), 'documents')}, such as {next(iter(uris.values()))}: {command}")


def _print(done: Restored) -> None:
    documents, gone = ({d.doc_id for d in some} for some in (done.documents, done.gone))
    show(f"{many(len(documents), 'documents')} restored.")
    if gone:
        show(
            f"{len(gone):,} cannot be restored: their rows were in parts that are no longer in the lake. Embed their "
            f"sources again. Such as {min(gone)}"
        )
