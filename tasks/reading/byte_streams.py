"""Byte streams in bounded memory: decompression and lines. Knows neither encodings nor records.

A stream that ends early raises EOFError, a damaged one OSError without errno or zlib.error, and one that expands beyond
the limit ExpansionError, but only after all bytes before were yielded: what is good is kept.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

BLOCK = 1 << 20
"""Bytes read at once."""
COMPRESSIONS: tuple[str, ...] = (".gz", ".zst", ".bz2", ".xz")
_ZSTD_INPUT = 256
"""A zstd block of 4 bytes can expand to 128 KiB: at most 8 MiB per step."""
_LARGEST_WINDOW = 1 << 31
"""What `zstd --long=31` writes. The memory is taken only as far as the stream expands, which is limited."""
_ZSTD_DICTIONARY_FRAME = b"\x5d\x2a\x4d\x18"
_ZSTD_DICTIONARY = b"\x37\xa4\x30\xec"
_MOST_DICTIONARY = 16 << 20
"""Tools make dictionaries of 100 KB."""
_SHORTER_WINDOW = "Compress it with a window of at most 2 GiB (zstd --long=31), or pipe it through zstd -dc into -"
_XZ_MEMORY = 1 << 28
"""What `xz -9` writes takes 65 MiB."""
_SMALLER_XZ = "Compress it with xz -9 or less, or pipe it through xz -dc into -"
_HEAD = 400
"""Bytes of an overlong line that are kept."""
MANY_BLANK_LINES = 256
"""After as many in a row the next ones are skipped together, which copies up to a block."""
FREE_BYTES = 128 << 20
MOST_EXPANSION = 200
"""Text compresses by 3 to 20, logs by 100. A stream that exceeds both `FREE_BYTES` and this factor is a decompression
bomb."""


class ExpansionError(Exception):
    """Compressed data that expands far more than text does: what was found, and `advice`."""

    def __init__(self, found: str, advice: str = "If this is intended, decompress it and embed the result") -> None:
        super().__init__(found)
        self.advice = advice


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line above the limit: its first bytes, and the number of quotes in all of it."""

    head: bytes
    quotes: int


class ChunkStream(io.RawIOBase):
    """A raw byte stream over an iterator of chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._ready = memoryview(b"")
        self._position = 0

    def tell(self) -> int:
        return self._position

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
        self._position += n
        return n


def buffered(chunks: Iterable[bytes]) -> io.BufferedReader:
    """Return an iterator of chunks as one buffered stream."""
    return io.BufferedReader(ChunkStream(chunks), BLOCK)


def chunks_of(stream: BinaryIO | io.BufferedIOBase) -> Iterator[bytes]:
    """Yield the rest of `stream`, block by block."""
    # `read` fills a block and loses it if the stream breaks meanwhile; `read1` returns what is available.
    read = stream.read1 if isinstance(stream, io.BufferedIOBase) else stream.read
    while block := read(BLOCK):
        yield block


def pushed_back(head: bytes, stream: io.BufferedReader) -> io.BufferedReader:
    """Return a stream of `head` followed by the rest of `stream`."""
    return buffered(chain([head], chunks_of(stream)))


def inflated(raw: BinaryIO, compression: str) -> io.BufferedReader:
    """Return `raw` decompressed; `compression` is one of `COMPRESSIONS`, or empty for none."""
    if compression == ".gz":
        return buffered(_limited(raw, chunks_of(gzip.GzipFile(fileobj=raw))))
    if compression == ".bz2":
        return buffered(_limited(raw, chunks_of(bz2.BZ2File(raw))))
    if compression == ".xz":
        return buffered(_limited(raw, _xz_chunks(raw)))
    if compression == ".zst":
        return buffered(_limited(raw, _zstd_chunks(raw)))
    return buffered(chunks_of(raw))


def _limited(raw: BinaryIO, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield `chunks`. Raises ExpansionError if they expand what was read of `raw` beyond the limit, to bound time."""
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > FREE_BYTES and total > MOST_EXPANSION * raw.tell():
            raise ExpansionError(
                f"expands to more than {MOST_EXPANSION} times its size ({raw.tell():,} bytes gave {total:,})"
            )
        yield chunk


def _xz_chunks(raw: BinaryIO) -> Iterator[bytes]:
    """Decompress stream by stream, in bounded memory, which `lzma.open` cannot."""
    data, decompressor = b"", None
    while True:
        # What is asked for without input is output that did not fit into a block before.
        data = data or (raw.read(BLOCK) if decompressor is None or decompressor.needs_input else b"")
        if decompressor is None:
            data = data.lstrip(b"\0")  # streams are padded
            if not data:
                if raw.read(1):
                    raise OSError("more padding than a stream has")
                return
            decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        elif not data and decompressor.needs_input:
            raise EOFError("the last stream of xz is not complete")
        try:
            chunk = decompressor.decompress(data, BLOCK)
        except lzma.LZMAError as error:
            if "Memory usage limit" in str(error):
                raise ExpansionError("needs more than 256 MiB of memory to decompress", _SMALLER_XZ) from error
            raise OSError(str(error)) from error
        data = b""
        if decompressor.eof:
            data, decompressor = decompressor.unused_data, None
        if chunk:
            yield chunk


def _zstd_chunks(raw: BinaryIO) -> Iterator[bytes]:
    """Decompress frame by frame. zstandard's own reader takes a truncated frame for a complete one."""
    import zstandard  # only here: machines that read no .zst files need not have it

    dictionary, head = _zstd_dictionary(raw)
    decompressor = zstandard.ZstdDecompressor(
        max_window_size=_LARGEST_WINDOW, dict_data=zstandard.ZstdCompressionDict(dictionary) if dictionary else None
    )
    frame = None
    while data := head or raw.read(_ZSTD_INPUT):
        head = b""
        while data:
            frame = frame or decompressor.decompressobj()
            try:
                chunk = frame.decompress(data)
            except zstandard.ZstdError as error:
                if "too much memory" in str(error):
                    raise ExpansionError("needs more than 2 GiB of memory to decompress", _SHORTER_WINDOW) from error
                if "Dictionary mismatch" in str(error):
                    raise OSError("it needs a dictionary that is not in it; decompress it with zstd -D") from error
                raise OSError(str(error)) from error
            data = b""
            if frame.eof:
                data, frame = frame.unused_data, None
            if chunk:
                yield chunk
    if frame is not None:
        raise EOFError("the last zstd frame is not complete")


def _zstd_dictionary(raw: BinaryIO) -> tuple[bytes, bytes]:
    """Return the dictionary of the frames that follow, empty for none, and what was read of them.

    It stands in a skippable frame of its own, compressed or not, as "Zstandard Compression for WARC Files 1.0" proposes
    (https://iipc.github.io/warc-specifications/specifications/warc-zstd/).
    """
    import zstandard

    head = raw.read(8)
    size = int.from_bytes(head[4:], "little")
    if len(head) < 8 or not head.startswith(_ZSTD_DICTIONARY_FRAME) or size > _MOST_DICTIONARY:
        return b"", head
    content = raw.read(size)
    if len(content) < size:
        raise EOFError("the dictionary is not complete")
    if content.startswith(zstandard.FRAME_HEADER):
        try:
            content = zstandard.ZstdDecompressor().stream_reader(content).read(_MOST_DICTIONARY + 1)
        except zstandard.ZstdError as error:
            raise OSError(f"its dictionary is damaged: {error}") from error
        if len(content) > _MOST_DICTIONARY:
            raise ExpansionError(f"its dictionary expands to more than {_MOST_DICTIONARY:,} bytes")
    return (content if content.startswith(_ZSTD_DICTIONARY) else b""), b""


def skip_blank_lines(stream: io.BufferedReader, blank: bytes) -> int:
    """Skip the lines that come next, as far as they are buffered, and consist of `blank` bytes; return their number.

    For whoever met many: line by line, 130 KB of gzip that hold 62 million of them take over a minute.
    """
    ahead = stream.peek()
    end = ahead.rfind(b"\n", 0, len(ahead) - len(ahead.lstrip(blank))) + 1
    stream.read(end)
    return ahead.count(b"\n", 0, end)


def with_newlines(stream: io.BufferedReader) -> io.BufferedReader:
    """Return a stream whose lines end in a carriage return alone, as Excel for Mac writes them, with newlines.

    The first end of a line decides.
    """
    return buffered(_with_newlines(chunks_of(stream)))


def _with_newlines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    chunks = iter(chunks)
    held = b""
    for chunk in chunks:
        held += chunk
        at = held.find(b"\r")
        if b"\n" in held or (at >= 0 and at + 1 < len(held)):
            break
        if at < 0:
            yield held
            held = b""
    alone = b"\r" in held and b"\n" not in held
    for chunk in chain([held], chunks):
        yield chunk.replace(b"\r", b"\n") if alone else chunk


def bounded_lines(stream: io.BufferedReader, limit: int, *, quote: bytes = b'"') -> Iterator[bytes | LongLine]:
    """Yield lines with their newline; a line of more than `limit` bytes is skipped without holding it in memory.

    Occurrences of `quote` in such a line are counted, unless it is empty.
    """
    while line := stream.readline(limit + 1):
        if len(line) > limit and not line.endswith(b"\n"):
            head, quotes = line[:_HEAD], line.count(quote) if quote else 0
            del line
            while rest := stream.readline(BLOCK):
                quotes += rest.count(quote) if quote else 0
                if rest.endswith(b"\n"):
                    break
            yield LongLine(head, quotes)
        else:
            yield line
