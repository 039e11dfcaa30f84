"""`polyseme senses`: the senses in which a word is used, each with its typical contexts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.running import Json, Timeout
from polyseme.flows.display.output import write_json
from polyseme.flows.display.sense_map import SENSES, draw_sense_map, summarise
from polyseme.flows.display.terminal import show
from polyseme.storage.errors import UsageError

_ADD_LEMMAS = (
    "`polyseme backfill --lemma` adds lemmas, without running the model; documents in languages without a dictionary "
    "have none (docs/languages.md)."
)
_LEMMAS = "SELECT DISTINCT lemma FROM words WHERE word_lower = word_key($word) ORDER BY lemma"


def senses(
    word: str,
    *,
    k: Annotated[int, Parameter(alias="-k")] = 5,
    by_lemma: Annotated[bool, Parameter(negative="")] = False,
    plot: Path | None = None,
    timeout: Timeout = None,
    lake: LakeOptions = LakeOptions(),
    json: Json = False,
) -> None:
    """Group the occurrences of WORD by sense, and show the most typical of each in their sentences.

    The number of senses is the one whose grouping has the best mean silhouette; below 0.1 the word has one sense.

    Example: polyseme senses bank -k 3 --plot bank.svg

    Parameters
    ----------
    word
        A word, e.g. bank, or a phrase, e.g. "supreme court"; upper and lower case are the same.
    k
        Occurrences to show of each sense.
    by_lemma
        Take WORD as a lemma, and all its forms: go is go, goes, went. For documents that were embedded with --lemma.
    plot
        Draw the occurrences as a map into this .svg or .html file.
    """
    from polyseme.tasks.sql.execution import Queries
    from polyseme.tasks.sql.functions import ModelFunctions

    if k < 1:
        raise UsageError(f"-k must be at least 1, got {k}.")
    with Queries(lake.lake(), ModelFunctions()) as queries:
        found = queries.ask(SENSES, timeout=timeout, word=word, by_lemma=by_lemma)
        lemmas = queries.ask(_LEMMAS, timeout=timeout, word=word) if by_lemma and not found else []
    groups = summarise(word, found, k)
    if plot is not None:
        from polyseme.flows.display.svg import write_picture

        write_picture(draw_sense_map(word, found, groups), plot)
    if json:
        write_json(groups)
    elif not groups:
        show(
            _not_found(word, [row["lemma"] for row in lemmas]) if by_lemma else f"'{word}' does not occur in the lake."
        )
    else:
        show("\n\n".join(_block(group, word) for group in groups))


def _not_found(word: str, lemmas: list[str | None]) -> str:
    """Return what to say of a lemma that no word has. `lemmas` are those of the word itself."""
    if not lemmas:
        return f"'{word}' is the lemma of no word in the lake, and no word in it. {_ADD_LEMMAS}"
    if known := [lemma for lemma in lemmas if lemma is not None]:
        return f"'{word}' is the lemma of no word in the lake. As a word it has the lemma {' or '.join(known)}."
    return f"'{word}' is in the lake without a lemma. {_ADD_LEMMAS}"


def _block(group: dict[str, Any], word: str) -> str:
    near = f"; near it: {', '.join(group['neighbours'])}" if group["neighbours"] else ""
    clear = "" if group["silhouette"] is None else f", silhouette {group['silhouette']:.2f}"
    lines = [f"{word}, sense {group['sense']}: {group['size']} occurrences{clear}{near}"]
    for row in group["occurrences"]:
        before, after = " ".join(row["text_before"].split()), " ".join(row["text_after"].split())
        space = " " if row["text_before"][-1:].isspace() else ""
        following = " " if row["text_after"][:1].isspace() else ""
        lines.append(
            f"  {row['typicality'] + 0.0:5.2f} {(before + space)[-44:]:>44}[{row['word']}]{(following + after)[:44]}"
        )
    return "\n".join(lines)
