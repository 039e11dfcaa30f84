"""PDF: the text of its pages, as PDFium orders it. No recognition of pictures of text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, RefusedError, corrupt, of_sections, stated
from polyseme.tasks.reading.parsing.pdf_spaces import lacks_spaces, spaced_text

_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(Z|[+-]\d\d'?\d\d)?")
_PASSWORD = 4
"""PDFium's FPDF_ERR_PASSWORD."""


def parse_pdf(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield the text of all pages; `pages` in its metadata says where each starts."""
    import pypdfium2 as pdfium

    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD or "password" in str(error).lower():
            raise RefusedError("encrypted", "needs a password; save it without one") from error
        raise corrupt(str(error)[:100]) from error
    text, metadata = of_sections(_pages(document), "pages", request.most_bytes)
    if not text:
        message = "no text in it, only pictures of pages or nothing; recognise their text (OCR) and save that"
        raise RefusedError("no-text-layer", message)
    info = document.get_metadata_dict()
    metadata |= stated(
        author=info.get("Author"), subject=info.get("Subject"), keywords=info.get("Keywords"),
        created=_date(info.get("CreationDate", "")), modified=_date(info.get("ModDate", "")),
        language=_language(document),
    )  # fmt: skip
    yield Parsed(text, info.get("Title"), metadata)


def _pages(document: Any) -> Iterator[str]:
    number = 0
    try:
        spaced = lacks_spaces(document)
        for number in range(len(document)):
            page = document[number].get_textpage()
            lines = spaced_text(page) if spaced else str(page.get_text_range())
            # U+FFFE is a hyphen at the end of a line, which PDFium has joined with the next.
            yield lines.replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe", "-\n").replace("\x02", "-\n")
    except Exception as error:  # pypdfium2 has one for everything that PDFium refuses
        raise corrupt(f"page {number + 1}: {str(error)[:80]}") from error


def _date(written: str) -> str | None:
    """Return a date of PDF as ISO 8601; as it is written if it is no date."""
    found = _DATE.match(written)
    if found is None:
        return written or None
    year, month, day, hour, minute, second, zone = found.groups()
    date = "-".join(part for part in (year, month, day) if part)
    if hour is None:
        return date
    offset = zone if zone in (None, "Z") else f"{zone[:3]}:{zone[-2:]}"
    return f"{date}T{hour}:{minute or '00'}:{second or '00'}{offset or ''}"


def _language(document: Any) -> str | None:
    import ctypes

    from pypdfium2 import raw

    if not hasattr(raw, "FPDFCatalog_GetLanguage"):
        return None
    buffer = ctypes.create_string_buffer(256)
    length = raw.FPDFCatalog_GetLanguage(document.raw, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), 256)
    return buffer.raw[: max(length - 2, 0)].decode("utf-16-le", "replace") or None if length <= 256 else None
