"""Vectors of a query as a matrix: every row, in order, and nothing that would shift them."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.schemas import embedding_type
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.vectors import vectors
from tests import lakes


def test_the_matrix_has_a_row_for_each_row_of_the_query_in_its_order(catalog: Catalog, lake: Lake) -> None:
    lakes.commit(catalog, lakes.make_spec(), {"a": ["One.", "Two."], "b": ["Three."]})
    with connect(lake, functions=lambda *_: None) as con:
        table = con.sql("SELECT text, embedding FROM sentences ORDER BY text DESC").to_arrow_table()
        matrix = vectors(table)
        assert matrix.tolist() == table["embedding"].to_pylist()
        assert vectors(con.sql("FROM sentences ORDER BY text DESC")).tolist() == matrix.tolist()
        batches = con.sql("FROM sentences ORDER BY text DESC").to_arrow_reader(1)
        assert np.concatenate([vectors(batch) for batch in batches]).tolist() == matrix.tolist()
    assert (matrix.dtype, matrix.shape) == (np.float32, (3, 4))


def test_the_matrix_is_a_copy_that_pytorch_takes_without_a_warning() -> None:
    torch = pytest.importorskip("torch", reason="a tensor needs PyTorch")
    table = pa.table({"embedding": lakes.vectors(3, 4)})
    matrix = vectors(table)
    tensor = torch.from_numpy(matrix)
    tensor[0] = 0
    assert matrix[0].tolist() == [0, 0, 0, 0]
    assert table["embedding"][0].as_py() != [0, 0, 0, 0]


def test_the_order_holds_over_chunks_slices_and_lists_without_a_fixed_length() -> None:
    numbers = np.arange(24, dtype=np.float16)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(numbers), type=embedding_type(4))
    chunks = pa.chunked_array([fixed[:1], fixed[1:4], fixed[4:4], fixed[5:]])
    expected = np.delete(numbers.reshape(-1, 4), 4, axis=0)
    assert np.array_equal(vectors(pa.table({"embedding": chunks})), expected)
    lists = chunks.cast(pa.list_(pa.float64()))
    assert np.array_equal(vectors(pa.table({"v": lists}), "v"), expected)


def test_no_rows_are_a_matrix_without_rows() -> None:
    with duckdb.connect() as con:
        assert vectors(con.sql("SELECT [1, 2]::FLOAT[2] AS embedding WHERE false")).shape == (0, 2)
        assert vectors(con.sql("SELECT [1, 2]::FLOAT[] AS embedding WHERE false")).shape == (0, 0)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1 AS n, 2 AS m", "no column embedding among n, m"),
        ("SELECT 'river' AS embedding", "string, not a list of floats"),
        ("SELECT [1, 2] AS embedding", "not a list of floats"),
        ("SELECT unnest([[1, 2], NULL]::FLOAT[2][]) AS embedding", "WHERE embedding IS NOT NULL"),
        ("SELECT [1, NULL]::FLOAT[2] AS embedding", "has NULLs"),
        ("SELECT unnest([[1, 2], [3]]::FLOAT[][]) AS embedding", "of 1, 2 numbers"),
    ],
)
def test_what_would_shift_or_break_rows_is_refused(sql: str, message: str) -> None:
    with duckdb.connect() as con, pytest.raises(UsageError, match=message):
        vectors(con.sql(sql))
