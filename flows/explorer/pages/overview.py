"""What the lake holds, what its last runs did, what they refused, and what to do next."""

from __future__ import annotations

import pyarrow as pa

from polyseme.flows.explorer.page import Asked, Content, Page, Parameters

_FIGURES = """
SELECT (SELECT count(*) FROM documents) AS documents, (SELECT count(*) FROM sentences) AS sentences,
       (SELECT count(*) FROM words) AS words, (SELECT coalesce(sum(n_tokens), 0)::BIGINT FROM documents) AS tokens,
       (SELECT count(*) FROM rejects) AS rejects"""
_ENCODINGS = """
SELECT name, is_default, model, model_sha256, width, layers, pooling, context, max_tokens, precision, splitter,
       created_at
FROM encodings ORDER BY is_default DESC, created_at"""
_LENGTHS = """
SELECT least(n_tokens, 119) // 5 * 5 AS tokens, count(*) AS sentences FROM sentences GROUP BY ALL ORDER BY 1"""
_MARGINS = """
SELECT greatest(least(floor(margin), 11), -12)::INTEGER AS margin, count(*) AS steps FROM coherence
WHERE margin IS NOT NULL GROUP BY ALL ORDER BY 1"""
_LANGUAGES = """
SELECT language, count(*) AS documents, sum(n_sentences)::BIGINT AS sentences FROM documents
GROUP BY language ORDER BY documents DESC, language LIMIT 12"""
_REJECTS = """
SELECT code, count(*) AS records, any_value(message ORDER BY uri) AS example FROM rejects
GROUP BY code ORDER BY records DESC, code"""
_RUNS = """
SELECT run_id, state, started_at, documents, sentences, tokens, rejected, wall_seconds FROM runs
ORDER BY ordinal DESC LIMIT 5"""
_LEAST_COHERENT = """
SELECT c.doc_id, any_value(d.title) AS title, count(*) AS steps, avg(c.margin) AS mean_margin,
       avg(c.percentile) AS mean_percentile
FROM coherence AS c JOIN documents AS d ON d.doc_id = c.doc_id
WHERE c.margin IS NOT NULL GROUP BY c.doc_id HAVING count(*) >= 5 ORDER BY mean_margin, c.doc_id LIMIT 10"""


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return the figures of the lake."""
    tables: dict[str, pa.Table] = {
        "figures": lake.ask(_FIGURES),
        "encodings": lake.ask(_ENCODINGS),
        "languages": lake.ask(_LANGUAGES),
        "lengths": lake.ask(_LENGTHS),
        "margins": lake.ask(_MARGINS),
        "least_coherent": lake.ask(_LEAST_COHERENT),
        "runs": lake.ask(_RUNS),
        "rejects": lake.ask(_REJECTS),
    }
    return Content("Overview", tables)


PAGE = Page("overview", load, "Overview")
