"""What a file is by its first bytes: signatures, parts of ZIP files, markup, mail, JSON, text. Knows names only to tell
apart what the beginning leaves open, and no reader.

Formats are named by the suffix that they usually have, as in `formats`; so are compressions, which are looked into.
"""

from __future__ import annotations

import bz2
import lzma
import re
import struct
import zlib
from contextlib import suppress

from polyseme.tasks.reading.charset import sniff

HEAD_BYTES = 1 << 16
"""How much of a file should be given: more is not looked at, less may not be enough to tell what it is."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", ".pdf"),
    (b"{\\rtf", ".rtf"),
    (b"PAR1", ".parquet"),
    (b"WARC/", ".warc"),
)
_COMPRESSED: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b\x08", ".gz"),
    (b"\x28\xb5\x2f\xfd", ".zst"),
    (b"BZh", ".bz2"),
    (b"\xfd7zXZ\0", ".xz"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_STREAMS = (
    ("__substg1.0_", ".msg"),
    ("WordDocument", ".doc"),
    ("PowerPoint Document", ".ppt"),
    ("Workbook", ".xls"),
)
_OLE_SUFFIXES = tuple(suffix for _, suffix in _OLE_STREAMS)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_NO_TEXT = (*_ZIP, _OLE, *(s for s, _ in _SIGNATURES), *(s for s, _ in _COMPRESSED if s != b"BZh"))
_OPEN_DOCUMENT = {
    b"application/epub+zip": ".epub",
    b"application/vnd.oasis.opendocument.text": ".odt",
    b"application/vnd.oasis.opendocument.spreadsheet": ".ods",
    b"application/vnd.oasis.opendocument.presentation": ".odp",
}
_OFFICE_FOLDERS = ((b"word/", ".docx"), (b"ppt/", ".pptx"), (b"xl/", ".xlsx"))
_OFFICE_SUFFIXES = (".docx", ".pptx", ".xlsx", ".epub", ".odt", ".ods", ".odp")
_HTML = re.compile(
    rb"(?:<\?xml[^>]{0,200}>\s*+)?(?:<!--(?:(?!-->).)*+-->\s*+)*+<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)
_LATEX = re.compile(
    rb"(?:%[^\n]*+\n|\s|\\(?:RequirePackage|PassOptionsToPackage|NeedsTeXFormat)\b[^\n]*+\n)*+\\document(?:class|style)\b"
)
_XML = re.compile(rb"<\?xml\s")
_MBOX = re.compile(rb"From [^\r\n]{1,200}\r?\n(?:>?[!-9;-~]{1,80}:[^\n]{0,2000}\r?\n(?:[ \t][^\n]*\n)*){2}")
_HEADERS = re.compile(rb"(?:[!-9;-~]{1,80}:[^\n]*\n(?:[ \t][^\n]*\n)*){3,}(?=\r?\n|\Z)")
_OF_MAIL = re.compile(rb"^(?:received|message-id|mime-version|return-path|delivered-to):", re.IGNORECASE | re.MULTILINE)
_SENDER = re.compile(rb"^(?:from|date|subject):", re.IGNORECASE | re.MULTILINE)
_NOTEBOOK = re.compile(rb'"nbformat"|"cell_type"\s*:')
_JSON_LINE = re.compile(rb'\s*\{\s*"[^\r\n]*\}[ \t]*(?:\r?\n|\Z)')
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")


def format_of_content(head: bytes, name: str = "") -> tuple[str, str] | None:
    """Return the format and the compression of a file that begins with `head`, as suffixes; None for other data.

    The compression is empty for none. Text of no other kind is `.txt`. `name` decides only where the beginning does
    not show which of several formats of one container it is.
    """
    for signature, compression in _COMPRESSED:
        if head.startswith(signature):
            inside = _format(_inflated(head, compression), "")
            return (inside, compression) if inside else None
    found = _format(head[:HEAD_BYTES], name.lower())
    return (found, "") if found else None


def has_signature(head: bytes) -> bool:
    """Return whether a file begins as only a format that is no text does, whatever its name says. Takes no time."""
    return head.startswith(_NO_TEXT) or head[257:262] == b"ustar"


def _format(head: bytes, name: str) -> str | None:
    if not head.strip() and len(head) < HEAD_BYTES:
        return None
    if head.startswith(_ZIP):
        return _in_zip(head, name)
    if head.startswith(_OLE):
        return _in_ole(head, name)
    if head[257:262] == b"ustar":
        return ".tar"
    bare = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    for signature, suffix in _SIGNATURES:
        if bare.startswith(signature):
            return suffix
    # A PDF may have anything within its first 1,024 bytes; text that speaks of PDF has no bytes of control.
    if b"%PDF-" in head[:1024] and _CONTROL.search(head):
        return ".pdf"
    return _of_text(head, bare)


def _of_text(head: bytes, bare: bytes) -> str | None:
    encoding = sniff(head, complete=len(head) < HEAD_BYTES)
    if encoding is None:
        return None
    if encoding.startswith("utf-16") or head.startswith((b"\xff\xfe", b"\xfe\xff")):
        with suppress(UnicodeDecodeError):
            bare = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else encoding, "replace").encode()
        head = bare = bare.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if _CONTROL.search(head) or (encoding == "utf-8" and not _is_utf8(head)):
        return None
    if _HTML.match(bare):
        return ".html"
    if _XML.match(bare):
        return ".xml"
    if _LATEX.match(bare):
        return ".tex"
    if _MBOX.match(bare):
        return ".mbox"
    if (mail := _HEADERS.match(bare)) and _OF_MAIL.search(mail[0]) and _SENDER.search(mail[0]):
        return ".eml"
    if bare.startswith(b"{"):
        return ".ipynb" if _NOTEBOOK.search(bare) else ".jsonl" if _JSON_LINE.match(bare) else ".json"
    if re.match(rb"\[\s*(?:\{\s*\"|\])", bare):
        return ".json"
    return ".txt"


def _is_utf8(head: bytes) -> bool:
    """Return whether text is UTF-8 but for a character that the end of `head` may cut."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.end == len(head) and error.reason == "unexpected end of data"
    return True


def _in_zip(head: bytes, name: str) -> str:
    """Return which format of ZIP files this is, by the names of the parts that come first."""
    names = _zip_names(head)
    if names[:1] == [b"mimetype"]:
        start = 30 + len(b"mimetype") + int.from_bytes(head[28:30], "little")
        for kind, suffix in _OPEN_DOCUMENT.items():
            if head.startswith(kind, start):  # a template has the kind of what it is a template of, and more
                return suffix
    if b"[Content_Types].xml" in names or b"_rels/.rels" in names:
        for folder, suffix in _OFFICE_FOLDERS:
            if any(part.startswith(folder) for part in names):
                return suffix
        return next((suffix for suffix in _OFFICE_SUFFIXES if name.endswith(suffix)), ".zip")
    if b"META-INF/container.xml" in names:
        return ".epub"
    return ".zip"


def _zip_names(head: bytes) -> list[bytes]:
    """Return the names in the local headers of a ZIP file's beginning."""
    found: list[bytes] = []
    at = head.find(_ZIP[0])
    while 0 <= at <= len(head) - 30 and len(found) < 1000:
        (length,) = struct.unpack_from("<H", head, at + 26)
        found.append(head[at + 30 : at + 30 + length])
        at = head.find(_ZIP[0], at + 30 + length)
    return found


def _in_ole(head: bytes, name: str) -> str | None:
    # The directory may lie behind the beginning.
    found = next((suffix for stream, suffix in _OLE_STREAMS if stream.encode("utf-16-le") in head), None)
    return found or next((suffix for suffix in _OLE_SUFFIXES if name.endswith(suffix)), None)


def _inflated(head: bytes, compression: str) -> bytes:
    """Return what the beginning of a compressed file expands to, at most `HEAD_BYTES`; damage ends it."""
    with suppress(zlib.error, OSError, EOFError, ValueError, lzma.LZMAError):
        if compression == ".gz":
            return zlib.decompressobj(31).decompress(head, HEAD_BYTES)
        if compression == ".bz2":
            return bz2.BZ2Decompressor().decompress(head, HEAD_BYTES)
        if compression == ".xz":
            return lzma.LZMADecompressor(memlimit=1 << 28).decompress(head, HEAD_BYTES)
        return _zstd_inflated(head)
    return b""


def _zstd_inflated(head: bytes) -> bytes:
    import zstandard  # only here: most files are not compressed so

    with suppress(zstandard.ZstdError):
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(head)
        made = b""
        while len(made) < HEAD_BYTES and (block := reader.read(HEAD_BYTES - len(made))):
            made += block
        return made
    return b""
