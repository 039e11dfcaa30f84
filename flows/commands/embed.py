"""`polyseme embed`: documents into a lake."""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from polyseme.flows.commands.options import CatalogOption, LakeOption
from polyseme.flows.display.output import write_json
from polyseme.flows.settings import lake_at, prepare_prefect
from polyseme.storage.errors import UsageError
from polyseme.storage.records import Context, Device, Layers, Level, Outputs, PllVariant, Pooling, Precision
from polyseme.tasks.engine import EngineConfig, shared_engine
from polyseme.tasks.reading.documents import MIB, ReadOptions

if TYPE_CHECKING:
    from polyseme.flows.runs.run_report import RunReport

Exit = int
FINISHED_WITH_REJECTS: Exit = 3


def embed(
    *sources: Annotated[str, Parameter(allow_leading_hyphen=True)],
    lake: LakeOption = "lake",
    catalog_url: CatalogOption = None,
    model: str = "polyseme-mini",
    device: Device = "auto",
    precision: Precision | Literal["auto"] = "auto",
    context: Context = "sentence",
    layers: Layers = "last",
    pooling: Pooling = "mean",
    max_tokens: int | None = None,
    level: Level | None = None,
    words: Annotated[str | None, Parameter(help="Keep only these words' vectors, e.g. bank,court.")] = None,
    nsp: bool = True,
    pll: Annotated[bool, Parameter(negative="")] = False,
    pll_variant: PllVariant = "within_word_l2r",
    text_field: str = "text",
    id_field: str | None = None,
    title_field: str = "title",
    max_document_mb: int = 64,
    max_line_mb: int = 64,
    name: str | None = None,
    limit: int | None = None,
    runner: Literal["threads", "dask", "ray"] = "threads",
    runner_address: str | None = None,
    runner_workers: int | None = None,
    keep_missing: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    strict: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    verbose: Annotated[bool, Parameter(alias="-v", negative="")] = False,
) -> Exit:
    """Embed documents into a lake. What is unchanged is skipped, what changed is replaced, what is gone disappears.

    Reads .txt .md .jsonl .csv .tsv (also .gz .zst .bz2) and .parquet; records that cannot be read become rows in
    `rejects` and the run goes on. Example: polyseme embed corpus/ notes.jsonl.gz --lake ./lake

    Parameters
    ----------
    sources
        Files, folders, globs, file:// addresses, or - for standard input.
    model
        A checkpoint with BERT's architecture: folder, hub id (owner/name[@revision]) or polyseme-mini.
    device
        Where to run; auto takes a CUDA device where there is one.
    precision
        auto is fp32 on CPU and bf16 on CUDA; int8 is faster on x86 CPUs, a little less exact. Part of the encoding.
    context
        What a sentence's tokens see: the sentence, a window of neighbours, or the pair that NSP scores.
    layers
        The last layer, or the mean of the last four.
    pooling
        A sentence's vector: the mean of its tokens, or [CLS].
    max_tokens
        Window size; the model's own limit by default.
    level
        Vectors to keep besides the sentences': words (default), tokens as well, or sentences alone.
    nsp
        Score every step from a sentence to the next.
    pll
        Store each sentence's pseudo-log-likelihood, and with --level tokens each token's surprisal. A forward pass a
        token: about as many times dearer as a sentence has tokens.
    pll_variant
        within_word_l2r also hides what follows of a token's word; original hides the token alone.
    text_field
        The field or column that holds the text.
    id_field
        The field with the document's id; by default doc_id or id, else the place in the file.
    title_field
        The field with the title.
    max_document_mb
        Refuse longer documents (megabytes of UTF-8).
    max_line_mb
        Refuse longer lines or rows.
    name
        What a new encoding shall be called: its views are sentences_NAME and so on. By default after the model.
    limit
        Stop after so many documents.
    runner
        Encode in threads of this process, or spread over the workers of a Dask or Ray cluster. The rows are the same.
    runner_address
        A cluster that runs already: tcp://host:8786 for Dask, ray://host:10001 for Ray. By default a local one.
    runner_workers
        How many worker processes a local cluster has: one a core by default.
    keep_missing
        Keep documents that the sources no longer yield.
    dry_run
        Say how many documents, tokens and bytes there are and how long it would take; write nothing.
    strict
        Exit with 3 when input was refused.
    json
        Write the report as JSON.
    verbose
        Show Prefect's log.
    """
    if not sources:
        raise UsageError("Nothing to embed: name at least one file, folder, glob or - for standard input.")
    # Hyphens are let through for `-` alone; anything longer is a mistyped option.
    if mistyped := [source for source in sources if source.startswith("-") and source != "-"]:
        raise UsageError(
            f"Unknown option {mistyped[0]}. `polyseme embed --help` lists them; a file is named ./{mistyped[0]}."
        )
    config = EngineConfig(
        model=model, device=device, precision=precision, layers=layers, pooling=pooling, context=context,
        max_tokens=max_tokens,
    )  # fmt: skip
    outputs = outputs_from(level, words, nsp, pll_variant if pll else None)
    reading = ReadOptions(
        text_field=text_field, id_field=id_field, title_field=title_field,
        max_document_bytes=max_document_mb * MIB, max_line_bytes=max_line_mb * MIB,
    )  # fmt: skip
    place = lake_at(lake, catalog_url)
    engine = shared_engine(config)
    engine.check(outputs)
    if dry_run:
        from polyseme.tasks.shards.estimate import estimate

        estimated = estimate(sources, place, engine, outputs, reading, limit=limit)
        write_json(estimated.to_dict()) if json else print(estimated.to_text())  # noqa: T201
        return 0
    prepare_prefect(verbose=verbose)
    # Prefect's server takes seconds to start; PyTorch is imported meanwhile.
    threading.Thread(target=import_module, args=("torch",), daemon=True).start()
    from polyseme.flows.display.progress_bar import shown
    from polyseme.flows.embed import EmbedRequest, embed_corpus
    from polyseme.flows.runs.runners import Runner
    from polyseme.flows.runs.temporary_server import start_where_needed

    request = EmbedRequest(
        sources=list(sources), lake=str(place.root), catalog=place.catalog, engine=config, outputs=outputs,
        reading=reading, limit=limit, delete=not keep_missing, name=name,
        runner=Runner(kind=runner, address=runner_address, workers=runner_workers),
    )  # fmt: skip
    start_where_needed()
    with shown():
        report = embed_corpus(request)
    write_json(report.to_dict()) if json else _print_summary(report)
    return FINISHED_WITH_REJECTS if strict and report.tally.rejected else 0


def outputs_from(level: Level | None, words: str | None, nsp: bool, pll: PllVariant | None) -> Outputs:
    """Return the outputs that the options ask for. Raises UsageError where they contradict each other."""
    if words is None:
        return Outputs(level or "words", None, nsp, pll)
    wanted = frozenset(word.strip().lower() for word in words.split(",") if word.strip())
    if not wanted:
        raise UsageError("--words names no word. Give one or several with commas between: --words bank,court")
    if level == "sentences":
        raise UsageError("--words keeps word vectors and --level sentences keeps none. Leave one of them out.")
    return Outputs(level or "words", wanted, nsp, pll)


def _print_summary(report: RunReport) -> None:
    counts, tally = report.counts, report.tally
    rate = (
        f", {counts.tokens / report.wall_seconds:,.0f} tokens/s, the model at work {report.lane_busy:.0%} of the time"
        if counts.tokens
        else ""
    )
    lines = [
        f"{tally.documents:,} documents read: {tally.new:,} new, {tally.changed:,} changed, "
        f"{tally.unchanged:,} unchanged, {tally.deleted:,} gone; {tally.rejected:,} records refused.",
        f"{counts.documents:,} documents embedded: {counts.sentences:,} sentences, {counts.words:,} words, "
        f"{counts.tokens:,} tokens, {counts.transitions:,} transitions; {counts.bytes / 1e6:,.1f} MB "
        f"in {report.wall_seconds:,.1f} s{rate}.",
        f"Lake {report.lake}, encoding {report.encoding}, run {report.run_id}.",
    ]
    if tally.rejected:
        lines.append(f"See what was refused: polyseme rejects --lake {quote(report.lake)}")
    lines.append(f'Ask it: polyseme sql "from sentences limit 5" --lake {quote(report.lake)}')
    print("\n".join(lines), file=sys.stdout)  # noqa: T201
