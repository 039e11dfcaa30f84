"""`polyseme senses`: the senses in which a word is used, each with its typical contexts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.lemmas import ByLemma
from polyseme.flows.commands.options.running import Json, Timeout
from polyseme.flows.display.lemmas import without_lemma
from polyseme.flows.display.output import write_json
from polyseme.flows.display.sense_map import SENSES, draw_sense_map, summarise
from polyseme.flows.display.terminal import show
from polyseme.storage.errors import UsageError
from polyseme.storage.wording import many


def senses(
    word: str,
    *,
    k: Annotated[int, Parameter(alias="-k")] = 5,
    by_lemma: ByLemma = False,
    plot: Path | None = None,
    timeout: Timeout = None,
    lake: LakeOptions = LakeOptions(),
    json: Json = False,
) -> None:
    """Group the occurrences of WORD by sense, and show the most typical of each in their sentences.

    The number of senses is the one whose grouping has the best mean silhouette, less a small price for more than two;
    below about 0.15 the word has one sense.

    Example: polyseme senses bank -k 3 --plot bank.svg

    Parameters
    ----------
    word
        A word, e.g. bank, or a phrase, e.g. "supreme court"; upper and lower case are the same.
    k
        Occurrences to show of each sense.
    plot
        Draw the occurrences as a map into this .svg or .html file.
    """
    from polyseme.tasks.sql.execution import Queries
    from polyseme.tasks.sql.functions import ModelFunctions

    if k < 1:
        raise UsageError(f"-k must be at least 1, got {k}.")
    with Queries(lake.lake(), ModelFunctions()) as queries:
        found = queries.ask(SENSES, timeout=timeout, word=word, by_lemma=by_lemma)
        why = without_lemma(queries, word, timeout=timeout) if by_lemma and not found else ""
    groups = summarise(word, found, k)
    if plot is not None:
        from polyseme.flows.display.svg import write_picture

        write_picture(draw_sense_map(word, found, groups), plot)
    if json:
        write_json(groups)
    elif not groups:
        show(why or f"'{word}' does not occur in the lake.")
    else:
        show("\n\n".join(_block(group, word) for group in groups))


def _block(group: dict[str, Any], word: str) -> str:
    near = f"; near it: {', '.join(group['neighbours'])}" if group["neighbours"] else ""
    clear = "" if group["silhouette"] is None else f", silhouette {group['silhouette']:.2f}"
    lines = [f"{word}, sense {group['sense']}: {many(group['size'], 'occurrences')}{clear}{near}"]
    for row in group["occurrences"]:
        before, after = " ".join(row["text_before"].split()), " ".join(row["text_after"].split())
        space = " " if row["text_before"][-1:].isspace() else ""
        following = " " if row["text_after"][:1].isspace() else ""
        lines.append(
            f"  {row['typicality'] + 0.0:5.2f} {(before + space)[-44:]:>44}[{row['word']}]{(following + after)[:44]}"
        )
    return "\n".join(lines)
