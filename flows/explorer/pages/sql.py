"""SQL that somebody types: an editor that knows the lake's names, the rows, and a picture of them."""

from __future__ import annotations

import pyarrow as pa

from polyseme.flows.explorer.page import MOST_DATA_ROWS, Asked, Content, Page, Parameters

MOST_ROWS = 1_000
"""Rows that a page shows. `.csv` and `.parquet` have `MOST_DATA_ROWS` at most."""
_MOST_DRAWN = 500
_NAMES = """
SELECT table_name AS name, list(column_name ORDER BY column_index) AS columns FROM duckdb_columns()
WHERE schema_name = 'main' AND NOT internal GROUP BY table_name ORDER BY name"""
_MACROS = """
SELECT DISTINCT function_name AS name, function_type = 'table_macro' AS is_table, parameters FROM duckdb_functions()
WHERE NOT internal AND schema_name = 'main' ORDER BY name"""
EXAMPLES = (
    "FROM sentences LIMIT 5",
    "SELECT doc_id, avg(margin) AS mean_margin FROM coherence GROUP BY doc_id ORDER BY mean_margin LIMIT 10",
    "FROM nearest('a flood in the valley', k := 5)",
    "SELECT code, count(*) AS records FROM rejects GROUP BY code",
)


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return the answer to `q`, if there is one and it came from this page (`run`)."""
    query = parameters.text("q")
    most = parameters.number("most", MOST_ROWS, least=1, most=MOST_DATA_ROWS)
    runs = bool(query.strip()) and parameters.text("run") != "0"
    answer = lake.run(query, most=most + 1) if runs else pa.table({})
    names = {row["name"]: row["columns"] for row in lake.rows(_NAMES)}
    return Content(
        "SQL",
        {"rows": answer.slice(0, most)},
        {"q": query, "ran": runs, "cut": answer.num_rows > most, "most": most, "names": names,
         "macros": lake.rows(_MACROS), "examples": EXAMPLES, "columns": answer.column_names, "drawn": _drawn(answer),
         "figures": [place for place, field in enumerate(answer.schema) if _is_figure(field.type)]},
    )  # fmt: skip


def _is_figure(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _drawn(answer: pa.Table) -> list[dict[str, object]]:
    """Return what of the first rows a picture can show: numbers, times and texts, and none of a single row."""
    plain = [name for name in dict.fromkeys(answer.column_names) if answer.column_names.count(name) == 1]
    shown = [name for name in plain if not pa.types.is_nested(answer.schema.field(name).type)]
    rows: list[dict[str, object]] = answer.select(shown).slice(0, _MOST_DRAWN).to_pylist()
    return rows if len(rows) > 1 else []


PAGE = Page("sql", load, "SQL")
