"""Topics as views: the topic of each document now, by how near its vector is to the topics that were fitted once.

Pure SQL over the sentences of one encoding and small tables of its fits, so that plain DuckDB has it too. A document's
vector is the mean of those of its sentences. Of it as a unit vector x, the centre m of the fit is taken off; it is
compared with the direction d of each topic by cosine, (x·d - m·d) / |x - m|, and belongs to the topic with the
greatest, the lowest id first. Nothing of this changes with other documents: a document that is new has its topic at
once, and no other gets another.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.database.snapshot import Snapshot
from polyseme.storage.fitted_topics import TopicFit
from polyseme.storage.sql.literals import escaped, quote_name
from polyseme.storage.sql.row_places import HIDDEN

TOPICS = ("topics", "document_topics")
VECTOR_ROWS = "document_vector_rows"
"""The function of one number, with an encoding's suffix, that returns the rows of `document_vectors` as a list."""
_TYPICAL = 3
_NO_DOCUMENT_TOPICS = (
    "SELECT NULL::VARCHAR AS doc_id, NULL::BIGINT AS topic, NULL::DOUBLE AS similarity, NULL::BOOLEAN AS is_far "
    "WHERE false"
)
_NO_TOPICS = (
    "SELECT NULL::BIGINT AS topic, NULL::VARCHAR AS label, NULL::VARCHAR[] AS words, NULL::BIGINT AS documents, "
    "NULL::BIGINT AS far_documents, NULL::VARCHAR[] AS typical, NULL::BIGINT AS fitted_documents, "
    "NULL::BIGINT AS since, NULL::BIGINT AS version, NULL::TIMESTAMPTZ AS fitted_at WHERE false"
)


def topic_tables(snapshot: Snapshot) -> dict[str, pa.Table]:
    """Return the tables of the fits of encodings that have any, by their quoted name."""
    found: dict[str, pa.Table] = {}
    for encoding in snapshot.encodings:
        fits = snapshot.topics.get(encoding.encoding_id, ())
        if fits:
            found[quote_name(_fits(encoding))] = _fits_table(fits)
            found[quote_name(_directions(encoding))] = _directions_table(fits)
    return found


def vectors_view(encoding: Encoding, *, kept: bool) -> str:
    """Return the statement for the vectors of documents: by the function that has them if `kept`, else from SQL alone.

    That names each number of a vector, which takes 40 ms to plan.
    """
    # Of a column: a constant call DuckDB would make several times, while it plans.
    rows = f"SELECT unnest({quote_name(f'{VECTOR_ROWS}_{encoding.name}')}(range), recursive := true) FROM range(1)"
    return f"CREATE VIEW {_vectors_name(encoding)} AS {rows if kept else document_vectors(encoding)}"


def no_vectors(encoding: Encoding) -> str:
    """Return the statement for that view without a row, in place of which it is made."""
    vector = f"NULL::FLOAT[{encoding.spec.width}] AS embedding"
    return f"CREATE VIEW {_vectors_name(encoding)} AS SELECT NULL::VARCHAR AS doc_id, {vector} WHERE false"


def document_vectors(encoding: Encoding) -> str:
    """Return SQL for `doc_id` and `embedding` of each document: the mean of its sentence vectors.

    Sums of float16 are exact as DOUBLE, so that no bit depends on the order in which sentences are read.
    """
    means = ", ".join(f"avg(embedding[{i}]::DOUBLE)" for i in range(1, encoding.spec.width + 1))
    vector = f"[{means}]::FLOAT[{encoding.spec.width}]"
    return f"SELECT doc_id, {vector} AS embedding FROM {quote_name(f'sentences_{encoding.name}')} GROUP BY doc_id"


def topic_views(snapshot: Snapshot, encoding: Encoding) -> list[str]:
    """Return the statements for the newest version of the topics, under the names with the encoding's suffix."""
    fits, suffix = snapshot.topics.get(encoding.encoding_id, ()), f"_{escaped(encoding.name)}"
    if not fits:
        return no_topic_views(suffix)
    newest = str(fits[-1].version)
    return [
        f'CREATE VIEW "document_topics{suffix}" AS {_assigned(encoding, newest)}',
        f'CREATE VIEW "topics{suffix}" AS {_listed(encoding, newest)}',
    ]


def no_topic_views(suffix: str) -> list[str]:
    """Return the statements for the views of a lake without topics."""
    return [
        f'CREATE VIEW "document_topics{suffix}" AS {_NO_DOCUMENT_TOPICS}',
        f'CREATE VIEW "topics{suffix}" AS {_NO_TOPICS}',
    ]


def topic_macros(snapshot: Snapshot, suffix: str, encoding: Encoding | None) -> list[str]:
    """Return the statements for any version of the topics, under the names with this suffix."""
    fitted = encoding is not None and encoding.encoding_id in snapshot.topics
    assigned = _assigned(encoding, "version") if encoding and fitted else f"{_NO_DOCUMENT_TOPICS} AND version = 0"
    listed = _listed(encoding, "version") if encoding and fitted else f"{_NO_TOPICS} AND version = 0"
    return [
        f'CREATE MACRO "document_topics_of{suffix}"(version) AS TABLE {assigned}',
        f'CREATE MACRO "topics_of{suffix}"(version) AS TABLE {listed}',
    ]


def _assigned(encoding: Encoding, version: str) -> str:
    width = encoding.spec.width
    fits, directions = (f"{HIDDEN}.{quote_name(name(encoding))}" for name in (_fits, _directions))
    return f"""
WITH fit AS MATERIALIZED (
    SELECT * REPLACE (centre::FLOAT[{width}] AS centre) FROM {fits} AS f WHERE f.fit = {version}
), direction AS MATERIALIZED (
    SELECT d.topic, d.direction::FLOAT[{width}] AS direction, d.along_centre FROM {directions} AS d
    WHERE d.fit = {version}
), document AS (
    SELECT v.doc_id, v.embedding, sqrt(array_inner_product(v.embedding, v.embedding)::DOUBLE) AS length,
           array_inner_product(v.embedding, fit.centre)::DOUBLE AS along_centre, fit.centre_square, fit.far_below
    FROM {_vectors_name(encoding)} AS v, fit
), near AS (
    SELECT document.doc_id, any_value(document.far_below) AS far_below, max((
        (array_inner_product(document.embedding, direction.direction) / length - direction.along_centre)
            / sqrt(greatest(1 - 2 * document.along_centre / length + centre_square, 1e-12)),
        -direction.topic
    )) AS nearest
    FROM document, direction WHERE length > 0 GROUP BY document.doc_id
)
SELECT doc_id, -nearest[2] AS topic, greatest(least(nearest[1], 1), -1)::DOUBLE AS similarity,
       nearest[1] < far_below AS is_far
FROM near"""


def _listed(encoding: Encoding, version: str) -> str:
    fits, directions = (f"{HIDDEN}.{quote_name(name(encoding))}" for name in (_fits, _directions))
    return f"""
SELECT d.topic, d.label, d.words, coalesce(now.documents, 0) AS documents, coalesce(now.far, 0) AS far_documents,
       coalesce(now.typical, []) AS typical, d.documents AS fitted_documents,
       (SELECT min(earlier.fit) FROM {directions} AS earlier WHERE earlier.topic = d.topic) AS since,
       f.fit AS version, f.fitted_at
FROM {directions} AS d
JOIN {fits} AS f ON f.fit = d.fit
LEFT JOIN (
    SELECT topic, count(*) AS documents, count(*) FILTER (is_far) AS far,
           list_transform(max((similarity, doc_id), {_TYPICAL}), lambda one: one[2]) AS typical
    FROM ({_assigned(encoding, version)}
    ) GROUP BY topic
) AS now ON now.topic = d.topic
WHERE d.fit = {version}
ORDER BY d.topic"""


def _fits_table(fits: tuple[TopicFit, ...]) -> pa.Table:
    centres = [fit.centre.astype(np.float32) for fit in fits]
    times = pa.array([fit.fitted_at for fit in fits], pa.string()).cast(pa.timestamp("us", tz="UTC"))
    return pa.table(
        {
            "fit": pa.array([fit.version for fit in fits], pa.int64()),
            "fitted_at": times,
            "centre": pa.array(centres, pa.list_(pa.float32())),
            "centre_square": pa.array([float(centre @ centre) for centre in centres], pa.float64()),
            "far_below": pa.array([fit.far_below for fit in fits], pa.float64()),
        }
    )


def _directions_table(fits: tuple[TopicFit, ...]) -> pa.Table:
    rows = [(fit, topic, _unit(topic.direction)) for fit in fits for topic in fit.topics]
    return pa.table(
        {
            "fit": pa.array([fit.version for fit, _, _ in rows], pa.int64()),
            "topic": pa.array([topic.topic for _, topic, _ in rows], pa.int64()),
            "label": pa.array([topic.label for _, topic, _ in rows], pa.string()),
            "words": pa.array([list(topic.words) for _, topic, _ in rows], pa.list_(pa.string())),
            "documents": pa.array([topic.documents for _, topic, _ in rows], pa.int64()),
            "direction": pa.array([direction for _, _, direction in rows], pa.list_(pa.float32())),
            "along_centre": pa.array([float(fit.centre.astype(np.float32) @ d) for fit, _, d in rows], pa.float64()),
        }
    )


def _unit(vector: np.ndarray[tuple[int], np.dtype[np.float16]]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    wide = vector.astype(np.float32)
    return wide / max(float(np.linalg.norm(wide)), 1e-12)


def _vectors_name(encoding: Encoding) -> str:
    return f"{HIDDEN}.{quote_name(f'document_vectors_{encoding.encoding_id}')}"


def _fits(encoding: Encoding) -> str:
    return f"topic_fits_{encoding.encoding_id}"


def _directions(encoding: Encoding) -> str:
    return f"topic_directions_{encoding.encoding_id}"
