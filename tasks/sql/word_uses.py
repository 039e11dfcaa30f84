"""The uses of a word in slices, with their sentences and senses: what annotators are shown. Knows no file format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polyseme.tasks.analysis.slices import cut
from polyseme.tasks.sql.execution import Queries

_USES = """
WITH numbered AS (
    SELECT o.*, s.value, row_number() OVER (ORDER BY o.doc_id, o.sentence_index, o.word_index) AS n
    FROM occurrences($word, by_lemma := $by_lemma) AS o JOIN sliced AS s ON s.doc_id = o.doc_id
    WHERE s.value IS NOT NULL
), grouped AS (
    SELECT cluster_senses(list(embedding ORDER BY n)) AS found FROM numbered
), sense AS (
    SELECT unnest(found, recursive := true), generate_subscripts(found, 1) AS n FROM grouped
)
SELECT o.doc_id, o.sentence_index, o.word_index, o.value, sense.sense, sense.typicality,
       o.char_start - here.char_start AS word_start, o.char_end - here.char_start AS word_end,
       here.text, coalesce(before.text || ' ', '') AS text_before, coalesce(' ' || after.text, '') AS text_after
FROM numbered AS o
JOIN sense ON sense.n = o.n
JOIN sentences AS here ON here.doc_id = o.doc_id AND here.sentence_index = o.sentence_index
LEFT JOIN sentences AS before ON before.doc_id = o.doc_id AND before.sentence_index = o.sentence_index - 1
LEFT JOIN sentences AS after ON after.doc_id = o.doc_id AND after.sentence_index = o.sentence_index + 1
ORDER BY o.n"""


@dataclass(frozen=True, slots=True)
class WordUse:
    """One use: what names it, its slice from 0, and its sentence between its neighbours, with places as characters.

    `sentence` and `word` are half-open ranges in `context`; `value` is what the slice was made of.
    """

    identifier: str
    slice_index: int
    slice: str
    value: str
    context: str
    sentence: tuple[int, int]
    word: tuple[int, int]
    sense: int
    typicality: float


def uses_of(
    queries: Queries, word: str, *, bins: str, names: dict[str, str], by_lemma: bool, timeout: float | None
) -> Sequence[WordUse]:
    """Return the uses of a word in the slices of the view `sliced`, in the order of the corpus.

    Senses are those of `drift_by`: found among the same uses in the same order. `names` renames slices.
    """
    rows = queries.ask(_USES, timeout=timeout, word=word, by_lemma=by_lemma)
    cuts = cut([row["value"] for row in rows], bins)
    found = []
    for row, of in zip(rows, cuts.of.tolist(), strict=True):
        start = len(row["text_before"])
        found.append(
            WordUse(
                f"{row['doc_id']}-{row['sentence_index']}-{row['word_index']}",
                of,
                names.get(cuts.names[of], cuts.names[of]),
                row["value"],
                row["text_before"] + row["text"] + row["text_after"],
                (start, start + len(row["text"])),
                (start + row["word_start"], start + row["word_end"]),
                row["sense"],
                row["typicality"],
            )
        )
    return found
