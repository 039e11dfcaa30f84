"""The searchers of the crowd: whatever the lake becomes meanwhile, an index finds what its snapshot has."""

from __future__ import annotations

import json
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.search.unit_vectors import Floats
from polyseme.storage.sql import indexed_rows
from polyseme.storage.sql.sentence_search import SentenceSearch
from tests.torture import scenario
from tests.torture.crowd_mutants import mutate
from tests.torture.crowd_processes import GRACE, SHOWN


def search(root: Path, over: Event, number: int, mutant: str) -> None:
    """Search by the index again and again: it has to find what comparing all vectors of the same snapshot finds."""
    mutate(mutant)
    indexed_rows.WORTH_AN_INDEX = 1
    errors, queries, chance = list[str](), 0, np.random.default_rng(number)
    while not over.is_set():
        try:
            found = _searched(Lake(root), chance.standard_normal((2, scenario.SPEC.width), np.float32))
            if found is not None:
                queries += 1
                errors += found
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
    (root.parent / f"searcher-{number}").write_text(json.dumps({"queries": queries, "errors": errors[:SHOWN]}))


def _searched(lake: Lake, vectors: Floats) -> list[str] | None:
    """Return in what both ways to search differ; None if they took too long."""
    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    assert snapshot.default is not None
    began = time.monotonic()
    both = SentenceSearch(snapshot, lake, snapshot.default)
    try:
        found = [both.nearest(vectors, 10_000, exact=exact) for exact in (False, True)]
    except LakeError:
        if time.monotonic() - began > GRACE.total_seconds():
            return None
        raise
    keys = [[sorted((n.doc_id, n.sentence_index) for n in one) for one in way] for way in found]
    return [] if keys[0] == keys[1] else ["the index finds other sentences than the lake has"]
