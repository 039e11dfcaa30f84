"""What a run reports: one record, and the same as a page of Markdown. Formats numbers, computes none."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from storage.records import Counts
from tasks.plan import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What one run met (`tally`) and did (`counts`). `state` is completed, failed or cancelled."""

    run_id: str
    state: str
    lake: str
    encoding_id: str
    encoding: str
    counts: Counts
    tally: Tally
    shards: int
    wall_seconds: float
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def markdown(report: RunReport) -> str:
    """Return the report as Markdown, for Prefect's artifact."""
    counts, tally = report.counts, report.tally
    rate = counts.tokens / report.wall_seconds if report.wall_seconds else 0.0
    rows = [
        ("documents read", tally.documents),
        ("unchanged, skipped", tally.unchanged),
        ("new", tally.new),
        ("changed", tally.changed),
        ("gone, hidden", tally.deleted),
        ("records refused", tally.rejected),
        ("sentences", counts.sentences),
        ("words", counts.words),
        ("tokens", counts.tokens),
        ("transitions scored", counts.transitions),
        ("bytes written", counts.bytes),
        ("shards", report.shards),
    ]
    lines = [
        f"# Run {report.run_id}: {report.state}",
        "",
        f"Lake `{report.lake}`, encoding `{report.encoding}` ({report.encoding_id}), "
        f"{report.wall_seconds:,.1f} s, {rate:,.0f} tokens/s.",
        "",
        "| what | count |",
        "|---|---:|",
        *(f"| {name} | {value:,} |" for name, value in rows),
        "",
        "| stage | seconds |",
        "|---|---:|",
        *(f"| {stage} | {seconds:,.1f} |" for stage, seconds in sorted(counts.seconds.items())),
    ]
    if report.error:
        lines += ["", f"**Error:** {report.error}"]
    return "\n".join(lines)
