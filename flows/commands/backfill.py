"""`polyseme backfill`: documents of the lake, encoded again or in another encoding."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.encoding import Name, PartialEncodingOptions
from polyseme.flows.commands.options.lake import LakeOptions, Where
from polyseme.flows.commands.options.outputs import PartialOutputOptions
from polyseme.flows.commands.options.panels import DOCUMENTS, ENCODING
from polyseme.flows.commands.options.reading import Limit, PatternOptions, as_parameters
from polyseme.flows.commands.options.running import DryRun, ReportOptions, RunnerOptions
from polyseme.flows.display.output import write_json
from polyseme.flows.display.scores import without_missing_scores
from polyseme.flows.display.terminal import show
from polyseme.storage.errors import UsageError
from polyseme.storage.records import Outputs
from polyseme.storage.wording import many
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.text.sentences import unsaid_language

if TYPE_CHECKING:
    from polyseme.flows.runs.backfill_job import BackfillRequest
    from polyseme.flows.runs.run_report import RunReport
    from polyseme.storage.database.encodings import Encoding
    from polyseme.storage.database.snapshot import Snapshot
    from polyseme.storage.lake import Lake

Exit = int


def backfill(
    *sources: str,
    lake: LakeOptions = LakeOptions(),
    where: Annotated[Where, Parameter(group=DOCUMENTS)] = None,
    since: Annotated[str | None, Parameter(group=DOCUMENTS)] = None,
    texts_of: Annotated[str | None, Parameter(name="--from", group=DOCUMENTS)] = None,
    damaged: Annotated[bool, Parameter(negative="", group=DOCUMENTS)] = False,
    patterns: PatternOptions = PatternOptions(),
    limit: Limit = None,
    encoding: Annotated[str | None, Parameter(group=ENCODING)] = None,
    settings: PartialEncodingOptions = PartialEncodingOptions(),
    name: Name = None,
    outputs: PartialOutputOptions = PartialOutputOptions(),
    runner: RunnerOptions = RunnerOptions(),
    dry_run: DryRun = False,
    report: ReportOptions = ReportOptions(),
) -> Exit:
    """Encode documents of the lake with another model or settings, or make again what is missing or was repaired.

    Texts come from the lake, or from SOURCES if some are named. What is up to date is skipped, so that an interrupted
    backfill goes on where it stopped. Safe beside other runs: a newer text is never replaced by an older one.

    Example: polyseme backfill --where "uri like '%/news/%'" --model google-bert/bert-base-uncased

    Parameters
    ----------
    sources
        Files, folders, globs or addresses to read instead of the lake's own texts.
    since
        Only documents ingested since then: a date or a time (UTC), 2026-11-24 or 2026-11-24T08:00.
    texts_of
        Take the texts of this encoding, e.g. polyseme_mini; by default of the lake's default encoding.
    damaged
        Only documents that lost rows to a broken part and were marked by polyseme verify --repair.
    encoding
        Encode as this encoding of the lake was, e.g. polyseme_mini; by default as the default one, unless --model names
        a model, or --name a new encoding: like the default one, but for the settings that are given.
    """
    from polyseme.storage.sql.selection import find_encoding

    place = lake.lake()
    snapshot = _snapshot(place, dry_run=dry_run)
    kept, texts = find_encoding(snapshot, encoding), find_encoding(snapshot, texts_of)
    from polyseme.flows.runs.backfill_job import BackfillRequest
    from polyseme.flows.runs.continued import continued

    if settings.model is not None and encoding is None:
        config = continued(settings.config(), snapshot.encodings, default=snapshot.default_encoding, name=name)
    elif encoding is None and settings.settings().keys() == {"store"} and name != kept.name:
        config = _stored_otherwise(kept, settings)
    elif name not in (None, kept.name) and encoding is None:
        config = _like(kept, settings)
    else:
        config = _repeating(kept, settings)
    engine = shared_engine(config)
    had_by = None if engine.spec.encoding_id == texts.encoding_id and not sources else texts
    wanted = outputs_wanted(place, had_by, outputs, dry_run=dry_run)
    wanted = without_missing_scores(engine, wanted, asked=outputs.nsp)
    engine.check(wanted)
    request = BackfillRequest(
        lake=str(place.root), catalog=place.catalog, engine=config, outputs=wanted, sources=as_parameters(sources),
        patterns=patterns.patterns(), texts_of=texts_of, where=where, since=_moment(since), damaged=damaged, name=name,
        limit=limit, runner=runner.runner(),
    )  # fmt: skip
    return _show_plan(request, json=report.json) if dry_run else _run(request, report)


def _repeating(encoding: Encoding, settings: PartialEncodingOptions) -> EngineConfig:
    """Return the settings that repeat an encoding of the lake. Raises UsageError for any that would make another."""
    from polyseme.flows.runs.backfill_job import config_of

    if given := settings.settings():
        raise UsageError(
            f"--{next(iter(given)).replace('_', '-')} makes another encoding than {encoding.name}, which is "
            "repeated here. Begin one with --name, or with --model (polyseme-mini is embedded), or leave it out."
        )
    return config_of(encoding, settings.device, model=settings.model)


def _stored_otherwise(encoding: Encoding, settings: PartialEncodingOptions) -> EngineConfig:
    """Return the settings of an encoding of the lake with its vectors stored otherwise."""
    from polyseme.flows.runs.backfill_job import config_of

    return replace(config_of(encoding, settings.device), store=settings.store)


def _like(encoding: Encoding, settings: PartialEncodingOptions) -> EngineConfig:
    """Return settings of a new encoding: those of one of the lake, but for what was given, and words of the text."""
    from polyseme.tasks.inference.lake_model import config_like, place_of

    spec = encoding.spec
    like = config_like(spec, model=place_of(spec), device=settings.device, precision=spec.precision)
    given = settings.settings()
    if "splitter" in given and not unsaid_language(spec.splitter):
        like = replace(like, language=None)  # the former splitter was told none, and split every text as English
    return replace(like, word_definition=None, **given)


def _snapshot(lake: Lake, *, dry_run: bool) -> Snapshot:
    from polyseme.storage.catalog import Catalog

    with Catalog.opened(lake, dry_run=dry_run) as catalog:
        return catalog.snapshot()


def outputs_wanted(
    lake: Lake, texts: Encoding | None, options: PartialOutputOptions, *, dry_run: bool = False
) -> Outputs:
    """Return the outputs of every document: those of the options, else those that it has already.

    `texts` is the encoding whose documents have them; None if each document of this encoding keeps its own.
    """
    from polyseme.flows.runs.backfill_job import LEAST
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.sql.selection import outputs_of

    if texts is None:
        return options.outputs(LEAST)
    with Catalog.opened(lake, dry_run=dry_run) as catalog:
        return options.outputs(outputs_of(catalog, texts))


def _moment(since: str | None) -> datetime | None:
    if since is None:
        return None
    try:
        found = datetime.fromisoformat(since)
    except ValueError as error:
        raise UsageError(f"--since takes a date or a time such as 2026-11-24 or 2026-11-24T08:00: {error}") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _show_plan(request: BackfillRequest, *, json: bool) -> Exit:
    from polyseme.flows.commands.show_plan import show_plan
    from polyseme.flows.runs.backfill_job import backfill_job

    return show_plan(backfill_job(request, dry_run=True), json=json)


def _run(request: BackfillRequest, options: ReportOptions) -> Exit:
    from polyseme.flows.commands.run_job import run_job
    from polyseme.flows.runs.backfill_job import backfill_job

    job = backfill_job(request)
    report = run_job(job, request, flow="polyseme.flows.backfill.backfill", verbose=options.verbose)
    write_json(report.to_dict()) if options.json else _print_summary(report)
    return 0


def _print_summary(report: RunReport) -> None:
    from polyseme.flows.display.rounded_text import shown_elsewhere
    from polyseme.flows.display.skipped_text import skipped_text
    from polyseme.flows.runs.run_report import broken

    counts, tally = report.counts, report.tally
    described = f"{tally.redescribed:,} described anew, " if tally.redescribed else ""
    rounded, to_encode = counts.rounded_documents, tally.new + tally.changed - counts.rounded_documents
    to_do, done = [f"{to_encode:,} to encode"], [f"{counts.encoded_documents:,} encoded"]
    if rounded:
        to_do = [*(to_do if to_encode else ()), f"{rounded:,} to round"]
        done = [*(done if to_encode else ()), f"{rounded:,} rounded to {report.store} without the model"]
    selected = f"{many(tally.documents, 'documents')} selected"
    show(
        f"{selected}: {', '.join(to_do)}, {described}{tally.unchanged:,} up to date. {', '.join(done)}: "
        f"{many(counts.sentences, 'sentences')}, {many(counts.words, 'words')}, {many(counts.tokens, 'tokens')} "
        f"in {report.wall_seconds:,.1f} s.\n"
        f"Lake {report.lake}, encoding {report.encoding}, run {report.run_id}."
    )
    if said := shown_elsewhere(report):
        show(said)
    if report.skipped:
        show(f"{skipped_text(report.skipped)}.")
    if said := broken(report):
        show(f"{said}: polyseme verify --lake {quote(report.lake)}")
