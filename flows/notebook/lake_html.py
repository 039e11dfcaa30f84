"""HTML of lakes, results and documents in a notebook: small tables in the colours that the notebook has, dark ones too.

Everything from a lake is escaped, for HTML and for what would change the direction of text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from polyseme.flows.display.table_cells import CellColumn, one_line
from polyseme.flows.display.terminal import escaped

_LINE = "border-bottom:1px solid rgba(128,128,128,.35)"
_TABLE = "border-collapse:collapse;margin:.3em 0;font-size:90%"
_CELL = f"padding:.15em .8em .15em 0;vertical-align:top;max-width:36em;overflow-wrap:anywhere;{_LINE}"
_LONGEST = 160
"""Characters of a text in a table."""
_LONGEST_DOCUMENT = 4_000


def table_html(columns: Sequence[CellColumn], rows: int, caption: str) -> str:
    """Return a table of the first `rows` rows with a caption under it."""
    head = "".join(_heading(column.heading, column.on_the_right) for column in columns)
    lines = (
        "<tr>" + "".join(_cell(_cut(column.short[row], _LONGEST), column.on_the_right) for column in columns) + "</tr>"
        for row in range(rows)
    )
    return _table(f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>", caption)


def lake_html(
    root: str, figures: Mapping[str, Any], run: Mapping[str, Any] | None, titles: Sequence[str], is_behind: bool
) -> str:
    """Return a lake at a glance: its figures, its last run, its first titles."""
    rows = [
        ("documents", f"{figures['documents']:,}"),
        ("sentences", f"{figures['sentences']:,}"),
        ("words", f"{figures['words']:,}"),
        ("rejects", f"{figures['rejects']:,}"),
        ("encodings", ", ".join(figures["encodings"]) or "none"),
        ("last run", _run(run) if run else "none"),
        ("first documents", "; ".join(_cut(one_line(title), 60) for title in titles) or "none"),
    ]
    body = "".join(f'<tr><th scope="row" style="text-align:left;{_CELL}">{_text(name)}</th>{_cell(value, False)}</tr>'
                   for name, value in rows)  # fmt: skip
    behind = "<div>The lake has changed since it was opened: <code>lake.refresh()</code>.</div>" if is_behind else ""
    return _table(f"<tbody>{body}</tbody>", f"Lake {one_line(root)}") + behind


def document_html(title: str, uri: str, text: str) -> str:
    """Return a document: its title, its address and the beginning of its text."""
    shown = _cut(escaped(text), _LONGEST_DOCUMENT)
    paragraphs = "".join(f'<p style="margin:.4em 0;max-width:48em;white-space:pre-wrap">{escape(part)}</p>'
                         for part in shown.split("\n\n"))  # fmt: skip
    return f"<div><strong>{_text(title)}</strong><div><small>{_text(uri)}</small></div>{paragraphs}</div>"


def _run(run: Mapping[str, Any]) -> str:
    began = run["started_at"]
    moment = f"{began:%Y-%m-%d %H:%M} UTC" if isinstance(began, datetime) else str(began)
    rounded = run["rounded_documents"]
    did = f"{run['documents'] - rounded:,} documents encoded" + (f", {rounded:,} rounded" if rounded else "")
    return f"{run['run_id']}, {run['state']}, {moment}, {did}"


def _table(inside: str, caption: str) -> str:
    under = f'<caption style="caption-side:bottom;text-align:left;font-size:90%">{_text(caption)}</caption>'
    return f'<table style="{_TABLE}">{under}{inside}</table>'


def _heading(text: str, on_the_right: bool) -> str:
    side = "right" if on_the_right else "left"
    return f'<th scope="col" style="text-align:{side};{_CELL}">{_text(text)}</th>'


def _cell(text: str, on_the_right: bool) -> str:
    side = "right" if on_the_right else "left"
    return f'<td style="text-align:{side};{_CELL}">{_text(text)}</td>'


def _text(text: str) -> str:
    return escape(one_line(text))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
