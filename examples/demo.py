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

TWO_SENSES = """
-- Two senses of one word: the two most typical occurrences of "bank" (2-medoids), and the four nearest to each.
WITH bank AS (
    SELECT w.doc_id, w.char_start, w.embedding,
           substring(d.text, greatest(w.char_start - 35, 0) + 1, w.char_end - w.char_start + 70) AS context
    FROM words AS w JOIN documents AS d USING (doc_id)
    WHERE w.word_lower = 'bank'
),
alike AS (
    SELECT a, b, array_cosine_similarity(a.embedding, b.embedding) AS similarity FROM bank AS a, bank AS b
),
medoids AS (
    SELECT x.a AS first, y.a AS second FROM alike AS x JOIN alike AS y ON x.b = y.b
    WHERE (x.a.doc_id, x.a.char_start) < (y.a.doc_id, y.a.char_start)
    GROUP BY ALL ORDER BY sum(greatest(x.similarity, y.similarity)) DESC LIMIT 1
),
seeds AS (SELECT 1 AS sense, first AS seed FROM medoids UNION ALL SELECT 2, second FROM medoids)
SELECT sense, round(similarity, 2) AS similarity, '… ' || replace(b.context, chr(10), ' ') || ' …' AS occurrence,
       parse_filename(b.doc_id) AS document
FROM seeds JOIN alike ON a = seed
QUALIFY row_number() OVER (PARTITION BY sense ORDER BY similarity DESC) <= 5
ORDER BY sense, similarity DESC
"""

LEAST_COHERENT = """
-- Where is a text least coherent? The transition with the lowest Next Sentence Prediction margin.
SELECT parse_filename(doc_id) AS document, sentence_index AS after_sentence, round(margin, 1) AS margin,
       round(percentile, 2) AS share_of_random_pairs_below, text, next_text
FROM coherence ORDER BY margin LIMIT 1
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
        for query in (TWO_SENSES, LEAST_COHERENT, SUMMARY):
            comment, _, _ = query.strip().partition("\n")
            print(f"\n{comment.removeprefix('-- ')}", flush=True)
            write_table(con.sql(query).to_arrow_table(), "table")
    print('\nTry: .venv/bin/polyseme sql "from sentences limit 5" --lake demo-lake   (more: examples/queries.sql)')


if __name__ == "__main__":
    main()
