"""`polyseme senses`: how many senses a word is used in, each with its typical contexts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from flows.commands.options import CatalogOption, LakeOption
from flows.output import write_json
from flows.settings import lake_at
from storage.errors import UsageError

_WORDS = re.compile(r"[^\W\d_]{4,}")
"""Shorter ones are mostly grammar."""
SENSES = """
SELECT sense.*, s.text AS sentence, s.char_start AS sentence_start, d.uri
FROM senses($word) AS sense
JOIN sentences AS s ON s.doc_id = sense.doc_id AND s.sentence_index = sense.sentence_index
JOIN documents AS d ON d.doc_id = sense.doc_id
ORDER BY sense.sense, sense.rank"""


def senses(
    word: str,
    *,
    k: Annotated[int, Parameter(alias="-k")] = 5,
    lake: LakeOption = "lake",
    catalog_url: CatalogOption = None,
    plot: Path | None = None,
    timeout: float | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Group the occurrences of WORD by sense, and show the most typical of each in their sentences.

    The number of senses is the one whose grouping has the best mean silhouette; below 0.1 the word has one sense.

    Parameters
    ----------
    word
        A word, in any case.
    k
        How many occurrences of each sense to show.
    plot
        Draw the occurrences as a map into this .svg or .html file.
    timeout
        Stop after so many seconds.
    json
        Write JSON.
    """
    from flows.statements import ask
    from storage.query import connect
    from tasks.functions import ModelFunctions

    if k < 1:
        raise UsageError(f"-k must be at least 1, got {k}.")
    functions = ModelFunctions()
    con = connect(lake_at(lake, catalog_url), functions=functions)
    try:
        found = ask(con, SENSES, functions, timeout=timeout, word=word)
    finally:
        con.close()
    groups = summarise(word, found, k)
    if plot is not None:
        from flows.plots import write_picture

        write_picture(picture(word, found, groups), plot)
    if json:
        write_json(groups)
    elif not groups:
        print(f"'{word}' does not occur in the lake.")  # noqa: T201
    else:
        print("\n\n".join(_block(group, word) for group in groups))  # noqa: T201


def summarise(word: str, found: list[dict[str, Any]], k: int) -> list[dict[str, Any]]:
    """Return a record for each sense: size, silhouette of the grouping, neighbours, typical occurrences."""
    from tasks.senses import distinguishing

    texts = [[w for w in _WORDS.findall(row["sentence"].lower()) if w != word.lower()] for row in found]
    near = distinguishing(texts, [row["sense"] for row in found], most=8)
    groups = []
    for sense in sorted(near):
        rows = [row for row in found if row["sense"] == sense]
        shown = [
            {name: row[name] for name in ("text_before", "word", "text_after", "typicality", "uri", "sentence_index")}
            for row in rows[:k]
        ]
        groups.append(
            {"sense": sense, "size": rows[0]["size"], "silhouette": rows[0]["silhouette"], "neighbours": near[sense],
             "occurrences": shown}
        )  # fmt: skip
    return groups


def picture(word: str, found: list[dict[str, Any]], groups: list[dict[str, Any]]) -> str:
    """Return the sense map as SVG. Raises UsageError where there is nothing to draw."""
    from flows.plots import Dot, scatter

    if not found:
        raise UsageError(f"'{word}' does not occur in the lake, so there is nothing to draw.")
    dots = [
        Dot(row["x"], row["y"], row["sense"], f"{row['text_before']}»{row['word']}«{row['text_after']}")
        for row in found
    ]
    names = [f"sense {g['sense']} ({g['size']}): {', '.join(g['neighbours']) or '–'}" for g in groups]
    return scatter(dots, names, title=f"{word}: {len(found)} occurrences")


def _block(group: dict[str, Any], word: str) -> str:
    near = f"; near it: {', '.join(group['neighbours'])}" if group["neighbours"] else ""
    clear = "" if group["silhouette"] is None else f", silhouette {group['silhouette']:.2f}"
    lines = [f"{word}, sense {group['sense']}: {group['size']} occurrences{clear}{near}"]
    for row in group["occurrences"]:
        before, after = " ".join(row["text_before"].split()), " ".join(row["text_after"].split())
        space = " " if row["text_before"][-1:].isspace() else ""
        following = " " if row["text_after"][:1].isspace() else ""
        lines.append(
            f"  {row['typicality']:5.2f} {(before + space)[-44:]:>44}[{row['word']}]{(following + after)[:44]}"
        )
    return "\n".join(lines)
