"""Parts: what is in the file, how it is laid out, and that a failure leaves nothing behind."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polyseme.storage.errors import PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.parts import ROW_GROUP_ROWS, write_part
from polyseme.storage.records import Part
from polyseme.storage.schemas import table_schema
from tests import lakes


def words(count: int, width: int = 4) -> pa.Table:
    rows = [
        {
            "doc_id": f"d{i % 7}",
            "version": 1,
            "sentence_index": i,
            "word_index": 0,
            "char_start": 0,
            "char_end": 1,
            "word": f"Word{i % 50:03}",
            "word_lower": f"word{i % 50:03}",
            "tokens": ["word", f"##{i % 50}"],
        }
        for i in range(count)
    ]
    return lakes.arrow_table("words", width, rows)


def write_words(lake: Lake, data: pa.Table | Iterator[pa.RecordBatch]) -> Part:
    return write_part(lake, data, table="words", encoding_id="e1", width=4)


def files(lake: Lake) -> list[Path]:
    return [path for path in lake.data.rglob("*") if path.is_file()]


def test_a_part_holds_what_was_written_and_describes_its_own_file(lake: Lake) -> None:
    data = words(100)
    part = write_words(lake, data)
    content = lake.part_path(part.path).read_bytes()
    assert pq.read_table(lake.part_path(part.path), partitioning=None).equals(data)
    assert re.fullmatch(r"data/words/encoding=e1/[0-9a-f]{32}\.parquet", part.path)
    assert (part.rows, part.bytes, part.sha256) == (100, len(content), hashlib.sha256(content).hexdigest())


def test_batches_and_a_table_make_the_same_rows(lake: Lake) -> None:
    data = words(100)
    part = write_words(lake, iter(data.to_batches(max_chunksize=30)))
    assert part.rows == 100
    assert pq.read_table(lake.part_path(part.path), partitioning=None).equals(data)


def test_vectors_are_plain_float16_without_dictionary_statistics_or_compression(lake: Lake) -> None:
    group = pq.read_metadata(lake.part_path(write_words(lake, words(100)).path)).row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    vector = columns["embedding.list.element"]
    assert set(vector.encodings) == {"PLAIN", "RLE"}
    assert (vector.has_dictionary_page, vector.is_stats_set, vector.compression) == (False, False, "UNCOMPRESSED")
    for name in ("word_lower", "tokens.list.element", "doc_id"):
        found = columns[name]
        assert (found.has_dictionary_page, found.is_stats_set, found.compression) == (True, True, "ZSTD")
    with_bloom = {name for name, column in columns.items() if column.bloom_filter_offset is not None}
    assert with_bloom == {"doc_id", "word_lower"}


def test_duckdb_finds_a_word_by_reading_only_its_row_groups(lake: Lake) -> None:
    part = write_words(lake, words(3 * ROW_GROUP_ROWS))
    path = str(lake.part_path(part.path))
    with duckdb.connect() as con:
        probe = con.execute(
            "SELECT row_group_id, bloom_filter_excludes FROM parquet_bloom_probe(?, 'word_lower', 'word049')", [path]
        )
        assert probe.fetchall() == [(0, True), (1, True), (2, False)]
        count = con.execute("SELECT count(*) FROM read_parquet(?) WHERE word_lower = 'word049'", [path]).fetchone()
    assert count == (sum(i % 50 == 49 for i in range(3 * ROW_GROUP_ROWS)),)


def test_a_part_is_read_only_from_the_moment_it_has_its_name(lake: Lake) -> None:
    path = lake.part_path(write_words(lake, words(3)).path)
    assert path.stat().st_mode & 0o222 == 0


def test_a_failure_halfway_leaves_no_file(lake: Lake) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from words(10).to_batches()
        raise RuntimeError("the encoder died")

    with pytest.raises(RuntimeError, match="encoder died"):
        write_words(lake, broken())
    assert files(lake) == []


def test_a_full_disk_leaves_no_file_and_says_what_to_do(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource
    import signal

    # A limit on file size is the kernel refusing bytes halfway, which is what a full disk does.
    monkeypatch.setattr("polyseme.storage.parts.ROW_GROUP_ROWS", 64)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(PolysemeError, match="make room"):
            write_words(lake, words(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert files(lake) == []


def test_data_of_another_width_is_refused(lake: Lake) -> None:
    with pytest.raises(PolysemeError, match="expects the columns"):
        write_words(lake, words(3, width=8))
    assert files(lake) == []


def test_every_table_can_be_written_empty(lake: Lake) -> None:
    for name in ("documents", "sentences", "words", "tokens", "transitions"):
        empty = table_schema(name, 4).empty_table()
        part = write_part(lake, empty, table=name, encoding_id="e1", width=4)
        assert part.rows == 0
        assert pq.read_table(lake.part_path(part.path), partitioning=None).equals(empty)
