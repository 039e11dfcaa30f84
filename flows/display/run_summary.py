"""What a run of `embed` says at its end, on stdout, and the line that one of several runs says."""

from __future__ import annotations

from shlex import quote

from polyseme.flows.display.refused_text import refused_text
from polyseme.flows.display.rounded_text import shown_elsewhere, view_name, written_text
from polyseme.flows.display.skipped_text import skipped_text
from polyseme.flows.display.terminal import show
from polyseme.flows.display.unknown_text import unknown_text
from polyseme.flows.runs.run_report import RunReport, broken
from polyseme.storage.wording import many


def show_summary(report: RunReport) -> None:
    """Show what a run read and did, and what to do next."""
    counts = report.counts
    rate = reused = ""
    if counts.tokens and counts.encoded_documents:
        speed = f"{counts.tokens / report.wall_seconds:,.0f} tokens/s"
        rate = f", {speed}, the model at work {report.lane_busy:.0%} of the time"
        reused = f" ({counts.reused_sentences:,} reused)" if counts.reused_sentences else ""
    lines = [
        _read(report),
        f"{written_text(report)}: {many(counts.sentences, 'sentences')}{reused}, "
        f"{many(counts.words, 'words')}, {many(counts.tokens, 'tokens')}, {many(counts.transitions, 'transitions')}; "
        f"{counts.bytes / 1e6:,.1f} MB in {report.wall_seconds:,.1f} s{rate}.",
        f"Lake {report.lake}, encoding {report.encoding}, run {report.run_id}.",
    ]
    if said := unknown_text(counts.unknown_documents, counts.documents):
        lines.append(said)
    if report.skipped:
        lines.append(f'{skipped_text(report.skipped)}: polyseme sql "from skipped" --lake {quote(report.lake)}')
    if report.refused:
        lines.append(f"{refused_text(report.refused)}: polyseme rejects --lake {quote(report.lake)}")
    if said := broken(report):
        lines.append(f"{said}: polyseme verify --lake {quote(report.lake)}")
    if said := shown_elsewhere(report):
        lines.append(said)
    view = view_name(report, "sentences")
    lines.append(f'Query it: polyseme sql "from {view} limit 5" --lake {quote(report.lake)}')
    show("\n".join(lines))


def show_line(name: str, report: RunReport) -> None:
    """Show one line about the run of a corpus."""
    done = f"{written_text(report)} in {report.wall_seconds:,.1f} s"
    skipped = f" {skipped_text(report.skipped)}." if report.skipped else ""
    show(f"{name}: {_read(report)}{skipped} {done}. Lake {report.lake}, run {report.run_id}.")
    if said := unknown_text(report.counts.unknown_documents, report.counts.documents):
        show(f"{name}: {said}")
    if said := broken(report):
        show(f"{name}: {said}: polyseme verify --lake {quote(report.lake)}")


def _read(report: RunReport) -> str:
    tally = report.tally
    described = f"{tally.redescribed:,} described anew, " if tally.redescribed else ""
    closed = f" (of which {tally.unopened:,} not opened)" if tally.unopened else ""
    return (
        f"{many(tally.documents, 'documents')} read: {tally.new:,} new, {tally.changed:,} changed, {described}"
        f"{tally.unchanged:,} unchanged{closed}, {tally.deleted:,} gone; {many(tally.rejected, 'records')} refused."
    )
