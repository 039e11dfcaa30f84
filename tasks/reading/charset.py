"""Character encodings: from bytes of an unknown encoding to UTF-8. Knows no files or formats.

In order of trust: a byte order mark, strict UTF-8, zeros at every other byte (UTF-16 without a mark), and last a
detector on a sample. UTF-8 with a few broken bytes stays UTF-8, so that it is rejected, not read as another alphabet.
"""

from __future__ import annotations

import codecs
import io
from collections import Counter
from collections.abc import Iterable, Iterator

from polyseme.tasks.reading.byte_streams import buffered, chunks_of, pushed_back

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its first half
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 1 << 16
_CANDIDATES = [
    *("cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_2"),
    *("iso8859_15", "cp932", "euc_jp", "gb18030", "big5", "cp949", "mac_roman", "cp437", "cp850", "cp866"),
]
"""With all codecs of Python to choose from, the detector prefers exotic ones: `café` becomes two Chinese characters."""

_LATIN = {"cp1252", "cp1250", "cp1254", "cp1257", "iso8859_2", "iso8859_15", "mac_roman", "cp437", "cp850"}
_ALPHABETS = {
    "cp1252": (
        "àâæçèéêëîïôœùûüÿ äöüß áéíñóúüªº¿¡ àáâãçéêíóôõú àèéìíòóù àáäåéöü àåæéèêóòôøü áèéëïíóöü áæéíðóöúýþ àçèéíïòóúü·"
    ),
    "cp1250": "ąćęłńóśźż áčďéěíňóřšťúůýž áäčďéíĺľňóôŕšťúýž áéíóöőúüű ăâîşţ ćčđšž ëç",
    "cp1254": "âçğıîöşüû",
    "cp1257": "ąčėęįšūųž āčēģīķļņšūž äõöšüž",
}
"""Letters beyond ASCII, one word per language; the first wins a tie. The detector alone reads `rêvé` as `ręvé`."""
_SHARED = frozenset("“”‘’‚„‹›«»–—…•€§°©®±\xa0\u0307")


def take_mark(stream: io.BufferedReader) -> tuple[io.BufferedReader, str | None]:
    """Return the stream without its byte order mark, as UTF-8, and the encoding that the mark declares, if any."""
    head = stream.read(4)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            rest = pushed_back(head[len(mark) :], stream)
            return (rest if encoding == "utf-8" else as_utf8(rest, encoding)), encoding
    return pushed_back(head, stream), None


def as_utf8(stream: io.BufferedReader, encoding: str) -> io.BufferedReader:
    """Re-encode a stream to UTF-8. Bytes that are invalid in `encoding` are kept, and are then invalid UTF-8.

    Reading raises UnicodeDecodeError for damage that cannot be kept, such as half a UTF-16 unit.
    """
    return buffered(_transcoded(chunks_of(stream), encoding))


def _transcoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="surrogateescape")
    for chunk in chunks:
        if utf8 := decoder.decode(chunk).encode(errors="surrogateescape"):
            yield utf8
    yield decoder.decode(b"", final=True).encode(errors="surrogateescape")


def sniff(data: bytes, *, complete: bool) -> str | None:
    """Return the encoding of `data`; None if none fits. `complete` is False for the head of a longer text.

    Damaged UTF-8 is `utf-8` too: decode it strictly and reject it.
    """
    if zeros := _utf16_without_mark(data[:_SAMPLE]):
        return zeros
    bad = _first_invalid(data, complete=complete)
    if bad is None:
        return "utf-8"
    # From the start of the line: half a character at the start of the sample would mislead the detector.
    start = max(data.rfind(b"\n", max(0, bad - _SAMPLE), bad) + 1, bad - _SAMPLE // 2, 0)
    window = data[start : start + _SAMPLE]
    if _is_damaged_utf8(window):
        return "utf-8"
    return None if b"\0" in window else _detect(window)


def _first_invalid(data: bytes, *, complete: bool) -> int | None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        cut = not complete and error.end == len(data) and error.reason == "unexpected end of data"
        return None if cut else error.start
    return None


def _utf16_without_mark(sample: bytes) -> str | None:
    """Recognise UTF-16 of a script whose units have a zero byte. It is valid UTF-8 too, with every other byte NUL."""
    pairs = len(sample) // 2
    even, odd = sample[0 : 2 * pairs : 2].count(0), sample[1 : 2 * pairs : 2].count(0)
    if pairs < 4 or max(even, odd) < 0.4 * pairs or min(even, odd) > 0.05 * pairs:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _is_damaged_utf8(window: bytes) -> bool:
    """Return whether valid UTF-8 sequences outnumber invalid bytes: in other encodings they occur only by chance."""
    beyond_ascii = [c for c in window.decode(errors="surrogateescape") if c > "\x7f"]
    stray = sum("\udc80" <= c <= "\udcff" for c in beyond_ascii)
    return stray < len(beyond_ascii) - stray


def _detect(window: bytes) -> str | None:
    from charset_normalizer import from_bytes  # 50 ms, which most corpora need not spend

    best = from_bytes(window, cp_isolation=_CANDIDATES).best()
    if best is None or best.encoding not in _LATIN:
        return None if best is None else best.encoding
    scores = {encoding: _spells_a_language(window, encoding) for encoding in _ALPHABETS}
    winner = max(scores, key=scores.__getitem__)
    return winner if scores[winner] >= 0.9 else best.encoding


def _spells_a_language(window: bytes, encoding: str) -> float:
    """Return the share of letters beyond ASCII that belong to the best fitting language of `encoding`."""
    found = Counter(c for c in window.decode(encoding, "replace").lower() if c > "\x7f" and c not in _SHARED)
    if not found:
        return 1.0
    return max(sum(found[c] for c in alphabet) for alphabet in _ALPHABETS[encoding].split()) / found.total()
