"""Documents and the tables that an engine makes of them, and engines of every context."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from polyseme.storage.records import Context, Document, Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = Outputs("tokens", None, True)
STORY = (
    "The river rose in the night.\r\nNobody saw it come. Dr. Ortiz woke at 3 a.m. and heard the water.\n\n"
    "Zürich is far away — a café there never floods! 東京は大きい。雨が降る。 It cost £3.50… Did it? 😀 Yes."
)

PLAIN = {
    "river": "The bank was steep. It held the river back. Nobody went there in winter! Was it cold? Yes.",
    "money": "The bank lent money. A loan. " + "It takes back what it gives, and a little more. " * 4,
}


def document(text: str, doc_id: str = "d") -> Document:
    return Document(doc_id, f"file:///{doc_id}", text)


def tables(
    engine: Engine, documents: Sequence[Document], outputs: Outputs = EVERYTHING, seed: int = 0
) -> dict[str, pa.Table]:
    """Return the tables of all chunks, concatenated."""
    chunks = [chunk.tables for chunk in engine.run(documents, outputs, version=7, seed=seed, ingested_at=NOW)]
    names = {name for chunk in chunks for name in chunk}
    return {name: pa.concat_tables([chunk[name] for chunk in chunks if name in chunk]) for name in sorted(names)}


def rows(table: pa.Table, *columns: str) -> list[tuple[Any, ...]]:
    return list(zip(*(table[c].to_pylist() for c in columns), strict=True))


CONTEXTS: tuple[Context, ...] = ("sentence", "window", "pair")


@pytest.fixture(scope="module")
def by_context(foreign_folder: Path) -> dict[Context, Engine]:
    """One engine per context, with windows of 37 tokens of mostly one letter each: few sentences fit."""
    return {c: Engine(EngineConfig(model=str(foreign_folder), device="cpu", context=c)) for c in CONTEXTS}
