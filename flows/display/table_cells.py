"""Cells: the values of a table as one-line texts for people, and shorter ones for where there is little room.

Vectors are shortened to `[0.12, -0.30, … 384]`, everything that a terminal would obey is escaped, line breaks too.
Knows no widths of screens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from polyseme.flows.display.terminal import escaped

NULL = "NULL"
_FOLD_FROM = 8
"""Lists of this many numbers or more are shown as their first two and their length."""
_LEAST_FIXED = 1e-4
"""Numbers nearer to 0 are shortened to digits that count, others to four decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellColumn:
    """One column: its heading, the type that DuckDB gives it, and a text for each row.

    `short` has the same rows in fewer characters, with nothing left out that a reader would miss at a glance. A `whole`
    column is not cut: half a number is another number.
    """

    heading: str
    kind: str
    texts: Sequence[str]
    short: Sequence[str]
    on_the_right: bool
    whole: bool


def cell_columns(table: pa.Table, names: Sequence[str]) -> list[CellColumn]:
    """Return the columns of `table` under `names`, which are distinct."""
    import duckdb

    with duckdb.connect() as con:
        con.register("answer", table.rename_columns([f"c{i}" for i in range(table.num_columns)]))
        kinds = [str(kind) for kind in con.sql("FROM answer").types]
        # Texts as DuckDB writes them, for types that Python does not have as well.
        written = ", ".join(_written(f"c{i}", column.type) for i, column in enumerate(table.columns))
        texts = con.sql(f"SELECT {written} FROM answer").to_arrow_table()
    made = zip(names, kinds, table.columns, texts.columns, strict=True)
    return [_column(name, kind, values, text) for name, kind, values, text in made]


def one_line(text: str) -> str:
    r"""Return `text` escaped, with `\n` and `\t` for line breaks and tabs."""
    return escaped(text).replace("\n", "\\n").replace("\t", "\\t")


def _written(name: str, kind: pa.DataType) -> str:
    # A vector as text would be thousands of characters that nobody sees.
    return f"NULL::VARCHAR AS {name}" if _is_vector(kind) else f"{name}::VARCHAR AS {name}"


def _column(name: str, kind: str, values: pa.ChunkedArray, texts: pa.ChunkedArray) -> CellColumn:
    is_vector, is_float = _is_vector(values.type), pa.types.is_floating(values.type)
    if is_vector:
        vectors = values.to_pylist()
        full, short = [_folded(v, 2) for v in vectors], [_folded(v, 1) for v in vectors]
    else:
        full = [NULL if text is None else one_line(text) for text in texts.to_pylist()]
        short = [_rounded(text) for text in full] if is_float else full
    number = is_float or pa.types.is_integer(values.type) or pa.types.is_decimal(values.type)
    return CellColumn(
        heading=one_line(name),
        kind=one_line(kind.lower()),
        texts=full,
        short=short,
        on_the_right=number,
        whole=number or is_vector or pa.types.is_boolean(values.type),
    )


def _is_vector(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind)
    return bool(is_list and pa.types.is_floating(kind.value_type))


def _folded(vector: list[float | None] | None, shown: int) -> str:
    if vector is None:
        return NULL
    if len(vector) < _FOLD_FROM:
        return str([None if x is None else round(x, 4) for x in vector]).replace("None", NULL)
    head = ", ".join(NULL if x is None else f"{x:.2f}" for x in vector[:shown])
    return f"[{head}, … {len(vector)}]"


def _rounded(text: str) -> str:
    try:
        number = float(text)
    except ValueError:  # NULL
        return text
    fixed = f"{number:.4f}" if abs(number) >= _LEAST_FIXED or number == 0 else f"{number:.3g}"
    return min(fixed.rstrip("0").rstrip(".") if "." in fixed and "e" not in fixed else fixed, text, key=len)
