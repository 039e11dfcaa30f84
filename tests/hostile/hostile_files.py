"""Hostile files, made by small functions: each with what reading it must end in. Nothing large is stored.

`READ` is a file that is read; any other word is the code of a reject that the file must have.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

READ = "read"
MIB = 1 << 20
Made = tuple[str, Callable[[], bytes], str]
"""The suffix of a file's name, what makes its content, and how it ends."""

GOOD_LINE = b'{"id": "l", "text": "The harbour froze."}\n'


def parquet(columns: Any, **options: Any) -> Callable[[], bytes]:
    """Return what writes a Parquet file; a callable is called for its columns, so that they are made when needed."""

    def made() -> bytes:
        out = io.BytesIO()
        table = columns() if callable(columns) else columns
        pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), out, **options)
        return out.getvalue()

    return made


DELTA: dict[str, Any] = {
    "column_encoding": "DELTA_BYTE_ARRAY", "use_dictionary": False, "compression": "zstd", "write_statistics": False,
    "data_page_size": 64 << 20,
}  # fmt: skip


def one_list_of(values: np.ndarray[Any, Any]) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), pa.array(values))


def repeated(text: str, times: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(times, np.int32)), [text])


def nested(depth: int) -> pa.Array:
    kind, value = pa.int32(), 1
    for _ in range(depth):
        kind, value = pa.list_(kind), [value]  # type: ignore[assignment]
    return pa.array([value], kind)


def zone(name: str) -> Callable[[], bytes]:
    return parquet({"text": ["A text."], "seen": pa.array([0], pa.timestamp("us", name))})


def edited(made: Callable[[], bytes], edit: Callable[[bytearray], object]) -> Callable[[], bytes]:
    def changed() -> bytes:
        content = bytearray(made())
        edit(content)
        return bytes(content)

    return changed


def deep_schema(depth: int) -> bytes:
    """A footer alone (Thrift's compact protocol), with a schema of `depth` groups inside each other."""

    def number(n: int) -> bytes:
        return bytes([n & 0x7F | 0x80]) + number(n >> 7) if n > 0x7F else bytes([n])

    root, group, leaf = b"\x48\x01r\x15\x02\0", b"\x35\x02\x18\x01g\x15\x02\0", b"\x15\x02\x25\x02\x18\x01x\0"
    schema = b"\xfc" + number(depth + 2) + root + group * depth + leaf
    footer = b"\x15\x02\x19" + schema + b"\x16\x00\x19\x0c\0"
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def lying_page() -> bytes:
    """A page whose header gives 2 GiB for its 20 bytes."""
    content = parquet({"text": ["A text."]}, compression="zstd", use_dictionary=False, write_statistics=False)()
    # Field 2 of the header, an i32: its size uncompressed. It must keep its length for the rest to be found.
    header = content.index(b"\x15\x00\x15", 4)
    end = header + 3
    while content[end] & 0x80:
        end += 1
    huge = b"\xfe\xff\xff\xff\x0f"
    return content[: header + 3] + huge + content[end + 1 :]


def lying_compressed_page() -> bytes:
    """A page whose header says that 2 GiB follow, in 36 bits of which a reader in C++ takes 32."""
    content = parquet({"text": ["A text."]}, compression="gzip", use_dictionary=False, write_statistics=False)()
    start = content.index(b"\x15\x00\x15", 4) + 4
    assert content[start] == 0x15
    return content[: start + 1] + b"\x8e\xff\xff\xff\x7f" + content[start + 2 :]


def lying_footer() -> bytes:
    """A list of 30 million zeros of which the footer says that it is one."""
    content = bytearray(parquet({"text": ["x"], "l": one_list_of(np.zeros(30_000_000, np.int8))})())
    many = content.rindex(b"\x16\x80\x8e\xce\x1c") + 1
    content[many : many + 4] = b"\x82\x80\x80\x00"
    return bytes(content)


def window(log: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=min(log, 31))
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    made = bytearray(compressor.compress(GOOD_LINE) + compressor.flush())
    made[5] = (log - 10) << 3
    return bytes(made)


def lines(*records: bytes) -> Callable[[], bytes]:
    return lambda: b"\n".join(records) + b"\n"


def csv(content: bytes) -> Callable[[], bytes]:
    return lambda: content


_PAIRS = b'{"text": "x", ' + b", ".join(b'"k%d": %d' % (i, i) for i in range(200_000)) + b"}"
_ZEROS = b"\0" * MIB

FILES: dict[str, Made] = {
    # Compressed streams
    "a gzip bomb": (".txt.gz", lambda: gzip.compress(b" " * (100 * MIB), 1), "document-too-large"),
    "a gzip bomb of lines": (".jsonl.gz", lambda: gzip.compress(b" " * (150 * MIB), 6), "decompression-bomb"),
    "a bzip2 bomb": (".jsonl.bz2", lambda: bz2.compress(_ZEROS, 9) * 140, "decompression-bomb"),
    "a zstd bomb": (".csv.zst", lambda: zstandard.compress(b"\0" * (400 * MIB), 1), "decompression-bomb"),
    "a gzip file in a gzip file": (".jsonl.gz", lambda: gzip.compress(gzip.compress(GOOD_LINE)), "invalid-utf8"),
    "gzip members": (".jsonl.gz", lambda: gzip.compress(b"") * 5_000 + gzip.compress(GOOD_LINE), READ),
    "gzip with garbage at its end": (".jsonl.gz", lambda: gzip.compress(GOOD_LINE) + b"garbage" * 9, "corrupt"),
    "half a gzip file": (".jsonl.gz", lambda: gzip.compress(GOOD_LINE * 99)[:60], "truncated"),
    "half a zstd file": (".jsonl.zst", lambda: zstandard.compress(GOOD_LINE * 99)[:40], "truncated"),
    "half a bzip2 file": (".jsonl.bz2", lambda: bz2.compress(GOOD_LINE * 99)[:40], "truncated"),
    "no gzip file": (".jsonl.gz", lambda: GOOD_LINE, "corrupt"),
    "no zstd file": (".jsonl.zst", lambda: GOOD_LINE, "corrupt"),
    "no bzip2 file": (".jsonl.bz2", lambda: GOOD_LINE, "corrupt"),
    "a zstd window of 256 MiB": (".jsonl.zst", lambda: window(28), READ),
    "a zstd window of 2 GiB": (".jsonl.zst", lambda: window(31), READ),
    "a zstd window of 1 TiB": (".jsonl.zst", lambda: window(40), "decompression-bomb"),
    "a zstd frame without content": (".jsonl.zst", lambda: zstandard.compress(b""), "empty-file"),
    "lines of nothing": (".jsonl.gz", lambda: gzip.compress(b"\n" * (8 * MIB), 9), "empty-file"),
    "rows of nothing": (".csv.gz", lambda: gzip.compress(b"text\n" + b"\n" * (8 * MIB), 9), "empty-file"),
    # Text
    "an empty text": (".txt", lambda: b"", "empty-file"),
    "zeros": (".txt", lambda: b"\0" * 1000, "empty-text"),
    "a text over the limit": (".txt", lambda: b"word " * (14 * MIB), "document-too-large"),
    "half of UTF-16": (".txt", lambda: b"\xff\xfea\0b\0c", "undecodable"),
    "UTF-8 with a broken byte": (".txt", lambda: "é".encode() * 99 + b"\xff", "invalid-utf8"),
    "a heading of spaces": (".md", lambda: b"# " + b" " * 300_000 + b"x\nA text.", READ),
    "fences without end": (".md", lambda: b"```\n" * 100_000, READ),
    "combining marks": (".txt", ("a" + "\u0301\u0323" * 200_000).encode, READ),
    "terminal commands": (".txt", lambda: b"\x1b]0;title\x07\x1b[2J The text.", READ),
    # JSON lines
    "a deep array": (".jsonl", lines(b"[" * 100_000), "bad-json"),
    "a deep object": (".jsonl", lines(b'{"text": "x", "a": ' + b'{"a":' * 500 + b"1" + b"}" * 501), "bad-json"),
    "a deep array that is closed": (".jsonl", lines(b'{"text": ' + b"[" * 900 + b"]" * 900 + b"}"), "wrong-type"),
    "a number of 100,000 digits": (".jsonl", lines(b'{"text": "x", "n": ' + b"9" * 100_000 + b"}"), "bad-json"),
    "a number of 100 digits": (".jsonl", lines(b'{"text": "x", "n": ' + b"9" * 100 + b"}"), READ),
    "an infinite number": (".jsonl", lines(b'{"text": "x", "n": 1e999}'), "bad-json"),
    "not a number": (".jsonl", lines(b'{"text": "x", "n": NaN}'), "bad-json"),
    "an id of 30 digits": (".jsonl", lines(b'{"text": "x", "id": 123456789012345678901234567890}'), READ),
    "a long key": (".jsonl", lines(b'{"text": "x", "' + b"k" * (8 * MIB) + b'": 1}'), READ),
    "many keys": (".jsonl", lines(_PAIRS), READ),
    "a key twice": (".jsonl", lines(b'{"text": "x", "text": "y", "id": "a", "id": "b"}'), READ),
    "half a surrogate": (".jsonl", lines(b'{"text": "x\\ud800", "k\\udfff": 1}'), READ),
    "a NUL in a key": (".jsonl", lines(b'{"text": "x\\u0000", "k\\u0000": 1}'), READ),
    "a line over the limit": (".jsonl", lines(b'{"text": "' + b"x" * (65 * MIB) + b'"}'), "line-too-long"),
    "many empty objects": (".jsonl", lines(b"[" + b"{}," * MIB + b"{}]"), "not-an-object"),
    "UTF-16 lines": (".jsonl", lambda: GOOD_LINE.decode().encode("utf-16"), READ),
    "broken UTF-8 in a line": (".jsonl", lines(b'{"text": "\xff\xfe"}'), "invalid-utf8"),
    # CSV and TSV
    "a header of equal names": (".csv", csv(b"a," * 300_000 + b"text\n"), "bad-row"),
    "a header of 60,000 equal names": (".csv", csv(b",".join([b"a"] * 60_000) + b"\nx\n"), "bad-row"),
    "many columns": (".csv", csv(b"text," + b"," * 50_000 + b"\nA text," + b"," * 50_000 + b"\n"), READ),
    "a row of commas": (".csv", csv(b"text,a\nx" + b"," * (30 * MIB) + b"\n"), "bad-row"),
    "quotes without end": (".csv", csv(b'text,a\n"' + b"x,y\n" * MIB), "bad-row"),
    "quotes without end over the limit": (
        ".csv", csv(b'text,a\n"' + (b"x," * 511 + b"x\n") * 67_000), "line-too-long"),
    "quotes alone": (".csv", csv(b"text\n" + b'"' * 1_000_001), "bad-row"),
    "NULs": (".csv", csv(b"text\nA\0text\n\0\n"), "empty-text"),
    "a header alone": (".tsv", csv(b"text\ta\n"), "empty-file"),
    "an empty table": (".csv", csv(b""), "empty-file"),
    "carriage returns alone": (".csv", csv(b"id,text\rm1,One.\r"), READ),
    # Parquet: what expands
    "a list of 30 million zeros": (
        ".parquet", parquet(lambda: {"text": ["x"], "l": one_list_of(np.zeros(30_000_000, np.int64))}),
        "decompression-bomb",
    ),
    "a list of 50 million bytes of zero": (
        ".parquet", parquet(lambda: {"text": ["x"], "l": one_list_of(np.zeros(50_000_000, np.int8))}),
        "decompression-bomb",
    ),
    "a list of 10 million zeros": (
        ".parquet", parquet(lambda: {"text": ["x"], "l": one_list_of(np.zeros(10_000_000, np.int8))}), "line-too-long",
    ),
    "a list of one long text": (
        ".parquet", parquet(lambda: {"text": ["x"], "l": pa.array([["x" * MIB] * 100])}), "line-too-long",
    ),
    "a million long texts": (
        ".parquet", parquet(lambda: {"text": repeated("x" * MIB, 1_000_000)}), "decompression-bomb",
    ),
    "nulls in place of lists of 10 million": (
        ".parquet", parquet(lambda: {"text": ["x"] * 9, "l": pa.nulls(9, pa.list_(pa.int8(), 10_000_000))}),
        "decompression-bomb",
    ),
    "a long text beside each of 2,000": (
        ".parquet", parquet(lambda: {"text": ["x"] * 2000, "a": repeated("x" * MIB, 2000)}), "decompression-bomb",
    ),
    "long texts that share all but their end": (
        ".parquet", parquet(lambda: {"text": ["x" * (4 * MIB) + str(i) for i in range(40)]}, **DELTA),
        "decompression-bomb",
    ),
    "a list of long texts that share all": (
        ".parquet", parquet(lambda: {"text": ["x"], "l": pa.array([["x" * (4 * MIB)] * 40])}, **DELTA),
        "decompression-bomb",
    ),
    "a list that is longer than the footer says": (".parquet", lying_footer, "decompression-bomb"),
    "texts in version 2 of Parquet": (
        ".parquet", parquet({"text": ["x"]}, column_encoding="DELTA_LENGTH_BYTE_ARRAY", use_dictionary=False,
        data_page_version="2.0"), READ,
    ),
    "20 million rows": (".parquet", parquet(lambda: {"n": np.zeros(20_000_000, np.int8)}), "decompression-bomb"),
    "a page header that gives 2 GiB": (".parquet", lying_page, "decompression-bomb"),
    "a page header after which 2 GiB follow": (".parquet", lying_compressed_page, "corrupt"),
    "5,000 columns": (".parquet", parquet(lambda: {"text": ["x"], **{f"c{i}": [i] for i in range(5_000)}}), READ),
    "20,000 columns": (
        ".parquet", parquet(lambda: {"text": ["x"], **{f"c{i}": [i] for i in range(20_000)}}), "decompression-bomb",
    ),
    "a footer of 40 MiB": (
        ".parquet", parquet(lambda: pa.table({"text": ["x"]}, metadata={"key": "x" * (40 * MIB)})),
        "decompression-bomb",
    ),
    "lists 40 deep": (".parquet", parquet(lambda: {"text": ["x"], "l": nested(40)}), READ),
    "a schema 100,000 deep": (".parquet", lambda: deep_schema(100_000), "corrupt"),
    # Parquet: what is odd
    "binary columns alone": (".parquet", parquet({"a": pa.array([b"x"], pa.binary())}), "missing-field"),
    "no row": (".parquet", parquet({"text": pa.array([], pa.string())}), "empty-file"),
    "no column": (".parquet", parquet(pa.table({})), "empty-file"),
    "the zone tzutc()": (".parquet", zone("tzutc()"), READ),
    "the zone Z": (".parquet", zone("Z"), READ),
    "years beyond 9999 with a zone": (
        ".parquet", parquet({"text": ["x"], "seen": pa.array([1 << 62], pa.timestamp("us", "tzutc()"))}), READ,
    ),
    "a zone of control characters": (".parquet", zone("\x1b[2J\n/etc/passwd"), READ),
    "a zone that is a path": (".parquet", zone("../../../../etc/passwd"), READ),
    "years beyond 9999 in a list": (
        ".parquet", parquet({"text": ["x"], "l": pa.array([[10**9]], pa.list_(pa.date32()))}), READ,
    ),
    "nanoseconds in a struct": (
        ".parquet", parquet({"text": ["x"], "s": pa.array([{"a": 1}], pa.struct({"a": pa.timestamp("ns")}))}), READ,
    ),
    "broken UTF-8 in a list": (
        ".parquet",
        parquet(lambda: {"text": ["x"], "l": pa.array([[b"\xff"]], pa.list_(pa.binary())).view(pa.list_(pa.string()))}),
        READ,
    ),
    "a map with broken UTF-8": (
        ".parquet",
        parquet(lambda: {"text": ["x"], "m": pa.array([[(b"\xff", 1)]], pa.map_(pa.binary(), pa.int8()))}), READ,
    ),
    "a text that is a number": (".parquet", parquet({"text": [1]}), "wrong-type"),
    "garbage": (".parquet", lambda: bytes(range(256)) * 100, "corrupt"),
    "the mark of Parquet alone": (".parquet", lambda: b"PAR1PAR1", "corrupt"),
    "a footer of 4 GiB": (".parquet", lambda: b"PAR1" + b"\xff" * 8 + b"PAR1", "corrupt"),
    "half a Parquet file": (".parquet", lambda: parquet({"text": ["x"]})()[:100], "corrupt"),
    "an encrypted footer": (".parquet", lambda: parquet({"text": ["x"]})()[:-4] + b"PARE", "corrupt"),
    "JSON": (".parquet", lambda: json.dumps({"text": "x"}).encode(), "corrupt"),
}  # fmt: skip
