"""What the lake holds, what is stale or left to do, what its last runs did, and what they refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from polyseme.flows.explorer.page import Asked, Content, Page, Parameters

_FIGURES = """
SELECT (SELECT count(*) FROM documents) AS documents, (SELECT count(*) FROM sentences) AS sentences,
       (SELECT count(*) FROM words) AS words, (SELECT coalesce(sum(n_tokens), 0)::BIGINT FROM documents) AS tokens,
       (SELECT count(*) FROM rejects) AS rejects"""
_ENCODINGS = """
SELECT name, is_default, model, model_sha256, width, layers, pooling, context, max_tokens, precision, store,
       splitter, created_at
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
SELECT run_id, state, started_at, documents, rounded_documents, sentences, tokens, rejected, wall_seconds
FROM runs
ORDER BY ordinal DESC LIMIT 5"""
_LEAST_COHERENT = """
SELECT c.doc_id, any_value(d.title) AS title, count(*) AS steps, avg(c.margin) AS mean_margin,
       avg(c.percentile) AS mean_percentile
FROM coherence AS c JOIN documents AS d ON d.doc_id = c.doc_id
WHERE c.margin IS NOT NULL GROUP BY c.doc_id HAVING count(*) >= 5 ORDER BY mean_margin, c.doc_id LIMIT 10"""


_TO_DO = pa.schema({"what": pa.string(), "command": pa.string()})
_STALENESS = pa.schema(
    {"name": pa.string(), "documents": pa.int64(), "missing": pa.int64(), "outdated": pa.int64(), "damaged": pa.int64(),
     "earlier_model": pa.bool_(), "earlier_splitter": pa.bool_(), "parts": pa.int64(), "bytes": pa.int64()}
)  # fmt: skip
_RUNNING = pa.schema(
    {"run_id": pa.string(), "host": pa.string(), "started_at": pa.string(), "seen_at": pa.string(),
     "documents": pa.int64(), "tokens": pa.int64()}
)  # fmt: skip
_SKIPPED = pa.schema({name: pa.string() for name in ("source", "extension", "reason")} | {"files": pa.int64()})
_HELD_BACK = pa.schema({"source": pa.string(), "documents": pa.int64(), "had": pa.int64(), "reason": pa.string()})
_REPLACED = pa.schema({name: pa.int64() for name in ("parts", "bytes", "removable_parts", "removable_bytes")})


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return the figures of the lake."""
    facts = lake.facts()
    tables: dict[str, pa.Table] = {
        "figures": lake.ask(_FIGURES),
        "encodings": lake.ask(_ENCODINGS),
        "languages": lake.ask(_LANGUAGES),
        "lengths": lake.ask(_LENGTHS),
        "margins": lake.ask(_MARGINS),
        "least_coherent": lake.ask(_LEAST_COHERENT),
        "runs": lake.ask(_RUNS),
        "rejects": lake.ask(_REJECTS),
        "to_do": _table(facts["to_do"], _TO_DO),
        "staleness": _table(facts["encodings"], _STALENESS),
        "running": _table(facts["running"], _RUNNING),
        "skipped": _table(facts["skipped"], _SKIPPED),
        "held_back": _table(facts["held_back"], _HELD_BACK),
        "replaced_parts": _table([facts["replaced_parts"]], _REPLACED),
    }
    return Content("Overview", tables)


def _table(rows: Sequence[Mapping[str, object]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema)


PAGE = Page("overview", load, "Overview")
