"""Bytes in a bounded amount of memory: decompression and lines. Knows neither encodings nor records.

A stream that ends early raises EOFError, a damaged one OSError without errno, zlib.error or ZstdError, and one that
swells beyond reason ExpansionError, but only after every byte before was handed out: what was good is kept.
"""

from __future__ import annotations

import bz2
import gzip
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

import zstandard

BLOCK = 1 << 20
COMPRESSIONS: tuple[str, ...] = (".gz", ".zst", ".bz2")
_ZSTD_INPUT = 256
"""A zstd block of 4 bytes can hold 128 KiB: at most 8 MiB come out of one step."""
_HEAD = 400
FREE_BYTES = 128 << 20
MOST_EXPANSION = 200
"""Text shrinks by 3 to 20, logs by 100. Beyond `FREE_BYTES` a file that gives more than this for a byte is a bomb."""


class ExpansionError(Exception):
    """A compressed stream that gives far more than any text does."""


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line above the limit: its first bytes, and how many double quotes all of it had."""

    head: bytes
    quotes: int


class ChunkStream(io.RawIOBase):
    """A raw byte stream over an iterator of chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while not self._ready:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._ready = memoryview(chunk)
        n = min(len(buffer), len(self._ready))
        buffer[:n] = self._ready[:n]
        self._ready = self._ready[n:]
        return n


def buffered(chunks: Iterable[bytes]) -> io.BufferedReader:
    """Read an iterator of chunks as one stream."""
    return io.BufferedReader(ChunkStream(chunks), BLOCK)


def chunks_of(stream: BinaryIO | io.BufferedIOBase) -> Iterator[bytes]:
    """Yield what is left in `stream`, block by block."""
    # `read` fills its block and loses it when the stream breaks on the way; `read1` gives what is there.
    read = stream.read1 if isinstance(stream, io.BufferedIOBase) else stream.read
    while block := read(BLOCK):
        yield block


def pushed_back(head: bytes, stream: io.BufferedReader) -> io.BufferedReader:
    """Return a stream that gives `head` first and then the rest of `stream`."""
    return buffered(chain([head], chunks_of(stream)))


def inflated(raw: BinaryIO, compression: str) -> io.BufferedReader:
    """Return the content of `raw`; `compression` is one of `COMPRESSIONS`, or empty for none."""
    if compression == ".gz":
        return buffered(_in_proportion(raw, chunks_of(gzip.GzipFile(fileobj=raw))))
    if compression == ".bz2":
        return buffered(_in_proportion(raw, chunks_of(bz2.BZ2File(raw))))
    if compression == ".zst":
        return buffered(_in_proportion(raw, _zstd_chunks(raw)))
    return buffered(chunks_of(raw))


def _in_proportion(raw: BinaryIO, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass chunks on. Raises ExpansionError where they outgrow what was read of `raw`: memory is bounded anyway, time
    is not."""
    given = 0
    for chunk in chunks:
        given += len(chunk)
        if given > FREE_BYTES and given > MOST_EXPANSION * raw.tell():
            raise ExpansionError(f"{raw.tell():,} bytes gave {given:,}")
        yield chunk


def _zstd_chunks(raw: BinaryIO) -> Iterator[bytes]:
    """Decompress frame after frame. zstandard's own reader takes a truncated frame for a complete one."""
    decompressor = zstandard.ZstdDecompressor()
    frame = None
    while data := raw.read(_ZSTD_INPUT):
        while data:
            frame = frame or decompressor.decompressobj()
            chunk = frame.decompress(data)
            data = b""
            if frame.eof:
                data, frame = frame.unused_data, None
            if chunk:
                yield chunk
    if frame is not None:
        raise EOFError("the last zstd frame is not complete")


def bounded_lines(stream: io.BufferedReader, limit: int) -> Iterator[bytes | LongLine]:
    """Yield lines with their newline; one of more than `limit` bytes is passed over without being held."""
    while line := stream.readline(limit + 1):
        if len(line) > limit and not line.endswith(b"\n"):
            head, quotes = line[:_HEAD], line.count(b'"')
            del line
            while rest := stream.readline(BLOCK):
                quotes += rest.count(b'"')
                if rest.endswith(b"\n"):
                    break
            yield LongLine(head, quotes)
        else:
            yield line
