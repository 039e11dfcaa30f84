"""Notebooks of Jupyter: the text and the code of their cells, not what these printed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from polyseme.tasks.reading.parsing.parsed import Parsed, ParseRequest, corrupt, of_sections


def parse_notebook(data: bytes, request: ParseRequest) -> Iterator[Parsed]:
    """Yield the cells as one text; `cells` in its metadata says where each starts."""
    try:
        notebook = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise corrupt(f"not JSON: {error.msg}") from error
    cells = _cells(notebook)
    text, metadata = of_sections(map(_source, cells), "cells", request.most_bytes)
    if text:
        stated = notebook.get("metadata")
        kernel = stated.get("kernelspec") if isinstance(stated, dict) else None
        language = kernel.get("language") if isinstance(kernel, dict) else None
        title = stated.get("title") if isinstance(stated, dict) else None
        yield Parsed(
            text, title if isinstance(title, str) else None,
            metadata | ({"programming_language": language} if isinstance(language, str) else {}),
        )  # fmt: skip


def _cells(notebook: Any) -> list[dict[str, Any]]:
    found = notebook.get("cells") if isinstance(notebook, dict) else None
    if found is None and isinstance(notebook, dict) and isinstance(notebook.get("worksheets"), list):
        found = [cell for sheet in notebook["worksheets"] if isinstance(sheet, dict) for cell in sheet.get("cells", [])]
    if not isinstance(found, list):
        raise corrupt("no cells: it is not a notebook of Jupyter")
    return [cell for cell in found if isinstance(cell, dict)]


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""
