"""One sense of a word: its occurrences, the most typical first, and the words that set its sentences apart."""

from __future__ import annotations

import pyarrow.compute as pc

from polyseme.flows.display.word_senses import summarise
from polyseme.flows.explorer.page import AbsentError, Asked, Content, Page, Parameters

A_PAGE = 100
_SENSES = """
SELECT n.sense, n.size, n.rank, n.typicality, n.silhouette, n.text_before, n.word, n.text_after, n.doc_id, n.title,
       d.uri, n.sentence_index, n.word_index, n.text_before || n.word || n.text_after AS sentence
FROM senses($word, by_lemma := $by_lemma) AS n JOIN documents AS d ON d.doc_id = n.doc_id ORDER BY n.sense, n.rank"""


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return one sense. Raises AbsentError if the word does not have it."""
    word, number = parameters.required("w", "word"), parameters.number("n", 1, least=1)
    page = parameters.number("page", 1, least=1)
    found = lake.ask(_SENSES, word=word, by_lemma=parameters.text("lemma") == "1")
    groups = {group["sense"]: group for group in summarise(word, found.to_pylist(), 0)}
    if number not in groups:
        raise AbsentError(f"{word[:100]!r} has {len(groups)} senses in this lake, and none is number {number}.")
    own = found.filter(pc.equal(found["sense"], number))
    return Content(
        f"{word}, sense {number}",
        {"occurrences": own.drop_columns(["sentence"])},
        {"word": word, "lemma": parameters.text("lemma") == "1", "number": number, "group": groups[number],
         "others": sorted(groups), "shown": own.slice(A_PAGE * (page - 1), A_PAGE).to_pylist(), "page": page,
         "pages": -(-own.num_rows // A_PAGE)},
    )  # fmt: skip


PAGE = Page("sense", load)
