"""Stored vectors in SQL: what reads each tier as `FLOAT[d]`, in the views and so in plain DuckDB.

Of a million vectors of 384 numbers, read from Parquet and compared with one, float16 takes 4.5 seconds of CPU, int8 6.0
and binary 7.7 (`python -m benchmarks.tiers`); a Python function over Arrow took 8.7 and 7.5, and expressions that look
at every bit by itself 14 to 24. So a binary vector is looked up byte by byte, in a table of what each byte
reads as at each place. It is joined, because a lambda may not have a subquery, and a literal list would be made anew
for each byte.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.sql.literals import quote_name
from polyseme.storage.tiers import Layout, tier_of

_CODES = pa.list_(pa.list_(pa.float32()))


def decoded(layout: Layout) -> str:
    """Return SQL for the vector of a row `r` of a part, with what `lookup` joins."""
    # Fixed-size lists read as FLOAT[]; distance functions need the width in the type.
    stored = "r.embedding"
    if layout.tier == "int8":
        stored = "list_transform(r.embedding, lambda code: code * r.embedding_scale)"
    elif layout.tier == "binary":
        stored = "flatten(list_transform(r.embedding, lambda code, place: codes.numbers[(place - 1) * 256 + code + 1]))"
        stored += f"[:{layout.width}]" if layout.width % 8 else ""
    return f"{stored}::FLOAT[{layout.width}]"


def lookup(encoding: Encoding, table: str, *, schema: str) -> list[str]:
    """Return the joins that a view of a table needs to read its vectors."""
    if tier_of(encoding.spec.store, table) != "binary":
        return []
    return [f"CROSS JOIN {schema}.{quote_name(_name(encoding, table))} AS codes"]


def code_tables(encodings: Iterable[Encoding]) -> dict[str, pa.Table]:
    """Return the tables of what bytes read as, by their quoted name: one row each with a list `numbers`."""
    found: dict[str, pa.Table] = {}
    for encoding in encodings:
        for table in ("sentences", "words"):
            layout = encoding.layouts.of(table)
            if layout.tier == "binary":
                numbers = layout.looked_up()
                ends = pa.array(range(0, 8 * len(numbers) + 1, 8), pa.int32())
                lists = pa.ListArray.from_arrays(ends, pa.array(numbers.reshape(-1)))
                row = pa.ListArray.from_arrays(pa.array([0, len(lists)], pa.int32()), lists)
                found[quote_name(_name(encoding, table))] = pa.table({"numbers": row.cast(_CODES)})
    return found


def _name(encoding: Encoding, table: str) -> str:
    return f"codes_{encoding.encoding_id}_{'sentences' if table == 'sentences' else 'words'}"
