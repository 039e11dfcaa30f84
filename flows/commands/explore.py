"""`polyseme explore`: the lake in a browser."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.model import FunctionOptions
from polyseme.flows.display.terminal import note, show
from polyseme.storage.errors import UsageError
from polyseme.storage.wording import many

if TYPE_CHECKING:
    from polyseme.flows.explorer.export import Extent
    from polyseme.flows.explorer.live_lake import LiveLake

_TIMEOUT = "The most seconds that a page may take, e.g. 60."


def explore(
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open: Annotated[bool | None, Parameter(negative="--no-open")] = None,
    title: str | None = None,
    timeout: Annotated[float, Parameter(help=_TIMEOUT)] = 30,
    export: Path | None = None,
    page: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    depth: int = 1,
    most: int = 500,
    lake: LakeOptions = LakeOptions(),
    model: FunctionOptions = FunctionOptions(),
) -> None:
    """Look at the lake in a browser: documents and their coherence, words and their senses, SQL.

    Serves pages on this machine until Ctrl-C. They load nothing from the network, write nothing to the lake, and
    follow it as it changes. Each has an address that can be kept, and the same address with .json, .csv or .parquet is
    its data.

    Example: polyseme explore --lake ./lake

    Example: polyseme explore --host 0.0.0.0 --port 9000

    Example: polyseme explore --export site --page / --page "/word?w=bank"

    Parameters
    ----------
    host
        The address to listen on. Other machines reach 0.0.0.0; then the address that is printed has a token, and only
        who has it may look.
    port
        The port to listen on, 0 for any that is free; by default 8787, or a free one if that is taken.
    open
        Open a browser; by default if this is a terminal.
    title
        The name that pages have; by default that of the lake's folder.
    export
        Write pages into this folder instead, which needs no server to be looked at. It quotes sentences of the corpus.
    page
        A page to export, by its address behind the port; may be given several times. By default all in the menu
        that need no server; drift if documents have metadata to divide them by, compare if it has two sides.
    depth
        How many links from these pages are followed; 0 for none.
    most
        The most pages that are exported.
    """
    from polyseme.flows.explorer.export import Extent
    from polyseme.flows.explorer.live_lake import LiveLake
    from polyseme.flows.explorer.server import bound, serve
    from polyseme.flows.signals.ending import survive
    from polyseme.storage.catalog import Catalog

    if timeout <= 0:
        raise UsageError(f"--timeout is in seconds and must be above 0, got {timeout:g}.")
    place = lake.lake()
    with Catalog.open(place):
        pass  # or an error here, and not on the first page

    name = title or f"Lake {place.root.name}"
    if export is not None:
        with LiveLake(place, model.functions) as live:
            _export(live, export, page, title=name, extent=Extent(depth=depth, most=most))
        return

    def ready(address: str) -> None:
        show(address)
        note("Ctrl-C ends it.")
        if sys.stdout.isatty() if open is None else open:
            webbrowser.open(address)

    with bound(host, port) as listening, LiveLake(place, model.functions, timeout=timeout) as live:
        try:
            serve(live, listening, host=host, title=name, ready=ready)
        except KeyboardInterrupt as interrupt:
            survive(interrupt)


def _export(live: LiveLake, folder: Path, pages: tuple[str, ...], *, title: str, extent: Extent) -> None:
    from polyseme.flows.explorer.export import address_of, default_pages, export

    wanted = [address_of(page) for page in pages or default_pages(live)]
    on_terminal = sys.stderr.isatty()

    def progress(done: int, known: int) -> None:
        if on_terminal:
            print(f"\rexporting: {done:,} of about {known:,} steps ", end="", file=sys.stderr, flush=True)  # noqa: T201

    written, left = export(live, folder, wanted, title=title, extent=extent, progress=progress)
    if on_terminal:
        note("")
    show(str(folder / "index.html") if ("overview", ()) in wanted else str(folder))
    more = f"; links lead to {many(left, 'pages')} more, which --most {written + left} would write" if left else ""
    note(f"{many(written, 'pages')} written{more}.")
