"""`polyseme report`: a lake on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options import CatalogOption, LakeOption
from polyseme.flows.settings import lake_at
from polyseme.storage.errors import UsageError


def report(
    *,
    output: Annotated[Path, Parameter(alias="-o")] = Path("report.html"),
    lake: LakeOption = "lake",
    catalog_url: CatalogOption = None,
    words: str | None = None,
    title: str | None = None,
    timeout: float | None = None,
) -> None:
    """Write one HTML page about the lake: figures, coherence, words in several senses, where the vectors come from.

    The page holds everything it shows and asks nothing of the network. It quotes sentences of the corpus.

    Parameters
    ----------
    output
        The file to write.
    words
        Draw the senses of these words, e.g. bank,court; by default of the most polysemous ones.
    title
        The heading.
    timeout
        Stop any one question after so many seconds.
    """
    from polyseme.flows.display.lake_page import page
    from polyseme.storage.sql.connection import connect
    from polyseme.tasks.sql.execution import ask
    from polyseme.tasks.sql.functions import ModelFunctions

    functions, place = ModelFunctions(), lake_at(lake, catalog_url)
    chosen = [word.strip() for word in (words or "").split(",") if word.strip()]
    con = connect(place, functions=functions)
    try:
        html = page(
            lambda sql, **parameters: ask(con, sql, functions, timeout=timeout, **parameters),
            title=title or f"Lake {place.root.name}",
            words=chosen,
        )
    finally:
        con.close()
    try:
        output.write_text(html, "utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write {output} ({error.strerror}). Name a file in a folder that exists.") from error
    print(output)  # noqa: T201
