"""Facets: keys of the metadata with few values, by which pages narrow their documents."""

from __future__ import annotations

from typing import Any

from polyseme.flows.explorer.page import Asked

_MOST_VALUES = 12
"""Values of a facet that are shown; a key of the metadata with more than `_MOST_KINDS` of them is none."""
_MOST_KINDS = 60
_KEYS = f"""
WITH key AS (SELECT unnest(json_keys(metadata)) AS key, metadata FROM documents WHERE metadata IS NOT NULL)
SELECT key, count(DISTINCT metadata->>('/' || replace(replace(key, '~', '~0'), '/', '~1'))) AS kinds,
       count(*) AS documents
FROM key WHERE key <> '' GROUP BY key HAVING kinds BETWEEN 2 AND {_MOST_KINDS}
ORDER BY documents DESC, key LIMIT 6"""
_VALUES = f"""
SELECT $key AS key, metadata->>$path AS value, count(*) AS documents FROM documents
GROUP BY value HAVING value IS NOT NULL ORDER BY documents DESC, value LIMIT {_MOST_VALUES}"""


def keys(lake: Asked) -> list[str]:
    """Return the keys of the metadata that have few values, those of most documents first."""
    return [row["key"] for row in lake.rows(_KEYS)]


def path_of(key: str) -> str:
    """Return where a key of the metadata is found, as DuckDB's JSON functions take it.

    As a JSON pointer (RFC 6901), which every key has: a path such as `$."genre"` is none if the key is empty or has a
    backslash or quotes in it.
    """
    return "/" + key.replace("~", "~0").replace("/", "~1")


def facets(lake: Asked) -> dict[str, list[dict[str, Any]]]:
    """Return the keys, each with its most frequent values and how many documents have them."""
    return {key: lake.rows(_VALUES, key=key, path=path_of(key)) for key in keys(lake)}


def chosen(values: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Return a condition on documents `d` that have these values of the metadata, and its parameters."""
    named = {f"value_{i}": value for i, value in enumerate(values.values())}
    named |= {f"key_{i}": path_of(key) for i, key in enumerate(values)}
    meets = ", ".join(f"d.metadata->>$key_{i} = $value_{i}" for i in range(len(values)))
    return f"list_bool_and([true, {meets}])", named
