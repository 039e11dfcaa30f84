"""The rounding of an int8 encoding: what it loses against fp32, measured by its first run in each lake."""

from __future__ import annotations

from prefect.logging import get_run_logger

from polyseme.storage.catalog import Catalog
from polyseme.tasks.engine import Engine


def measure_rounding(catalog: Catalog, engine: Engine) -> None:
    """Measure what an int8 encoding loses against fp32, once in each lake, and store it with the encoding."""
    from polyseme.tasks.evaluation.precision_loss import measure

    wanted = engine.spec.encoding_id
    if engine.spec.precision != "int8" or any(e.encoding_id == wanted and e.fidelity for e in catalog.encodings()):
        return
    found = measure(engine)
    catalog.record_precision_loss(wanted, found)
    get_run_logger().info(
        "int8 against fp32 on %d sentences: mean token cosine %.4f, least %.4f, recall@10 %.3f",
        found.sentences, found.token_cosine, found.least_token_cosine, found.recall_at_10,
    )  # fmt: skip
