"""A word usage graph as files: the uses of a word and their senses, as DURel and the tools of DWUG read them.

    FOLDER/data/LEMMA/uses.csv         one use a row, with the characters of the word in its context
    FOLDER/data/LEMMA/judgments.csv    pairs of uses: 4 for the same sense, 1 for different ones
    FOLDER/clusters/polyseme/LEMMA.csv the sense of each use, from 0

Tab-separated, never quoted, one line a row (https://github.com/Garrafao/WUGs). Judgments are made from senses, each use
with the most typical use of every sense; people's take their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from polyseme.storage.errors import UsageError
from polyseme.tasks.sql.word_uses import WordUse

_USES = ("lemma", "pos", "date", "grouping", "identifier", "description", "context", "indexes_target_token",
         "indexes_target_sentence")  # fmt: skip
_JUDGMENTS = ("identifier1", "identifier2", "annotator", "judgment", "comment", "lemma")
_CLUSTERS = ("identifier", "cluster")
_ANNOTATOR, _SAME, _DIFFERENT, _NOTHING = "polyseme", "4", "1", " "
_BREAK = re.compile(r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_DATE = re.compile(r"\d{3,4}(-\d\d){0,2}")


def write_usage_graph(word: str, uses: Sequence[WordUse], folder: Path) -> list[Path]:
    """Write the files of one word and return their paths. Raises UsageError if a folder cannot be made or written."""
    lemma = re.sub(r"[\s/\\:.]+", "_", word.strip()) or "_"
    senses = [(_one_line(use.identifier), str(use.sense - 1)) for use in uses]
    rows: dict[Path, Sequence[Sequence[str]]] = {
        folder / "data" / lemma / "uses.csv": [_USES, *(_use(lemma, use) for use in uses)],
        folder / "data" / lemma / "judgments.csv": [_JUDGMENTS, *_judgments(lemma, uses)],
        folder / "clusters" / "polyseme" / f"{lemma}.csv": [_CLUSTERS, *senses],
    }
    try:
        for path, lines in rows.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            text = "".join("\t".join(line) + "\n" for line in lines)
            path.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise UsageError(
            f"Cannot write into {folder} ({error.strerror}). Name a folder that can be written."
        ) from error
    return list(rows)


def _use(lemma: str, use: WordUse) -> tuple[str, ...]:
    date = use.value if _DATE.fullmatch(use.value) else _NOTHING
    return (
        lemma, _NOTHING, date, str(use.slice_index + 1), _one_line(use.identifier), _one_line(use.slice),
        _one_line(use.context), f"{use.word[0]}:{use.word[1]}", f"{use.sentence[0]}:{use.sentence[1]}",
    )  # fmt: skip


def _judgments(lemma: str, uses: Sequence[WordUse]) -> Iterable[tuple[str, ...]]:
    typical: dict[int, WordUse] = {}
    for use in sorted(uses, key=lambda use: -use.typicality):
        typical.setdefault(use.sense, use)
    done = set()
    for use in uses:
        for sense, other in sorted(typical.items()):
            pair = frozenset((use.identifier, other.identifier))
            if len(pair) == 2 and pair not in done:
                done.add(pair)
                judgment = _SAME if use.sense == sense else _DIFFERENT
                names = (_one_line(use.identifier), _one_line(other.identifier))
                yield (*names, _ANNOTATOR, judgment, _NOTHING, lemma)


def _one_line(text: str) -> str:
    """Return a text of the same length without tabs and line breaks, so that places in it stay as they are."""
    return _BREAK.sub(" ", text)
