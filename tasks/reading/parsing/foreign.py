"""Formats that kreuzberg reads: RTF, Outlook's messages, older Office, and the markup of reStructuredText and Org."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, RefusedError, Text, corrupt, stated

_KINDS = {
    ".rtf": "application/rtf",
    ".msg": "application/vnd.ms-outlook",
    ".doc": "application/msword",
    ".ppt": "application/vnd.ms-powerpoint",
    ".xls": "application/vnd.ms-excel",
    ".rst": "text/x-rst",
    ".org": "text/x-org",
}


def parse_foreign(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield the text of a file. Nothing is recognised in pictures, nothing is stored beside it."""
    import kreuzberg

    config = kreuzberg.ExtractionConfig(
        use_cache=False, enable_quality_processing=False, concurrency=kreuzberg.ConcurrencyConfig(max_threads=1)
    )
    try:
        found = kreuzberg.extract_bytes_sync(data, _KINDS[request.suffix], config)
    except kreuzberg.KreuzbergError as error:
        if "password" in str(error).lower() or "encrypted" in str(error).lower():
            raise RefusedError("encrypted", "needs a password; save it without one") from error
        raise corrupt(type(error).__name__) from error
    text = Text(request.most_bytes)
    text.add(found.content.replace("\r\n", "\n"))
    if joined := text.joined():
        title, metadata = _stated(dict(found.metadata))
        yield Parsed(joined, title, metadata)


def _stated(metadata: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    authors = metadata.get("authors") or []
    title = metadata.get("title") or metadata.get("subject")
    return title, stated(
        author=", ".join(authors) if isinstance(authors, list) else None, created=metadata.get("created_at"),
        modified=metadata.get("modified_at"), language=metadata.get("language"),
    )  # fmt: skip
