"""`polyseme backfill`: what the lake holds, encoded again or in another encoding."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from polyseme.flows.commands.embed import outputs_from
from polyseme.flows.commands.options import CatalogOption, LakeOption
from polyseme.flows.display.output import write_json
from polyseme.flows.settings import lake_at, prepare_prefect
from polyseme.storage.errors import UsageError
from polyseme.storage.records import Context, Device, Layers, Level, Outputs, PllVariant, Pooling, Precision
from polyseme.tasks.engine import EngineConfig, shared_engine

if TYPE_CHECKING:
    from polyseme.flows.backfill import BackfillRequest
    from polyseme.flows.runs.run_report import RunReport
    from polyseme.storage.database.encodings import Encoding
    from polyseme.storage.lake import Lake

Exit = int


def backfill(
    *sources: str,
    lake: LakeOption = "lake",
    catalog_url: CatalogOption = None,
    where: str | None = None,
    since: str | None = None,
    texts_of: Annotated[str | None, Parameter(name="--from")] = None,
    damaged: Annotated[bool, Parameter(negative="")] = False,
    encoding: str | None = None,
    name: str | None = None,
    model: str | None = None,
    device: Device = "auto",
    precision: Precision | Literal["auto"] | None = None,
    context: Context | None = None,
    layers: Layers | None = None,
    pooling: Pooling | None = None,
    max_tokens: int | None = None,
    level: Level | None = None,
    words: Annotated[str | None, Parameter(help="Keep only these words' vectors, e.g. bank,court.")] = None,
    nsp: bool | None = None,
    pll: Annotated[bool, Parameter(negative="")] = False,
    pll_variant: PllVariant = "within_word_l2r",
    limit: int | None = None,
    runner: Literal["threads", "dask", "ray"] = "threads",
    runner_address: str | None = None,
    runner_workers: int | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    verbose: Annotated[bool, Parameter(alias="-v", negative="")] = False,
) -> Exit:
    """Encode documents of the lake with another model or settings, or make again what is missing or was repaired.

    Texts come from the lake, or from SOURCE where some are named. What is up to date is skipped, so an interrupted
    backfill goes on where it stopped. Runs next to anything else: a newer text is never replaced by an older one.
    Example: polyseme backfill --where "uri like '%/news/%'" --model google-bert/bert-base-uncased

    Parameters
    ----------
    sources
        Read these instead of the lake's own texts.
    where
        Only documents for which this SQL condition on the view documents holds.
    since
        Only documents ingested since then: a date or a time, 2026-11-24 or 2026-11-24T08:00.
    texts_of
        Take the texts of this encoding; the lake's default encoding otherwise.
    damaged
        Only documents that lost rows to a broken part and were marked by polyseme verify --repair.
    encoding
        Encode as this encoding of the lake was; the default one when no model is named either.
    name
        What a new encoding shall be called; by default after the model.
    model
        Encode with another model: folder, hub id or polyseme-mini. The options below go with it. Together with
        --encoding: where that encoding's checkpoint is now.
    device
        Where to run; auto takes a CUDA device where there is one.
    precision
        auto is fp32 on CPU and bf16 on CUDA. int8 is faster on x86 CPUs, a little less exact.
    context
        What a sentence's tokens see: the sentence (default), a window of neighbours, or the pair that NSP scores.
    layers
        The last layer (default), or the mean of the last four.
    pooling
        A sentence's vector: the mean of its tokens (default), or [CLS].
    max_tokens
        Window size; the model's own limit by default.
    level
        Vectors to keep besides the sentences'; by default what the documents have already.
    nsp
        Score every step from a sentence to the next; by default as the documents have it.
    pll
        Store pseudo-log-likelihoods and surprisals; what documents have already is kept without asking.
    pll_variant
        within_word_l2r also hides what follows of a token's word; original hides the token alone.
    limit
        Stop after so many documents.
    runner
        Encode in threads of this process, or spread over the workers of a Dask or Ray cluster. The rows are the same.
    runner_address
        A cluster that runs already: tcp://host:8786 for Dask, ray://host:10001 for Ray. By default a local one.
    runner_workers
        How many worker processes a local cluster has: one a core by default.
    dry_run
        Say how many documents, tokens and bytes there are and how long it would take; write nothing.
    json
        Write the report as JSON.
    verbose
        Show Prefect's log.
    """
    settings: dict[str, Any] = {
        "precision": precision, "context": context, "layers": layers, "pooling": pooling, "max_tokens": max_tokens,
    }  # fmt: skip
    settings = {option: value for option, value in settings.items() if value is not None}
    place = lake_at(lake, catalog_url)
    kept, texts = _of_the_lake(place, texts_of, encoding)
    repeated = kept if model is None or encoding is not None else None
    prepare_prefect(verbose=verbose)
    from polyseme.flows.backfill import BackfillRequest, repeating
    from polyseme.flows.runs.runners import Runner

    if repeated is None:
        assert model is not None
        config = EngineConfig(model=model, device=device, **settings)
    elif settings:
        raise UsageError(
            f"--{next(iter(settings)).replace('_', '-')} makes another encoding than {repeated.name}, which is what is "
            "repeated here. Begin one with --model alone (--model polyseme-mini is the embedded one), or leave it out."
        )
    else:
        config = repeating(repeated, device, model=model)
    engine = shared_engine(config)
    had_by = None if engine.spec.encoding_id == texts.encoding_id and not sources else texts
    outputs = outputs_wanted(place, had_by, (level, words, nsp, pll_variant if pll else None))
    engine.check(outputs)
    request = BackfillRequest(
        lake=str(place.root), catalog=place.catalog, engine=config, outputs=outputs, sources=list(sources),
        texts_of=texts_of, where=where, since=_moment(since), damaged=damaged, name=name, limit=limit,
        runner=Runner(kind=runner, address=runner_address, workers=runner_workers),
    )  # fmt: skip
    return _say_what(request, json=json) if dry_run else _run(request, json=json)


def _of_the_lake(lake: Lake, texts_of: str | None, encoding: str | None) -> tuple[Encoding, Encoding]:
    """Return the encoding to repeat and the one whose texts to take."""
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.sql.selection import find_encoding

    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    return find_encoding(snapshot, encoding), find_encoding(snapshot, texts_of)


def outputs_wanted(
    lake: Lake,
    texts: Encoding | None,
    asked: tuple[Level | None, str | None, bool | None, PllVariant | None],
) -> Outputs:
    """Return what every document shall have: as asked, and where nothing was asked what it has already.

    `texts` is the encoding whose documents say so; None where each document of this encoding speaks for itself.
    """
    from polyseme.flows.backfill import LEAST
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.sql.selection import outputs_of

    level, words, nsp, pll = asked
    had = LEAST
    if texts is not None:
        with Catalog.open(lake) as catalog:
            had = outputs_of(catalog, texts) or Outputs()
    rows = had if (level, words) == (None, None) else outputs_from(level, words, had.nsp, None)
    return Outputs(rows.level, rows.words, had.nsp if nsp is None else nsp, pll or had.pll)


def _moment(since: str | None) -> datetime | None:
    if since is None:
        return None
    try:
        found = datetime.fromisoformat(since)
    except ValueError as error:
        raise UsageError(f"--since takes a date or a time such as 2026-11-24 or 2026-11-24T08:00: {error}") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _say_what(request: BackfillRequest, *, json: bool) -> Exit:
    from polyseme.flows.backfill import documents
    from polyseme.tasks.shards.estimate import estimate_items

    place = lake_at(request.lake, request.catalog)
    engine = shared_engine(replace(request.engine))
    found = estimate_items(documents(place, request), place, engine, request.outputs, limit=request.limit)
    write_json(found.to_dict()) if json else print(found.to_text())  # noqa: T201
    return 0


def _run(request: BackfillRequest, *, json: bool) -> Exit:
    from polyseme.flows.backfill import backfill as flow
    from polyseme.flows.display.progress_bar import shown
    from polyseme.flows.runs.temporary_server import start_where_needed

    start_where_needed()
    with shown():
        report = flow(request)
    write_json(report.to_dict()) if json else _print_summary(report)
    return 0


def _print_summary(report: RunReport) -> None:
    counts, tally = report.counts, report.tally
    print(  # noqa: T201
        f"{tally.documents:,} documents selected: {tally.new + tally.changed:,} to encode, {tally.unchanged:,} up to "
        f"date. {counts.documents:,} encoded: {counts.sentences:,} sentences, {counts.words:,} words, "
        f"{counts.tokens:,} tokens in {report.wall_seconds:,.1f} s.\n"
        f"Lake {report.lake}, encoding {report.encoding}, run {report.run_id}.",
        file=sys.stdout,
    )
