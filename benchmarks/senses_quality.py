"""Quality of word senses, on words of the example corpus whose sense is known from their document.

    polyseme embed examples/corpus --lake lake
    python benchmarks/senses_quality.py --lake lake

1-NN: the share of occurrences whose nearest occurrence in another document has the same sense, computed in SQL. Senses:
the adjusted Rand index of `senses(word)` (0 is chance, 1 is the labels), and the number found of the true number.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score

from polyseme.storage.sql.connection import connect

LABELS = Path(__file__).with_name("sense_labels.json")

NEAREST = """
WITH o AS (
    SELECT parse_filename(doc_id, true) AS doc, embedding, l.sense
    FROM occurrences($word) JOIN labels AS l ON l.word = $word AND l.doc = parse_filename(doc_id, true)
)
SELECT count(*), sum((a.sense = (SELECT arg_max(b.sense, array_cosine_similarity(a.embedding, b.embedding))
                                 FROM o AS b WHERE b.doc <> a.doc))::INTEGER)
FROM o AS a"""
FOUND = """
SELECT f.sense, l.sense FROM senses($word) AS f
JOIN labels AS l ON l.word = $word AND l.doc = parse_filename(f.doc_id, true)"""


def main() -> None:
    """Measure and print the quality of senses by word."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, required=True)
    lake = parser.parse_args().lake
    labels = json.loads(LABELS.read_text("utf-8"))
    con = connect(lake)
    con.execute("CREATE TABLE labels (word VARCHAR, sense VARCHAR, doc VARCHAR)")
    for word, senses in labels.items():
        rows = [(word, sense, doc) for sense, docs in senses.items() for doc in docs.split()]
        con.executemany("INSERT INTO labels VALUES (?, ?, ?)", rows)
    total = right = 0
    scores = []
    for word, senses in labels.items():
        ((count, same),) = con.execute(NEAREST, {"word": word}).fetchall()
        total, right = total + count, right + same
        pairs = con.execute(FOUND, {"word": word}).fetchall()
        scores.append(adjusted_rand_score([b for _, b in pairs], [a for a, _ in pairs]))
        found = len({a for a, _ in pairs})
        print(f"{word:8} 1-NN {same / count:.2f}  senses found {found} of {len(senses)}  Rand {scores[-1]:.2f}")
    print(f"all      1-NN {right / total:.3f} of {total} occurrences  mean Rand {np.mean(scores):.2f}")
    con.close()


if __name__ == "__main__":
    main()
