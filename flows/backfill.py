"""backfill: documents that the lake already holds, encoded again or in another encoding, as a Prefect flow.

The body of `embed_corpus` over another selection. Texts come from the lake itself, or from sources if some are named;
nothing is ever deleted. Safe beside scheduled runs: a text read by a later run always wins.
"""

from __future__ import annotations

from prefect import flow

from polyseme.flows.embed import FLOW_OPTIONS, carry_out
from polyseme.flows.runs.backfill_job import LEAST, BackfillRequest, backfill_job, config_of, documents
from polyseme.flows.runs.run import handed_over_job
from polyseme.flows.runs.run_report import RunReport

__all__ = ["LEAST", "BackfillRequest", "backfill", "config_of", "documents"]


@flow(name="backfill", **FLOW_OPTIONS)
def backfill(request: BackfillRequest) -> RunReport:
    """Encode the selected documents that are not up to date in the encoding. Running it again changes nothing.

    Raises PolysemeError if shards failed after their retries; what was committed before stays, and the same request
    goes on from there.
    """
    return carry_out(handed_over_job() or backfill_job(request))
