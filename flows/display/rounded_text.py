"""What a run says of documents that it wrote: how many were encoded, and how many only rounded to a smaller tier.

And where they are found, if views without a suffix show another encoding of the lake.
"""

from __future__ import annotations

from shlex import quote

from polyseme.flows.runs.run_report import RunReport
from polyseme.storage.wording import many


def written_text(report: RunReport) -> str:
    """Return how many documents a run embedded, and how many it rounded: `3 documents embedded, 10 rounded to int8`."""
    counts = report.counts
    embedded = f"{many(counts.encoded_documents, 'documents')} embedded"
    if not counts.rounded_documents:
        return embedded
    if not counts.encoded_documents:
        return f"{many(counts.rounded_documents, 'documents')} rounded to {report.store} without the model"
    return f"{embedded}, {counts.rounded_documents:,} rounded to {report.store}"


def view_name(report: RunReport, view: str) -> str:
    """Return the name of a view of the encoding that a run wrote: with its suffix, if it is not the default."""
    return view if report.default_encoding in ("", report.encoding) else f"{view}_{report.encoding}"


def shown_elsewhere(report: RunReport) -> str:
    """Return that views without a suffix show another encoding, and what changes that; empty if they show this one."""
    if view_name(report, "sentences") == "sentences" or not report.counts.documents:
        return ""
    return (
        f"Views without a suffix still show {report.default_encoding}, those of this encoding are "
        f"sentences_{report.encoding} and so on. To make it the default: polyseme status --default {report.encoding} "
        f"--lake {quote(report.lake)}"
    )
