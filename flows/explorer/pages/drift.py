"""Change of meaning: a word in slices of the corpus by a key of the metadata, with the senses that each slice uses."""

from __future__ import annotations

import pyarrow as pa

from polyseme.flows.explorer.page import AbsentError, Asked, Content, Page, Parameters
from polyseme.flows.explorer.pages.facets import keys, path_of

BINS = ("auto", "values", "year", "decade", "century", "2", "3", "5", "10")
_PERMUTATIONS = 199
_SLICES = """
FROM drift_by(
    $word, documents.metadata->>$path, bins := $bins, by_lemma := $by_lemma, permutations := {permutations}
)"""


_WORDS = r"""
WITH sliced AS (SELECT doc_id, count(*) OVER () AS n FROM documents WHERE metadata->>$path IS NOT NULL), counted AS (
    SELECT word_lower AS word, count(*) AS occurrences, count(DISTINCT doc_id) AS documents, any_value(n) AS n
    FROM words JOIN sliced USING (doc_id) WHERE word_lower SIMILAR TO '\p{L}{5,}' GROUP BY ALL
)
SELECT word, occurrences, documents FROM counted WHERE documents BETWEEN 3 AND 0.7 * n
ORDER BY occurrences * ln(n / documents) DESC, word LIMIT 5"""
"""Words to begin with: frequent, and not in all of the documents (tf-idf), as those of grammar are."""

_NO_WORDS = pa.table({"word": pa.array([], pa.string())})


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return the slices, or words to ask for. Raises AbsentError if the word is in none."""
    word, by_lemma = parameters.text("w"), parameters.text("lemma") == "1"
    known = keys(lake)
    by = parameters.text("by", known[0] if known else "")
    if not word:
        words = lake.ask(_WORDS, path=path_of(by)) if by else _NO_WORDS
        return Content("Drift", {"words": words}, {"word": "", "lemma": by_lemma, "by": by, "keys": known})
    bins = parameters.choice("bins", BINS)
    if not by:
        raise AbsentError("Documents of this lake have no metadata that they could be divided by.")
    query = _SLICES.format(permutations=_PERMUTATIONS)
    slices = lake.ask(query, word=word, by_lemma=by_lemma, path=path_of(by), bins=bins)
    rows = slices.to_pylist()
    if not rows:
        raise AbsentError(f"{word[:100]!r} occurs in no document that has a value of {by[:100]}.")
    shares = [
        {"slice": row["slice"], "sense": number, "share": share}
        for row in rows
        for number, share in enumerate(row["shares"] or [], 1)
    ]
    return Content(
        f"{word} by {by}",
        {"slices": slices},
        {"word": word, "lemma": by_lemma, "by": by, "bins": bins, "all_bins": BINS, "keys": known, "shares": shares,
         "permutations": _PERMUTATIONS, "rows": rows},
    )  # fmt: skip


PAGE = Page("drift", load, "Drift")
