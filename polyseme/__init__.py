"""Contextual embeddings of whole corpora that answer SQL.

The public face, shown in `docs/python.md`: every name here is loaded when it is first used, so that importing Polyseme
costs nothing. The folders `flows`, `tasks` and `storage` of the repository are the packages `polyseme.flows`,
`polyseme.tasks` and `polyseme.storage`. What is not named here may change between versions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyseme.flows.embed import embed_corpus
    from polyseme.flows.notebook.opened_lake import OpenedLake, open
    from polyseme.flows.runs.job import EmbedRequest
    from polyseme.flows.runs.runners import Runner
    from polyseme.flows.settings import prepare_prefect
    from polyseme.storage.errors import PolysemeError
    from polyseme.storage.lake import Lake
    from polyseme.storage.records import Document, Outputs
    from polyseme.storage.sql.access import Access
    from polyseme.storage.sql.connection import connect
    from polyseme.storage.sql.vectors import vectors
    from polyseme.tasks.engine import Engine
    from polyseme.tasks.engine_config import EngineConfig
    from polyseme.tasks.inference.vectors import text_vectors, word_in_text_vectors
    from polyseme.tasks.reading.documents import ReadOptions
    from polyseme.tasks.sql.functions import ModelFunctions

__all__ = [
    "Access",
    "Document",
    "EmbedRequest",
    "Engine",
    "EngineConfig",
    "Lake",
    "ModelFunctions",
    "OpenedLake",
    "Outputs",
    "PolysemeError",
    "ReadOptions",
    "Runner",
    "connect",
    "embed_corpus",
    "open",
    "prepare_prefect",
    "text_vectors",
    "vectors",
    "word_in_text_vectors",
]

_HOMES = {
    "Access": "storage.sql.access",
    "Document": "storage.records",
    "EmbedRequest": "flows.runs.job",
    "Engine": "tasks.engine",
    "EngineConfig": "tasks.engine_config",
    "Lake": "storage.lake",
    "ModelFunctions": "tasks.sql.functions",
    "OpenedLake": "flows.notebook.opened_lake",
    "Outputs": "storage.records",
    "PolysemeError": "storage.errors",
    "ReadOptions": "tasks.reading.documents",
    "Runner": "flows.runs.runners",
    "connect": "storage.sql.connection",
    "embed_corpus": "flows.embed",
    "open": "flows.notebook.opened_lake",
    "prepare_prefect": "flows.settings",
    "text_vectors": "tasks.inference.vectors",
    "vectors": "storage.sql.vectors",
    "word_in_text_vectors": "tasks.inference.vectors",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'polyseme' has no attribute '{name}'")
    value: object = getattr(import_module(f"polyseme.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
