"""`polyseme report`: one HTML page about a lake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.running import Timeout
from polyseme.flows.display.terminal import show
from polyseme.storage.errors import UsageError

_TIMEOUT = "Give up if any one query takes longer than this many seconds, e.g. 30; by default never."


def report(
    *,
    output: Annotated[Path, Parameter(alias="-o")] = Path("report.html"),
    words: str | None = None,
    title: str | None = None,
    timeout: Annotated[Timeout, Parameter(help=_TIMEOUT)] = None,
    lake: LakeOptions = LakeOptions(),
) -> None:
    """Write one HTML page about the lake: figures, coherence, words in several senses, where the vectors come from.

    The page holds everything it shows and loads nothing from the network. It quotes sentences of the corpus. polyseme
    explore shows more, and --export writes it to files.

    Example: polyseme report -o lake.html --words bank,court

    Parameters
    ----------
    output
        File to write.
    words
        Show the senses of these words, separated by commas: bank,court. By default of the most polysemous ones.
    title
        Heading of the page; by default the name of the lake's folder.
    """
    from polyseme.flows.explorer import report as page
    from polyseme.flows.explorer.live_lake import LiveLake
    from polyseme.tasks.sql.functions import ModelFunctions

    place = lake.lake()
    chosen = [word.strip() for word in (words or "").split(",") if word.strip()]
    with LiveLake(place, ModelFunctions, timeout=timeout) as live:
        html = page.report(live, title=title or f"Lake {place.root.name}", words=chosen)
    try:
        output.write_text(html, "utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write {output} ({error.strerror}). Name a file in a folder that exists.") from error
    show(str(output))
