"""What a run reports: one record, and the same as a page of Markdown. Formats numbers, computes none."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from polyseme.storage.database.skipped_files import SkippedFiles
from polyseme.storage.records import Counts, HeldBack
from polyseme.tasks.markdown import code, literal
from polyseme.tasks.shards.deletion_guard import explain
from polyseme.tasks.shards.refused_tally import RefusedRecords
from polyseme.tasks.shards.tally import Tally

HELD_BACK = "held-back"
"""The state of a run that committed everything and did not make some deletions, because they were too many."""

MOST_SKIPPED = 20
"""Kinds of skipped files in a page; the view `skipped` has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What one run found (`tally`) and did (`counts`). `state` is completed, held-back, failed or cancelled.

    `held_back` has a record for each source of which documents were held back from deletion, `broken_parts` the paths
    of parts of the encoding that merges found missing or changed, in this run or before. `skipped` are the files that
    no reader reads, by source, extension and reason, `refused` the records that were refused, by code.
    `absent` are the sources that were not there. `store` is how the encoding stores vectors, `default_encoding` the
    name of the one that views without a suffix show.
    """

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
    held_back: tuple[HeldBack, ...] = ()
    broken_parts: tuple[str, ...] = ()
    skipped: tuple[SkippedFiles, ...] = ()
    refused: tuple[RefusedRecords, ...] = ()
    absent: tuple[str, ...] = ()
    store: str = "float16"
    default_encoding: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        found = asdict(self)
        del found["refused"]
        by_code = {one.code: one.records for one in self.refused}
        return found | {"refused_by_code": by_code, "lane_busy": self.lane_busy}

    @property
    def lane_busy(self) -> float:
        """Share of the run that its model was at work; above 1 if several workers encoded."""
        return self.counts.lane_seconds / self.wall_seconds if self.wall_seconds else 0.0


def broken(report: RunReport) -> str:
    """Return a sentence about the broken parts of the lake, with what to do; empty if none is known."""
    if not (found := len(report.broken_parts)):
        return ""
    which = f"{found} parts of the lake are" if found > 1 else "A part of the lake is"
    return f"{which} missing or changed, such as {report.broken_parts[0]}; see what is lost with"


def markdown(report: RunReport) -> str:
    """Return the report as Markdown, for Prefect's artifact."""
    counts, tally = report.counts, report.tally
    rate = counts.tokens / report.wall_seconds if report.wall_seconds else 0.0
    stored = "" if report.store == "float16" else f", stored as {report.store}"
    staged = sum(counts.seconds.values()) or 1.0
    rows = [
        ("documents read", tally.documents),
        ("unchanged, skipped", tally.unchanged),
        ("of these in files that were not opened", tally.unopened),
        ("new", tally.new),
        ("changed", tally.changed),
        ("described anew, not encoded", tally.redescribed),
        ("gone, hidden", tally.deleted),
        ("records refused", tally.rejected),
        ("files skipped", tally.skipped_files),
        ("documents rounded from vectors of the lake, not encoded", counts.rounded_documents),
        ("sentences", counts.sentences),
        ("sentences whose vectors were reused", counts.reused_sentences),
        ("words", counts.words),
        ("tokens", counts.tokens),
        ("tokens whose vectors were reused", counts.reused_tokens),
        ("tokens that the model does not know", counts.unknown_tokens),
        ("documents in a language that the model does not know", counts.unknown_documents),
        ("tokens run through the model", counts.forward_tokens),
        ("transitions scored", counts.transitions),
        ("bytes written", counts.bytes),
        ("shards", report.shards),
    ]
    lines = [
        f"# Run {report.run_id}: {report.state}",
        "",
        f"Lake {code(report.lake)}, encoding {code(report.encoding)} ({report.encoding_id}){stored}, "
        f"{report.wall_seconds:,.1f} s, {rate:,.0f} tokens/s.",
        f"{counts.forward_tokens / max(1, counts.tokens):.2f} tokens run through the model for each one read: special "
        "tokens, overlaps and scored pairs; packed, so no padding. Stages run side by side, and their seconds add up. "
        f"The model was at work {report.lane_busy:.0%} of the time.",
        "",
        "| what | count |",
        "|---|---:|",
        *(f"| {name} | {value:,} |" for name, value in rows),
        "",
        "| stage | seconds | share |",
        "|---|---:|---:|",
        *(
            f"| {stage} | {seconds:,.1f} | {seconds / staged:.0%} |"
            for stage, seconds in sorted(counts.seconds.items())
        ),
    ]
    if report.skipped:
        lines += ["", "| skipped files | extension | reason | example |", "|---:|---|---|---|"]
        lines += [
            f"| {one.files:,} | {literal(one.extension)} | {one.reason} | {code(one.example)} |"
            for one in report.skipped[:MOST_SKIPPED]
        ]
    if report.absent:
        lines += ["", f"**Not there:** {', '.join(map(code, report.absent))}"]
    if report.refused:
        lines += ["", "| refused records | reason | example |", "|---:|---|---|"]
        lines += [f"| {one.records:,} | {literal(one.code)} | {code(one.examples[0])} |" for one in report.refused]
    if report.held_back:
        lines += ["", *(f"**Held back:** {literal(explain(held))}" for held in report.held_back)]
    elif report.error:
        lines += ["", f"**Error:** {literal(report.error)}"]
    if report.broken_parts:
        lines += ["", f"**Broken:** {literal(broken(report))} {code('polyseme verify')}."]
    return "\n".join(lines)
