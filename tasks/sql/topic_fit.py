"""Fitting topics to an encoding of a lake: vectors read, clusters found and matched with those before, words counted.

Reads one snapshot, and writes to nothing but the user's cache folder. In memory are the vectors of documents and their
sums, about 10 kB a document of 384 numbers, and in DuckDB the counts of words, which it may spill.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import duckdb
import numpy as np
import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.fitted_topics import MOST_TOPICS, Topic, TopicFit
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.kept_documents import document_vectors
from polyseme.storage.sql.literals import quote_name
from polyseme.storage.sql.views import explained
from polyseme.storage.word_keys import word_key
from polyseme.storage.wording import many
from polyseme.tasks.analysis.topics import Clusters, find_topics, matched
from polyseme.tasks.arrays import Ints, unit
from polyseme.tasks.text.function_words import languages_of_words

_WORDS = 10
_FAR = 0.05
"""The share of the documents of a fit that are far from every topic: no number tells which subjects are new."""
_ROUNDING = 1e-6
"""By what a product of vectors in SQL may differ from that here; similarities by more, the nearer to the centre."""
MOST_SEED = 2**32 - 1
_MOST_OUTSIDE = 0.25
"""A word that more of the documents outside of a topic have does not tell the topic."""
_LEAST_INSIDE = 0.05
"""A word has to be in so many of a topic's documents: the name in one of them does not tell it either."""
_DISTINCTIVE = """
WITH counted AS (
    SELECT a.topic, w.word, sum(w.n) AS n, count(*) AS documents
    FROM {counts}(['*'], false, false) AS w JOIN assigned AS a ON a.doc_id = w.doc_id GROUP BY ALL
), topic AS (
    SELECT a.topic, any_value(a.size) AS documents, (SELECT count(*) FROM assigned) - any_value(a.size) AS others
    FROM (SELECT topic, count(*) OVER (PARTITION BY topic) AS size FROM assigned) AS a GROUP BY a.topic
), everywhere AS (
    SELECT word, sum(n) AS n, sum(documents) AS documents FROM counted GROUP BY word
), mean AS (
    SELECT sum(n) / (SELECT count(*) FROM topic) AS words FROM counted
)
SELECT c.topic, c.word
FROM counted AS c JOIN topic ON topic.topic = c.topic JOIN everywhere ON everywhere.word = c.word, mean
WHERE c.documents >= least(topic.documents, greatest(2, {inside} * topic.documents))
    AND everywhere.documents - c.documents <= {outside} * topic.others
    AND (length(c.word) > 1 OR regexp_matches(c.word, '[\\p{{Han}}\\p{{Hiragana}}\\p{{Katakana}}\\p{{Hangul}}]'))
    AND c.word NOT IN (SELECT word FROM function_words)
QUALIFY row_number() OVER (
    PARTITION BY c.topic ORDER BY sqrt(c.n) * ln(1 + mean.words / everywhere.n) DESC, c.word
) <= {most}
ORDER BY c.topic, sqrt(c.n) * ln(1 + mean.words / everywhere.n) DESC, c.word"""
"""The words of each topic with the greatest class-based TF-IDF (Grootendorst 2022), of the root of the frequency, as
BERTopic has it with `reduce_frequent_words`. Within a topic its size is the same for all words, and left out."""


def fit_topics(
    snapshot: Snapshot, lake: Lake, encoding: Encoding, *, number: int | None = None, seed: int = 0, anew: bool = False,
    report: Callable[[str, float], None] = lambda doing, share: None,
) -> TopicFit:  # fmt: skip
    """Return the next version of an encoding's topics: `number` of them, or as many as fit best.

    Those of the version before are where the search starts, unless `anew`, and keep their ids where they are matched.
    Raises UsageError for a number that documents cannot be divided into, PolysemeError if there are no documents.
    """
    before = snapshot.topics.get(encoding.encoding_id, ())
    with explained(lake), open_snapshot(snapshot, lake) as con:
        report("reading the vectors of documents", 0.0)
        found, vectors = document_vectors(snapshot, lake, encoding)
        ids = found.to_pylist()
        _check(number, seed, len(ids), encoding)
        report("finding topics", 0.3)
        old = _before(con, encoding, ids) if before else None
        ranked = None if old is None or anew else np.unique(old, return_inverse=True)[1] - int((old < 0).any())
        clusters = find_topics(vectors, number=number, seed=seed, before=ranked)
        topics = _ids(clusters, old, max((t.topic for fit in before for t in fit.topics), default=0))
        report("counting words", 0.8)
        words = _words(con, encoding, ids, topics[clusters.labels])
    apart = float(np.median(np.linalg.norm(unit(vectors[:: 1 + len(ids) // 20_000]) - clusters.centre, axis=1)))
    made = {"version": len(before) + 1, "catalog_version": snapshot.catalog_version, "seed": seed}
    return _fit(clusters, topics, words, apart, **made)


def _check(number: int | None, seed: int, documents: int, encoding: Encoding) -> None:
    if not documents:
        raise PolysemeError(
            f"The encoding {encoding.name} has no document with a sentence, so there are no topics. Embed some: "
            "polyseme embed FOLDER."
        )
    if number is not None and not 1 <= number <= min(documents, MOST_TOPICS):
        raise UsageError(
            f"The number of topics is from 1 to {min(documents, MOST_TOPICS):,}, for {many(documents, 'documents')}; "
            f"got {number:,}."
        )
    if not 0 <= seed <= MOST_SEED:
        raise UsageError(f"The seed of the random numbers is from 0 to {MOST_SEED}, got {seed}.")


def _before(con: duckdb.DuckDBPyConnection, encoding: Encoding, ids: list[str]) -> Ints:
    """Return the id of the topic that each document has now, -1 for none and for those that are far from all.

    These are what may have come since, and shall not take the id of the topic that they happen to be nearest to.
    """
    view = quote_name(f"document_topics_{encoding.name}")
    rows = con.sql(f"SELECT doc_id, topic FROM {view} WHERE NOT is_far").fetchall()
    topic = dict(rows)
    return np.array([topic.get(doc_id, -1) for doc_id in ids], np.int64)


def _ids(clusters: Clusters, before: Ints | None, greatest: int) -> Ints:
    """Return the id of each cluster: that of the topic it was, or a new one, the largest cluster first."""
    same = {} if before is None else matched(before, clusters.labels)
    sizes = np.bincount(clusters.labels, minlength=len(clusters.directions))
    found = np.array([same.get(cluster, 0) for cluster in range(len(sizes))], np.int64)
    new = [cluster for cluster in np.argsort(-sizes, kind="stable").tolist() if cluster not in same]
    found[new] = greatest + 1 + np.arange(len(new))
    return found


def _words(con: duckdb.DuckDBPyConnection, encoding: Encoding, ids: list[str], topics: Ints) -> dict[int, list[str]]:
    documents = quote_name(f"documents_{encoding.name}")
    languages = con.sql(f"SELECT DISTINCT language FROM {documents} WHERE language IS NOT NULL").fetchall()
    codes = {code for (code,) in languages}
    common = sorted({word_key(word) for word, known in languages_of_words().items() if codes.intersection(known)})
    con.register("assigned", pa.table({"doc_id": pa.array(ids, pa.string()), "topic": topics}))
    con.register("function_words", pa.table({"word": pa.array(common, pa.string())}))
    counts = quote_name(f"word_counts_{encoding.name}")
    query = _DISTINCTIVE.format(counts=counts, inside=_LEAST_INSIDE, outside=_MOST_OUTSIDE, most=_WORDS)
    found: dict[int, list[str]] = {}
    for topic, word in con.execute(query).fetchall():
        found.setdefault(topic, []).append(word)
    return found


def _fit(
    clusters: Clusters, topics: Ints, words: dict[int, list[str]], apart: float, *, version: int, catalog_version: int,
    seed: int,
) -> TopicFit:  # fmt: skip
    """Return the version; `apart` is how far documents are from the centre, their median."""
    sizes = np.bincount(clusters.labels, minlength=len(topics)).tolist()
    halves = clusters.directions.astype(np.float16)
    made = [
        Topic(topic, tuple(words.get(topic, ())), size, direction)
        for topic, size, direction in zip(topics.tolist(), sizes, halves, strict=True)
    ]
    return TopicFit(
        version=version, fitted_at=datetime.now(UTC).isoformat(timespec="seconds"), catalog_version=catalog_version,
        documents=len(clusters.labels), seed=seed,
        silhouette=None if np.isnan(clusters.silhouette) else round(clusters.silhouette, 4),
        far_below=max(float(np.quantile(clusters.similarity, _FAR)) - _ROUNDING / max(apart, _ROUNDING) ** 2, -2.0),
        centre=clusters.centre.astype(np.float16),
        topics=tuple(sorted(made, key=lambda topic: topic.topic)),
    )  # fmt: skip
