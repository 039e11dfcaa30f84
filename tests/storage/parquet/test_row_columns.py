"""Columns of some rows of a file: these rows and no others, in the order in which they are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polyseme.storage.parquet.row_columns import columns_of_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    table = pa.table({"n": range(10), "text": [f"row {n}" for n in range(10)], "other": [0.5] * 10})
    pq.write_table(table, tmp_path / "file.parquet", row_group_size=4)
    return tmp_path / "file.parquet"


@pytest.mark.parametrize("numbers", [[0], [1, 2, 9], [9, 0, 5, 4], [3, 3, 8, 3], []])
def test_rows_come_in_the_order_given_and_as_often(path: Path, numbers: list[int]) -> None:
    with pq.ParquetFile(path) as file:
        found = columns_of_rows(file, np.array(numbers, np.int64), ["text", "n"])
    assert found.to_pylist() == [{"text": f"row {n}", "n": n} for n in numbers]


@pytest.mark.parametrize(("number", "name"), [(10, "n"), (-1, "n"), (0, "absent")])
def test_a_row_or_a_column_that_is_not_there_is_an_error(path: Path, number: int, name: str) -> None:
    with pq.ParquetFile(path) as file, pytest.raises(ValueError, match="the file has"):
        columns_of_rows(file, np.array([number], np.int64), [name])


def test_only_row_groups_with_such_a_row_are_read(path: Path) -> None:
    read: list[None] = []
    with pq.ParquetFile(path) as file:
        columns_of_rows(file, np.array([9, 0, 8]), ["n"], check=lambda: read.append(None))
    assert len(read) == 2
