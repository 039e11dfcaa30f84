"""The tutorial: two meanings of one word, and what context adds to its vector.

    python examples/tutorial.py [--lake DIR]

Embeds the example corpus if the lake does not exist yet, then runs four SQL queries. A static vector in the manner of
Word2Vec is made from the same model, so that the two differ in context only: the mean of all occurrences of a word
in the corpus.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

import polyseme
from polyseme.flows.display.output import write_table

CORPUS = Path(__file__).resolve().parent / "corpus"
RIVER, VAULT, MOORED = (
    "They sat on the river bank.",
    "The robbers emptied the bank vault.",
    "We moored the boat at the bank.",
)

STATIC = """
CREATE TABLE static AS
WITH number AS (
    SELECT word_lower AS word, generate_subscripts(embedding, 1) AS place, unnest(embedding) AS value
    FROM words WHERE regexp_full_match(word_lower, '[a-z]{4,}')
), mean AS (
    SELECT word, place, avg(value) AS value, count(*) AS n FROM number GROUP BY ALL
)
SELECT word, any_value(n) AS occurrences, list(value ORDER BY place)::FLOAT[384] AS vector FROM mean GROUP BY word"""

USES = """
SELECT sentence, array_cosine_similarity(bank.vector, bank.vector) AS static, array_cosine_similarity(
    embed_word($river, 'bank'), embed_word(sentence, 'bank')) AS in_context
FROM static AS bank, unnest([$vault, $moored]) AS t(sentence) WHERE bank.word = 'bank'"""

OCCURRENCES = """
SELECT array_cosine_similarity(o.embedding, embed_word($sentence, 'bank')) AS similarity, o.sentence
FROM occurrences('bank') AS o WHERE len(o.sentence) < 90 ORDER BY similarity DESC LIMIT 4"""

WORDS = """
WITH question AS (
    SELECT vector AS static, embed_word($river, 'bank') AS river, embed_word($vault, 'bank') AS vault
    FROM static WHERE word = 'bank'
), near AS (
    SELECT s.word, array_cosine_similarity(s.vector, q.static) AS static,
           array_cosine_similarity(s.vector, q.river) - array_cosine_similarity(s.vector, q.vault) AS to_river
    FROM static AS s, question AS q WHERE s.word NOT IN ('bank', 'banks') AND s.occurrences >= 5
)
SELECT 'the static vector' AS nearest_to, string_agg(word, ', ' ORDER BY static DESC) AS words
FROM (FROM near ORDER BY static DESC LIMIT 6)
UNION ALL SELECT 'river bank, rather than vault', string_agg(word, ', ' ORDER BY to_river DESC)
FROM (FROM near ORDER BY to_river DESC LIMIT 6)
UNION ALL SELECT 'bank vault, rather than river', string_agg(word, ', ' ORDER BY to_river)
FROM (FROM near ORDER BY to_river LIMIT 6)"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, default=Path("tutorial-lake"))
    lake = parser.parse_args(arguments).lake
    if not (lake / "catalog.sqlite").exists():
        embed(lake)
    with polyseme.connect(lake) as con:
        query(con)


def embed(lake: Path) -> None:
    """Step 0: embed the corpus into the lake, with the command that users run."""
    subprocess.run(
        [sys.executable, "-m", "polyseme", "embed", str(CORPUS), "--lake", str(lake)],
        check=True,
        cwd=CORPUS.parent.parent,
        stdout=sys.stderr,
    )


def query(con: duckdb.DuckDBPyConnection) -> None:
    """Steps 1 to 4: one query each."""
    con.execute(STATIC)
    sentences = {"river": RIVER, "vault": VAULT, "moored": MOORED}
    title(f'"bank" in "{RIVER}" beside "bank" in two others: the static vector is one and the same.')
    show(con, USES, **sentences)
    for sentence in (RIVER, VAULT):
        title(f'Its occurrences used most like "{sentence}"')
        show(con, OCCURRENCES, sentence=sentence)
    title("The words nearest to the static vector, a blend, and to the vectors that context gave.")
    show(con, WORDS, river=RIVER, vault=VAULT)


def title(text: str) -> None:
    print(f"\n{text}", flush=True)


def show(con: duckdb.DuckDBPyConnection, sql: str, **parameters: Any) -> None:
    done = con.execute(sql, parameters)
    names = [column[0] for column in done.description or ()]
    rows = [[round(v, 2) if isinstance(v, float) else v for v in row] for row in done.fetchall()]
    write_table(pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows]), "table")


if __name__ == "__main__":
    main()
