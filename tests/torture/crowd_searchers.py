"""The searchers of the crowd: whatever the lake becomes meanwhile, an index finds what its snapshot has."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.search.unit_vectors import Floats
from polyseme.storage.sql import indexed_rows
from polyseme.storage.sql.sentence_blocks import SentenceBlock, sentence_blocks
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
    """Return in what both ways to search differ, or from what the lake has; None if they took too long."""
    with Catalog.open(lake) as catalog:
        snapshot = catalog.snapshot()
    assert snapshot.default is not None
    began = time.monotonic()
    both = SentenceSearch(snapshot, lake, snapshot.default)
    try:
        found = [both.with_texts(both.nearest(vectors, 10_000, exact=exact), lambda: None) for exact in (False, True)]
        blocks = sentence_blocks(snapshot, lake, snapshot.default, texts=True)
        texts = {key: text for block in blocks for key, text in _texts(block)}
    except LakeError:
        if time.monotonic() - began > GRACE.total_seconds():
            return None
        raise
    keys = [[sorted((n.doc_id, n.sentence_index) for n in one) for one in way] for way in found]
    if keys[0] != keys[1]:
        return ["the index finds other sentences than the lake has"]
    every = (n for way in found for one in way for n in one)
    if any(n.text != texts[n.doc_id, n.sentence_index] for n in every):
        return ["a sentence is shown with the text of another"]
    return []


def _texts(block: SentenceBlock) -> Iterator[tuple[tuple[str, int], str]]:
    assert block.text is not None
    keys = zip(block.doc_id.to_pylist(), block.sentence_index.tolist(), strict=True)
    yield from zip(keys, block.text.to_pylist(), strict=True)
