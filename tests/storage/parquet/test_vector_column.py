"""Vectors read by position are those that Arrow decodes, whatever the pages, row groups and layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.storage.lake import Lake
from polyseme.storage.parquet.vector_column import VectorColumn
from polyseme.storage.parts import write_part
from polyseme.storage.schemas import table_schema
from tests.lakes import vectors

ROWS, WIDTH = 20_000, 6


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of `words` with three row groups."""
    columns: dict[str, Any] = {
        "doc_id": ["d"] * ROWS, "version": [1] * ROWS, "sentence_index": np.zeros(ROWS), "word_index": np.arange(ROWS),
        "char_start": np.zeros(ROWS), "char_end": np.zeros(ROWS), "word": ["w"] * ROWS, "word_lower": ["w"] * ROWS,
        "lemma": [None] * ROWS, "tokens": [["w"]] * ROWS,
    }  # fmt: skip
    schema = table_schema("words", WIDTH)
    table = pa.table({**columns, "embedding": vectors(ROWS, WIDTH)}).cast(schema)
    lake = Lake(tmp_path_factory.mktemp("lake"))
    lake.create()
    made = write_part(lake, table, table="words", encoding_id="e", width=WIDTH)
    return Path(str(lake.part_path(made.path)))


def decoded(path: Path) -> np.ndarray[Any, np.dtype[np.float16]]:
    values: pa.ChunkedArray = pq.read_table(path, columns=["embedding"])["embedding"]
    return values.combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(ROWS, WIDTH)


def read(path: Path, numbers: list[int]) -> np.ndarray[Any, np.dtype[np.float16]]:
    with pq.ParquetFile(path) as file, path.open("rb") as raw:
        return VectorColumn(file, raw, "embedding", WIDTH).rows(np.array(numbers, np.int64))


@settings(max_examples=30)
@given(numbers=st.lists(st.integers(0, ROWS - 1), max_size=300))
def test_rows_are_those_that_arrow_decodes_in_the_order_wanted(part: Path, numbers: list[int]) -> None:
    assert (read(part, numbers).view(np.uint16) == decoded(part)[numbers].view(np.uint16)).all()


def test_every_row_of_a_part_can_be_read_by_position(part: Path) -> None:
    everything = list(range(ROWS))
    assert (read(part, everything).view(np.uint16) == decoded(part).view(np.uint16)).all()
    with pq.ParquetFile(part) as file, part.open("rb") as raw:
        column = VectorColumn(file, raw, "embedding", WIDTH)
        assert [isinstance(column._layout(group), list) for group in range(3)] == [True] * 3


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd"},
        {"use_dictionary": True, "compression": "none"},
        {"compression": "none", "use_dictionary": False, "data_page_version": "2.0", "data_page_size": 1000},
        {"compression": "none", "use_dictionary": False, "data_page_size": 100, "write_batch_size": 7},
        {"compression": "none", "use_dictionary": False, "column_encoding": "BYTE_STREAM_SPLIT"},
    ],
)
def test_any_other_layout_is_read_too(part: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    other = tmp_path / "other.parquet"
    pq.write_table(pq.read_table(part, columns=["embedding"]), other, row_group_size=5000, **options)
    numbers = [19_999, 0, 4999, 5000, 7, 7, 12_345]
    assert (read(other, numbers).view(np.uint16) == decoded(part)[numbers].view(np.uint16)).all()
