"""`polyseme backfill`: what the lake holds, encoded again or in another encoding."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from flows.commands.embed import outputs_from
from flows.output import write_json
from flows.settings import prepare_prefect
from storage.errors import UsageError
from storage.records import Context, Device, Layers, Level, Outputs, Pooling, Precision
from tasks.engine import EngineConfig, shared_engine

if TYPE_CHECKING:
    from flows.backfill import BackfillRequest
    from flows.report import RunReport
    from storage.snapshot import Encoding

Exit = int


def backfill(
    *sources: str,
    lake: Path = Path("lake"),
    where: str | None = None,
    since: str | None = None,
    texts_of: Annotated[str | None, Parameter(name="--from")] = None,
    encoding: str | None = None,
    model: str | None = None,
    device: Device = "auto",
    precision: Precision | Literal["auto"] = "auto",
    context: Context = "sentence",
    layers: Layers = "last",
    pooling: Pooling = "mean",
    max_tokens: int | None = None,
    level: Level | None = None,
    words: Annotated[str | None, Parameter(help="Keep only these words' vectors, e.g. bank,court.")] = None,
    nsp: bool | None = None,
    limit: int | None = None,
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
    lake
        The lake's folder.
    where
        Only documents for which this SQL condition on the view documents holds.
    since
        Only documents ingested since then: a date or a time, 2026-11-24 or 2026-11-24T08:00.
    texts_of
        Take the texts of this encoding; the lake's default encoding otherwise.
    encoding
        Encode as this encoding of the lake was; the default one when no model is named either.
    model
        Encode with another model: folder, hub id or polyseme-mini. The options below go with it.
    device
        Where to run; auto takes a CUDA device where there is one.
    precision
        auto is fp32 on CPU and bf16 on CUDA. int8 is faster on x86 CPUs, a little less exact.
    context
        What a sentence's tokens see: the sentence, a window of neighbours, or the pair that NSP scores.
    layers
        The last layer, or the mean of the last four.
    pooling
        A sentence's vector: the mean of its tokens, or [CLS].
    max_tokens
        Window size; the model's own limit by default.
    level
        Vectors to keep besides the sentences'; by default what the documents have already.
    nsp
        Score every step from a sentence to the next; by default as the documents have it.
    limit
        Stop after so many documents.
    dry_run
        Say how many documents, tokens and bytes there are and how long it would take; write nothing.
    json
        Write the report as JSON.
    verbose
        Show Prefect's log.
    """
    if model is not None and encoding is not None:
        raise UsageError("--encoding repeats an encoding of the lake and --model starts another. Give one of them.")
    config = EngineConfig(
        model=model or "polyseme-mini", device=device, precision=precision, layers=layers, pooling=pooling,
        context=context, max_tokens=max_tokens,
    )  # fmt: skip
    kept, texts = _of_the_lake(lake, texts_of, encoding)
    repeated = None if model is not None else kept
    if repeated is not None:
        config = _repeating(repeated, device)
    engine = shared_engine(config)
    if repeated is not None and engine.spec.encoding_id != repeated.encoding_id:
        raise UsageError(
            f"{repeated.spec.model} and Polyseme have changed since encoding {repeated.name} was made: this would be "
            "another one. Name the model with --model to begin that, or install what made it."
        )
    outputs = _outputs(lake, texts, engine.spec.encoding_id, (level, words, nsp))
    engine.check(outputs)
    prepare_prefect(verbose=verbose)
    from flows.backfill import BackfillRequest

    request = BackfillRequest(
        lake=str(lake), engine=config, outputs=outputs, sources=list(sources), texts_of=texts_of, where=where,
        since=_moment(since), limit=limit,
    )  # fmt: skip
    return _say_what(request, json=json) if dry_run else _run(request, json=json)


def _of_the_lake(lake: Path, texts_of: str | None, encoding: str | None) -> tuple[Encoding, Encoding]:
    """Return the encoding to repeat and the one whose texts to take."""
    from storage.catalog import Catalog
    from storage.lake import Lake
    from storage.selection import find_encoding

    with Catalog.open(Lake(lake)) as catalog:
        snapshot = catalog.snapshot()
    return find_encoding(snapshot, encoding), find_encoding(snapshot, texts_of)


def _repeating(encoding: Encoding, device: Device) -> EngineConfig:
    spec = encoding.spec
    return EngineConfig(
        model=spec.model, device=device, precision=spec.precision, layers=spec.layers, pooling=spec.pooling,
        context=spec.context, max_tokens=spec.max_tokens,
    )  # fmt: skip


def _outputs(
    lake: Path, texts: Encoding, encoding_id: str, asked: tuple[Level | None, str | None, bool | None]
) -> Outputs:
    """Return what every document shall have: as asked, else what it has, else what it has where its text is from."""
    from storage.catalog import Catalog
    from storage.lake import Lake
    from storage.selection import outputs_of

    level, words, nsp = asked
    if asked != (None, None, None):
        return outputs_from(level, words, nsp is not False)
    if encoding_id == texts.encoding_id:
        return Outputs("sentences", None, nsp=False)
    with Catalog.open(Lake(lake)) as catalog:
        return outputs_of(catalog, texts) or Outputs()


def _moment(since: str | None) -> datetime | None:
    if since is None:
        return None
    try:
        found = datetime.fromisoformat(since)
    except ValueError as error:
        raise UsageError(f"--since takes a date or a time such as 2026-11-24 or 2026-11-24T08:00: {error}") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _say_what(request: BackfillRequest, *, json: bool) -> Exit:
    from flows.backfill import documents
    from flows.dry_run import estimate_items
    from storage.lake import Lake

    place = Lake(Path(request.lake))
    engine = shared_engine(replace(request.engine))
    found = estimate_items(documents(place, request), place.root, engine, request.outputs, limit=request.limit)
    write_json(found.to_dict()) if json else print(found.to_text())  # noqa: T201
    return 0


def _run(request: BackfillRequest, *, json: bool) -> Exit:
    from flows.backfill import backfill as flow
    from flows.progress_bar import shown

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
