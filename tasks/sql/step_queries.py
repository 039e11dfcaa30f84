"""Queries over the steps of texts, for macros, command and flow. `suffix` names an encoding, empty for the default.

A suffix is escaped already, as it stands between the double quotes of an identifier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from polyseme.tasks.groups import groups_of

Row = TypeVar("Row")

_STEPS_AT_ONCE = 50_000
"""Steps whose sentence vectors are in memory at once: 77 MB of float32 with 384 dimensions."""


def in_batches(documents: Iterable[Row], steps: Callable[[Row], int]) -> Iterator[list[Row]]:
    """Return rows of documents in lists of about as many steps as may be in memory; `steps` counts a document's."""
    return groups_of(documents, steps, _STEPS_AT_ONCE)


def cosine_scale(suffix: str) -> str:
    """Return a query of one row: the mean cosines of sentences of different documents, and of neighbours."""
    return f"""
    SELECT avg(cosine) FILTER (WHERE kind = 'random' AND doc_id <> next_doc_id) AS unrelated,
           avg(cosine) FILTER (WHERE kind = 'adjacent') AS related
    FROM "transitions{suffix}"
    """


def step_margins(suffix: str) -> str:
    """Return a query of one row a step: `doc_id, sentence_index, margin, order_margin`, both margins in log-odds.

    `order_margin` is NULL for a checkpoint without an order head, and in parts of versions without that column.
    """
    return f"""
    SELECT doc_id, sentence_index, nsp_logit_is_next::DOUBLE - nsp_logit_not_next AS margin, order_margin
    FROM "transitions{suffix}" WHERE kind = 'adjacent'"""
