"""`polyseme explore`: the lake in a browser."""

from __future__ import annotations

import sys
import webbrowser
from typing import Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.model import FunctionOptions
from polyseme.flows.display.terminal import note, show
from polyseme.storage.errors import UsageError

_TIMEOUT = "The most seconds that a page may take, e.g. 60."


def explore(
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open: Annotated[bool | None, Parameter(negative="--no-open")] = None,
    title: str | None = None,
    timeout: Annotated[float, Parameter(help=_TIMEOUT)] = 30,
    lake: LakeOptions = LakeOptions(),
    model: FunctionOptions = FunctionOptions(),
) -> None:
    """Look at the lake in a browser: documents and their coherence, words and their senses, SQL.

    Serves pages on this machine until Ctrl-C. They load nothing from the network, write nothing, and follow the lake as
    it changes. Each has an address that can be kept, and the same address with .json, .csv or .parquet is its data.

    Example: polyseme explore --lake ./lake

    Example: polyseme explore --host 0.0.0.0 --port 9000

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
    """
    from polyseme.flows.explorer.live_lake import LiveLake
    from polyseme.flows.explorer.server import bound, serve
    from polyseme.flows.signals.ending import survive
    from polyseme.storage.catalog import Catalog

    if timeout <= 0:
        raise UsageError(f"--timeout is in seconds and must be above 0, got {timeout:g}.")
    place = lake.lake()
    with Catalog.open(place):
        pass  # or an error here, and not on the first page

    def ready(address: str) -> None:
        show(address)
        note("Ctrl-C ends it.")
        if sys.stdout.isatty() if open is None else open:
            webbrowser.open(address)

    with bound(host, port) as listening, LiveLake(place, model.functions, timeout=timeout) as live:
        try:
            serve(live, listening, host=host, title=title or f"Lake {place.root.name}", ready=ready)
        except KeyboardInterrupt as interrupt:
            survive(interrupt)
