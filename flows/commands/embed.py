"""`polyseme embed`: documents into a lake."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.corpora import CorpusOptions
from polyseme.flows.commands.options.encoding import EncodingOptions, Name
from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.outputs import OutputOptions
from polyseme.flows.commands.options.panels import DOCUMENTS, REPORT
from polyseme.flows.commands.options.reading import (
    Limit,
    PatternOptions,
    ReadingOptions,
    Sources,
    as_parameters,
    refuse_options,
)
from polyseme.flows.commands.options.running import DryRun, ReportOptions, RunnerOptions
from polyseme.flows.display.scores import without_missing_scores
from polyseme.flows.runs.job import EmbedRequest, Job, embed_job
from polyseme.storage.errors import UsageError
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.shards.deletion_guard import DeletionLimit

Exit = int


def embed(
    *sources: Sources,
    corpora: CorpusOptions = CorpusOptions(),
    lake: LakeOptions = LakeOptions(),
    encoding: EncodingOptions = EncodingOptions(),
    name: Name = None,
    outputs: OutputOptions = OutputOptions(),
    reading: ReadingOptions = ReadingOptions(),
    patterns: PatternOptions = PatternOptions(),
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

    Reads texts, Markdown, JSON, tables, Parquet, Office, mail and XML, compressed or in archives, and with
    polyseme[documents] PDF, HTML and more. What cannot be read becomes a row of `rejects`, and the run goes on.

    Without sources, --corpus and --all-corpora embed what polyseme.toml names, as for cron.

    Example: polyseme embed corpus/ notes.jsonl.gz --lake ./lake

    Parameters
    ----------
    sources
        Files, folders, globs, addresses (s3://, gs://, az://, hf://, https://, file://), queries (sqlite://,
        postgresql://, mysql://), tables (delta://, iceberg://), or - for standard input.
    keep_missing
        Keep documents that the sources no longer hold; without it they are hidden.
    stdin_name
        Keep what - reads at the address stdin:NAME, e.g. mail; by default it is named by its first 64 KiB, so that
        another input replaces nothing.
    delete_limit
        Hide at most this share or number of a source's documents, e.g. 35% or 50; beyond it none, and exit with 6. By
        default 20% or 10, whichever is more. Only 100% hides all that a source had.
    strict
        Exit with 3, instead of 0, if input was refused or a file is of a format that is not read. Hidden, excluded and
        empty files are no fault.
    """
    refuse_options(sources, "embed")
    DeletionLimit.parse(delete_limit)
    if corpora.given:
        return _embed_corpora(corpora, delete_limit=delete_limit, dry_run=dry_run, strict=strict, report=report)
    if not sources:
        raise _nothing_to_embed()
    config, fields, place = encoding.config(), reading.read_options(), lake.lake()
    fields = replace(fields, presplit=encoding.presplit == "field")
    engine = shared_engine(config)
    wanted = without_missing_scores(engine, outputs.outputs(), asked=outputs.nsp)
    engine.check(wanted)
    request = EmbedRequest(
        sources=as_parameters(sources), lake=str(place.root), catalog=place.catalog, engine=config, outputs=wanted,
        reading=fields, stdin_name=stdin_name, limit=limit, delete=not keep_missing, delete_limit=delete_limit,
        patterns=patterns.patterns(), name=name, runner=runner.runner(),
    )  # fmt: skip
    job = embed_job(request, dry_run=dry_run)
    return _show_plan(job, report) if dry_run else _run(job, request, strict=strict, report=report)


# What follows imports what it needs only then: a mistake in the command is told at once.


def _show_plan(job: Job, report: ReportOptions) -> Exit:
    from polyseme.flows.commands.show_plan import show_plan

    return show_plan(job, json=report.json)


def _run(job: Job, request: EmbedRequest, *, strict: bool, report: ReportOptions) -> Exit:
    from polyseme.flows.commands.embed_corpora import EMBED, exit_code
    from polyseme.flows.commands.run_job import run_job
    from polyseme.flows.display.output import write_json
    from polyseme.flows.display.run_summary import show_summary

    done = run_job(job, request, flow=EMBED, verbose=report.verbose)
    write_json(done.to_dict()) if report.json else show_summary(done)
    return exit_code(done, strict=strict)


def _embed_corpora(
    corpora: CorpusOptions, *, delete_limit: str | None, dry_run: bool, strict: bool, report: ReportOptions
) -> Exit:
    from polyseme.flows.commands.embed_corpora import embed_corpora
    from polyseme.flows.server.corpora import makers

    named = makers(None if corpora.all_corpora else dict.fromkeys(corpora.corpus))
    return embed_corpora(named, delete_limit=delete_limit, dry_run=dry_run, strict=strict, report=report)


def _nothing_to_embed() -> UsageError:
    """Return the error for a command that names nothing; it names the corpora that are configured here."""
    from polyseme.flows.server.corpora import names_configured

    more = ""
    if known := names_configured():
        more = f" Corpora of polyseme.toml: {', '.join(known)}; --corpus {known[0]} embeds one, --all-corpora all."
    return UsageError(f"Nothing to embed: name at least one file, folder, glob or - for standard input.{more}")
