"""The flows that a standing server runs over configured corpora: embed what arrived, reconcile what events missed.

Both bring lakes up to date with their sources as `embed_corpus` does; here is only which corpora, and when to wait for
another scan. A corpus that fails does not stop the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger

from polyseme.flows.embed import FLOW_OPTIONS, carry_out
from polyseme.flows.received_events import check_corpora
from polyseme.flows.runs.endings import with_state
from polyseme.flows.runs.job import embed_job
from polyseme.flows.runs.run_report import RunReport
from polyseme.flows.server.corpora import Corpus, Make, makers
from polyseme.flows.server.every_corpus import do_for_each, raise_failures
from polyseme.flows.server.scan_lock import scan_lock


@flow(name="embed", **FLOW_OPTIONS)
def embed_corpora(corpora: list[str] | None = None) -> Any:
    """Bring the lakes of configured corpora up to date, of all of them for None.

    If another run scans a corpus, wait for it; if one waits for it already, leave the corpus to that run.
    Raises PolysemeError if a corpus failed or its table makes no sense, once the others are done. The flow run's state
    is `HeldBack` if deletions were held back.
    """
    reports, failures = _bring_up_to_date(makers(check_corpora(corpora)))
    raise_failures(failures)
    return with_state(reports.values())


@flow(name="reconcile", **FLOW_OPTIONS)
def reconcile(corpora: list[str] | None = None) -> Any:
    """Scan configured corpora against their lakes and close every gap. Raises as `embed_corpora` does.

    Leaves a table of what no event had brought in.
    """
    reports, failures = _bring_up_to_date(makers(check_corpora(corpora)))
    table = [
        {
            "corpus": name,
            "documents": report.tally.documents,
            "unchanged": report.tally.unchanged,
            "missed new": report.tally.new,
            "missed changed": report.tally.changed,
            "missed descriptions": report.tally.redescribed,
            "missed gone": report.tally.deleted,
            "refused": report.tally.rejected,
        }
        for name, report in reports.items()
    ]
    create_table_artifact(table, key="reconcile-summary", description="What no event had brought in")
    raise_failures(failures)
    return with_state(reports.values())


def _bring_up_to_date(corpora: Mapping[str, Make]) -> tuple[dict[str, RunReport], list[str]]:
    """Return reports by corpus, and a line for each corpus that failed."""
    reports = dict[str, RunReport]()

    def embed(corpus: Corpus) -> None:
        with scan_lock(f"{corpus.lake} {corpus.name}") as mine:
            if mine:
                reports[corpus.name] = carry_out(embed_job(corpus.request()))
            else:
                get_run_logger().info(
                    "corpus %s: left to the run that waits to scan it, which will see all of this", corpus.name
                )

    return reports, do_for_each(corpora, embed)
