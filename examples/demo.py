"""The demo: embed the example corpus with the embedded model, then run three SQL queries.

Run by `make demo`. A second run finds nothing to embed and only queries.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polyseme
from polyseme.flows.display.output import write_table

HERE = Path(__file__).resolve().parent
LAKE = HERE.parent / "demo-lake"

SENSES = """
-- The senses of a word, found from its vectors: of each sense of "bank" the five most typical occurrences.
SELECT sense, size AS occurrences, round(typicality, 2) AS typicality,
       '… ' || right(text_before, 35) || word || left(text_after, 35) || ' …' AS occurrence,
       parse_filename(doc_id) AS document
FROM senses('bank') WHERE rank <= 5 ORDER BY sense, rank
"""

LEAST_COHERENT = """
-- Where is a text least coherent? The transition with the lowest NSP margin, very short sentences left out.
SELECT parse_filename(doc_id) AS document, sentence_index AS after_sentence, round(margin, 1) AS margin,
       round(percentile, 2) AS share_of_random_pairs_below, text, next_text
FROM coherence WHERE length(next_text) > 20 ORDER BY margin LIMIT 1
"""

SUMMARY = """
-- One row per document: its length, and how well its sentences follow each other.
SELECT parse_filename(doc_id) AS document, any_value(n_sentences) AS sentences, any_value(n_tokens) AS tokens,
       round(avg(margin), 2) AS mean_margin, round(min(margin), 2) AS worst_step
FROM documents JOIN coherence USING (doc_id)
GROUP BY doc_id ORDER BY mean_margin LIMIT 10
"""


def main() -> None:
    subprocess.run([sys.executable, "-m", "polyseme", "embed", HERE / "corpus", "--lake", LAKE], check=True)
    with polyseme.connect(LAKE) as con:
        for query in (SENSES, LEAST_COHERENT, SUMMARY):
            comment, _, _ = query.strip().partition("\n")
            print(f"\n{comment.removeprefix('-- ')}", flush=True)
            write_table(con.sql(query).to_arrow_table(), "table")
    print('\nTry: .venv/bin/polyseme sql "from sentences limit 5" --lake demo-lake   (more: examples/queries.sql)')


if __name__ == "__main__":
    main()
