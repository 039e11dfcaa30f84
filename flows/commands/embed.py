"""`polyseme embed`: documents into a lake."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.encoding import EncodingOptions, Name
from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.outputs import OutputOptions
from polyseme.flows.commands.options.panels import DOCUMENTS, REPORT
from polyseme.flows.commands.options.reading import Limit, ReadingOptions, Sources, as_parameters, refuse_options
from polyseme.flows.commands.options.running import DryRun, ReportOptions, RunnerOptions
from polyseme.flows.display.output import write_json
from polyseme.flows.display.terminal import note, show
from polyseme.storage.errors import UsageError
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.shards.deletion_guard import DeletionLimit, explain

if TYPE_CHECKING:
    from polyseme.flows.runs.run_report import RunReport

Exit = int
FINISHED_WITH_REJECTS: Exit = 3
FINISHED_HELD_BACK: Exit = 6


def embed(
    *sources: Sources,
    lake: LakeOptions = LakeOptions(),
    encoding: EncodingOptions = EncodingOptions(),
    name: Name = None,
    outputs: OutputOptions = OutputOptions(),
    reading: ReadingOptions = ReadingOptions(),
    stdin_name: Annotated[str | None, Parameter(group=DOCUMENTS)] = None,
    limit: Limit = None,
    keep_missing: Annotated[bool, Parameter(negative="", group=DOCUMENTS)] = False,
    delete_limit: Annotated[str | None, Parameter(group=DOCUMENTS)] = None,
    runner: RunnerOptions = RunnerOptions(),
    dry_run: DryRun = False,
    strict: Annotated[bool, Parameter(negative="", group=REPORT)] = False,
    report: ReportOptions = ReportOptions(),
) -> Exit:
    """Embed documents into a lake. Unchanged ones are skipped, changed ones replaced, those that are gone are hidden.

    Reads .txt .md .jsonl .csv .tsv (also .gz .zst .bz2) and .parquet; records that cannot be read become rows of
    `rejects` and the run goes on.

    Example: polyseme embed corpus/ notes.jsonl.gz --lake ./lake

    Parameters
    ----------
    sources
        Files, folders, globs, file:// addresses, or - for standard input.
    keep_missing
        Keep documents that the sources no longer hold; without it they are hidden.
    stdin_name
        Keep what - reads at the address stdin:NAME, e.g. mail; by default it is named by its first 64 KiB, so that
        another input replaces nothing.
    delete_limit
        Hide at most this share or number of a source's documents, e.g. 35% or 50; beyond it none, and exit with 6. By
        default 20% or 10, whichever is more. Only 100% hides all that a source had.
    strict
        Exit with 3 if input was refused, instead of 0.
    """
    if not sources:
        raise UsageError("Nothing to embed: name at least one file, folder, glob or - for standard input.")
    refuse_options(sources, "embed")
    DeletionLimit.parse(delete_limit)
    config, wanted, fields, place = encoding.config(), outputs.outputs(), reading.read_options(), lake.lake()
    engine = shared_engine(config)
    engine.check(wanted)
    if dry_run:
        from polyseme.tasks.shards.estimate import estimate

        estimated = estimate(sources, place, engine, wanted, fields, limit=limit)
        write_json(estimated.to_dict()) if report.json else show(estimated.to_text())
        return 0
    from polyseme.flows.commands.run_job import run_job
    from polyseme.flows.runs.job import EmbedRequest, embed_job

    request = EmbedRequest(
        sources=as_parameters(sources), lake=str(place.root), catalog=place.catalog, engine=config, outputs=wanted,
        reading=fields, stdin_name=stdin_name, limit=limit, delete=not keep_missing, delete_limit=delete_limit,
        name=name, runner=runner.runner(),
    )  # fmt: skip
    job = embed_job(request)
    done = run_job(job, request, flow="polyseme.flows.embed.embed_corpus", verbose=report.verbose)
    write_json(done.to_dict()) if report.json else _print_summary(done)
    for held in done.held_back:
        note(f"polyseme: {explain(held)}.")
    if done.held_back:
        return FINISHED_HELD_BACK
    return FINISHED_WITH_REJECTS if strict and done.tally.rejected else 0


def _print_summary(report: RunReport) -> None:
    counts, tally = report.counts, report.tally
    rate = (
        f", {counts.tokens / report.wall_seconds:,.0f} tokens/s, the model at work {report.lane_busy:.0%} of the time"
        if counts.tokens
        else ""
    )
    described = f"{tally.redescribed:,} described anew, " if tally.redescribed else ""
    lines = [
        f"{tally.documents:,} documents read: {tally.new:,} new, {tally.changed:,} changed, {described}"
        f"{tally.unchanged:,} unchanged, {tally.deleted:,} gone; {tally.rejected:,} records refused.",
        f"{counts.documents:,} documents embedded: {counts.sentences:,} sentences, {counts.words:,} words, "
        f"{counts.tokens:,} tokens, {counts.transitions:,} transitions; {counts.bytes / 1e6:,.1f} MB "
        f"in {report.wall_seconds:,.1f} s{rate}.",
        f"Lake {report.lake}, encoding {report.encoding}, run {report.run_id}.",
    ]
    if tally.rejected:
        lines.append(f"List what was refused: polyseme rejects --lake {quote(report.lake)}")
    lines.append(f'Query it: polyseme sql "from sentences limit 5" --lake {quote(report.lake)}')
    show("\n".join(lines))
