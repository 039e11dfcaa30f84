"""`polyseme embed --corpus`: configured corpora into their lakes, one run each, as cron starts it without a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from polyseme.flows.commands.options.running import ReportOptions
from polyseme.flows.commands.run_job import run_job
from polyseme.flows.commands.show_plan import planned, print_plan
from polyseme.flows.display.output import write_json
from polyseme.flows.display.run_summary import show_line
from polyseme.flows.display.terminal import note, show
from polyseme.flows.runs.job import embed_job
from polyseme.flows.runs.run_report import RunReport
from polyseme.flows.server.corpora import Make
from polyseme.storage.errors import PolysemeError, in_words
from polyseme.tasks.engine import Cancelled, shared_engine
from polyseme.tasks.shards.deletion_guard import explain
from polyseme.tasks.shards.skipped_tally import at_fault

FINISHED_WITH_REJECTS = 3
FINISHED_HELD_BACK = 6
EMBED = "polyseme.flows.embed.embed_corpus"


def embed_corpora(
    corpora: Mapping[str, Make], *, delete_limit: str | None, dry_run: bool, strict: bool, report: ReportOptions
) -> int:
    """Embed each corpus, or plan it, with a line for each; return the exit code: of the first failure, if any.

    A corpus whose table makes no sense is one that failed.
    """
    codes, records = list[int](), list[dict[str, Any]]()
    for name, make in corpora.items():
        try:
            request = make().request()
            if delete_limit is not None:
                request = replace(request, delete_limit=delete_limit)
            shared_engine(request.engine).check(request.outputs)
            if dry_run:
                found = planned(embed_job(request, dry_run=True))
                records.append({"corpus": name, **found.to_dict()})
                if not report.json:
                    show(f"Corpus {name}, lake {found.lake}")
                    print_plan(found)
                continue
            done = run_job(
                embed_job(request), request, flow=EMBED, verbose=report.verbose,
                at_the_end=partial(_say_what_is_left, name, [*corpora], records, codes, json=report.json),
            )  # fmt: skip
        except Cancelled:
            raise
        except Exception as error:
            # Whatever it is, a full disk or a bug of ours: the other corpora are done all the same.
            note(f"polyseme: corpus {name}: {in_words(error)}")
            records.append({"corpus": name, "error": in_words(error)})
            codes.append(error.exit_code if isinstance(error, PolysemeError) else PolysemeError.exit_code)
            continue
        records.append({"corpus": name, **done.to_dict()})
        if not report.json:
            show_line(name, done)
        codes.append(exit_code(done, strict=strict))
    if report.json:
        write_json(records)
    return _worst(codes)


def _say_what_is_left(
    name: str, corpora: list[str], records: list[dict[str, Any]], codes: list[int], error: PolysemeError, *, json: bool
) -> int:
    """Say which corpora were not embedded, if the process ends with the run of one; return the exit code."""
    left = corpora[corpora.index(name) + 1 :]
    again = "".join(f" --corpus {one}" for one in (name, *left))
    note(f"polyseme: corpus {name} failed; not embedded: {', '.join(left) or 'none'}. To go on: polyseme embed{again}")
    if json:
        undone = [{"corpus": one, "error": f"not embedded: corpus {name} failed"} for one in left]
        write_json([*records, {"corpus": name, "error": in_words(error)}, *undone])
    return _worst([*codes, error.exit_code])


def _worst(codes: list[int]) -> int:
    failures = [code for code in codes if code and code not in (FINISHED_HELD_BACK, FINISHED_WITH_REJECTS)]
    return failures[0] if failures else max(codes, default=0)


def exit_code(done: RunReport, *, strict: bool) -> int:
    """Return the exit code of a run that was carried out, and say which deletions were held back."""
    if done.absent:
        note(f"polyseme: not there: {'; '.join(done.absent)}. Nothing of it was read.")
    for held in done.held_back:
        note(f"polyseme: {explain(held)}.")
    if done.held_back:
        return FINISHED_HELD_BACK
    return FINISHED_WITH_REJECTS if strict and (done.tally.rejected or at_fault(done.skipped)) else 0
