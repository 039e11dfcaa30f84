"""`polyseme senses`: the senses in which a word is used, each with its typical contexts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.lemmas import ByLemma
from polyseme.flows.commands.options.on_demand import Encode
from polyseme.flows.commands.options.running import Json, Timeout
from polyseme.flows.display.not_found import not_found
from polyseme.flows.display.output import write_json
from polyseme.flows.display.terminal import show, terminal_width
from polyseme.flows.display.word_senses import SENSES, summarise
from polyseme.storage.errors import UsageError
from polyseme.storage.wording import many

_LEAST_CONTEXT, _CONTEXT, _NO_TERMINAL = 12, 44, 200
"""Characters on each side of a word, and the width of a line where there is no terminal."""


def senses(
    word: str,
    *,
    k: Annotated[int, Parameter(alias="-k")] = 5,
    by_lemma: ByLemma = False,
    encode: Encode = False,
    plot: Path | None = None,
    timeout: Timeout = None,
    lake: LakeOptions = LakeOptions(),
    json: Json = False,
) -> int:
    """Group the occurrences of WORD by sense, and show the most typical of each in their sentences.

    The number of senses is the one whose grouping has the best mean silhouette, less a small price for more than two;
    below about 0.15 the word has one sense. Exit code 1 if it does not occur; stderr says why.

    Example: polyseme senses bank -k 3 --plot bank.svg

    Example: polyseme senses "supreme court" --encode

    Parameters
    ----------
    word
        A word, e.g. bank, or a phrase, e.g. "supreme court"; upper and lower case are the same.
    k
        Occurrences to show of each sense.
    plot
        Draw the occurrences as a map into this file: .svg, .png or .pdf (pip install 'polyseme[plot]'), or .html.
    """
    from polyseme.flows.commands.on_demand import encode_if_lacking, note_what_is_missing, why_absent
    from polyseme.flows.pictures.picture import check_picture, write_picture
    from polyseme.tasks.sql.execution import Queries
    from polyseme.tasks.sql.functions import ModelFunctions

    if k < 1:
        raise UsageError(f"-k must be at least 1, got {k}.")
    check_picture(plot)
    place = lake.lake()
    if encode:
        with Queries(place, ModelFunctions()) as queries:
            encode_if_lacking(queries, place, word, by_lemma=by_lemma, timeout=timeout)
    with Queries(place, ModelFunctions()) as queries:
        found = queries.ask(SENSES, timeout=timeout, word=word, by_lemma=by_lemma)
        why = "" if found else why_absent(queries, place, word, by_lemma=by_lemma, timeout=timeout)
        if found:
            note_what_is_missing(queries, place, word, by_lemma=by_lemma, timeout=timeout)
    if not found:
        return not_found(why, "json" if json else "table")
    groups = summarise(word, found, k)
    if plot is not None:
        from polyseme.flows.pictures.sense_map import sense_map

        write_picture(sense_map(word, found, groups), plot)
    if json:
        write_json(groups)
    else:
        show("\n\n".join(_block(group, word) for group in groups))
    return 0


def _block(group: dict[str, Any], word: str) -> str:
    near = f"; near it: {', '.join(group['neighbours'])}" if group["neighbours"] else ""
    clear = "" if group["silhouette"] is None else f", silhouette {group['silhouette']:.2f}"
    lines = [f"{word}, sense {group['sense']}: {many(group['size'], 'occurrences')}{clear}{near}"]
    for row in group["occurrences"]:
        side = max(_LEAST_CONTEXT, min(_CONTEXT, ((terminal_width() or _NO_TERMINAL) - len(row["word"]) - 10) // 2))
        before, after = " ".join(row["text_before"].split()), " ".join(row["text_after"].split())
        space = " " if row["text_before"][-1:].isspace() else ""
        following = " " if row["text_after"][:1].isspace() else ""
        left, right = (before + space)[-side:], (following + after)[:side]
        lines.append(f"  {row['typicality'] + 0.0:5.2f} {left:>{side}}[{row['word']}]{right}")
    return "\n".join(lines)
