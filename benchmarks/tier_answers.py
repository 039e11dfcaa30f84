"""How far the answers of each tier are from those of float16: senses, drift, coherence and polysemy of a lake.

    python -m benchmarks.tier_answers --lake lake [--by 'metadata->>genre']

A copy of the lake is moved to every tier with `polyseme backfill --store`, and each question is asked of all encodings.
Of numbers: the mean and the greatest difference, and Spearman's correlation. Of senses: the mean adjusted Rand index (1
is the same grouping, 0 chance) over words of 50 to 400 occurrences, and the share of words with as many senses. Of
breaks: those that both have, of those that either has, in the documents of 50 sentences and more. `--by`
is an expression over `documents` whose two most frequent values are the slices of drift.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score

from polyseme.storage.sql.connection import connect

STORES = (
    "int8", "sentences=float16,words=int8", "sentences=int8,words=binary", "sentences=binary,words=int8", "binary",
)  # fmt: skip
WORDS = 60
_SLICES = """
SELECT list(doc_id) FROM documents WHERE {by} IS NOT NULL GROUP BY {by} ORDER BY count(*) DESC, {by} LIMIT 2"""
_NUMBERS = {
    "coherence": "SELECT (doc_id, sentence_index), cosine FROM coherence{suffix}",
    "polysemy": "SELECT word, distance FROM polysemy{suffix}(at_least := 20)",
    "drift": "SELECT word, apd FROM drift_rank{suffix}($docs, $others, at_least := 10, permutations := 0)",
}
_SENSES = "SELECT sense FROM senses{suffix}($word) ORDER BY doc_id, sentence_index, word_index"
_BREAKS = "SELECT sentence_index FROM breaks{suffix}($document) WHERE is_break"
_LONG = "SELECT doc_id FROM documents WHERE n_sentences >= 50 ORDER BY doc_id"
_FREQUENT = """
SELECT word_lower FROM words WHERE regexp_full_match(word_lower, '[a-z]{4,}')
GROUP BY ALL HAVING count(*) BETWEEN 50 AND 400 ORDER BY 1"""


def main() -> None:
    """Print a line for each tier."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--by", default="metadata->>'genre'")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = shutil.copytree(options.lake, Path(folder) / "lake")
        for store in STORES:
            command = [sys.executable, "-m", "polyseme", "backfill", "--store", store, "--lake", str(lake)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with connect(lake) as con:
            show(con, options.by)


def show(con: duckdb.DuckDBPyConnection, by: str) -> None:
    """Print the lines of all encodings of an open lake."""
    slices = [ids for (ids,) in con.execute(_SLICES.format(by=by)).fetchall()]
    found = con.execute(_FREQUENT).fetchall()
    words = [found[i][0] for i in np.unique(np.linspace(0, len(found) - 1, WORDS).astype(int))]
    suffixes = dict(con.execute("SELECT store, '_' || name FROM encodings").fetchall())
    exact = {name: numbers(con, name, "", slices) for name in _NUMBERS}
    texts = [doc_id for (doc_id,) in con.execute(_LONG).fetchall()]
    cut = breaks(con, "", texts)
    groups = {word: senses(con, "", word) for word in words}
    several = sum(max(found) > 1 for found in groups.values())
    sizes = ", ".join(f"{name} {len(values):,}" for name, values in exact.items())
    print(f"{sizes}, senses of {len(words)} words, of which {several} have several, {len(cut):,} breaks")
    for store in STORES:
        parts = list(_differences(con, suffixes[store], exact, slices))
        other = {word: senses(con, suffixes[store], word) for word in words}
        rand = np.mean([adjusted_rand_score(groups[word], other[word]) for word in words])
        same = np.mean([max(groups[word]) == max(other[word]) for word in words])
        again = breaks(con, suffixes[store], texts)
        both = len(cut & again) / len(cut | again)
        parts += [f"senses Rand {rand:.2f} as many {same:.2f}", f"breaks {both:.2f}"]
        print(f"{store:30} {'  '.join(parts)}", flush=True)


def numbers(con: duckdb.DuckDBPyConnection, name: str, suffix: str, slices: list[list[str]]) -> dict[Any, float]:
    """Return the numbers of a question, by what each is of."""
    given = {"docs": slices[0], "others": slices[1]} if name == "drift" else {}
    rows = con.execute(_NUMBERS[name].format(suffix=suffix), given).fetchall()
    return {key: value for key, value in rows if value is not None}


def senses(con: duckdb.DuckDBPyConnection, suffix: str, word: str) -> list[int]:
    """Return the sense of every occurrence of a word, in the order of the text."""
    return [sense for (sense,) in con.execute(_SENSES.format(suffix=suffix), {"word": word}).fetchall()]


def breaks(con: duckdb.DuckDBPyConnection, suffix: str, texts: list[str]) -> set[tuple[str, int]]:
    """Return where documents break, by their id and the sentence before."""
    query = _BREAKS.format(suffix=suffix)
    return {(text, place) for text in texts for (place,) in con.execute(query, {"document": text}).fetchall()}


def _differences(
    con: duckdb.DuckDBPyConnection, suffix: str, exact: dict[str, dict[Any, float]], slices: list[list[str]]
) -> Iterator[str]:
    for name, true in exact.items():
        found = numbers(con, name, suffix, slices)
        pairs = np.array([(true[key], found[key]) for key in true])
        apart = np.abs(pairs[:, 0] - pairs[:, 1])
        yield f"{name} {apart.mean():.4f} most {apart.max():.4f} rho {spearmanr(*pairs.T).statistic:.3f}"


if __name__ == "__main__":
    main()
