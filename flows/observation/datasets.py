"""Datasets as OpenLineage names them: what a run reads, and the lake's tables that it writes.

Namespaces and names follow OpenLineage's naming conventions: `file` and an absolute path, `s3://bucket` and a key. A
pattern is the folder that its files lie in. Needs no package of OpenLineage.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from polyseme.flows.observation.facts import Source
from polyseme.storage.schemas import table_schema
from polyseme.tasks.reading.databases.address import KIND as QUERY
from polyseme.tasks.reading.databases.address import PORTS, parse
from polyseme.tasks.reading.folders import MAGIC, fixed_folder
from polyseme.tasks.reading.object_store import store_of
from polyseme.tasks.reading.tables.source import DELTA

Name = tuple[str, str]
"""A dataset's namespace and its name in it."""

TEXT = "text"
_FROM_TEXT = {
    "sentences": ("char_start", "char_end", "text", "n_tokens", "pll", "embedding"),
    "words": ("char_start", "char_end", "word", "word_lower", "lemma", "tokens", "embedding"),
    "tokens": ("char_start", "char_end", "token", "token_id", "surprisal", "replaced_logit", "embedding"),
    "transitions": ("nsp_logit_is_next", "nsp_logit_not_next", "cosine", "n_truncated", "order_margin"),
}
"""Columns that follow from the text of a document alone, given the encoding."""


def source_name(source: Source) -> Name | None:
    """Return the name of what a run reads; None for standard input without a name of its own."""
    if source.kind == "stdin":
        return ("stdin", source.name) if source.name else None
    if source.kind == QUERY:
        return query_name(source.name)
    if source.name.startswith(DELTA):
        return "file", unquote(source.name.removeprefix(DELTA))
    if "://" in source.name and not source.name.startswith("file://"):
        return _remote_name(source.name)
    path = source.name.removeprefix("file://")
    return "file", fixed_folder(path) if source.kind == "glob" else path


def _remote_name(address: str) -> Name:
    """Return the name of an object, a prefix or a file of the web; keys are literal, and a pattern is its prefix."""
    if (found := store_of(address)) is None:
        return place_name(address)
    store, key = found
    if first := MAGIC.search(key):
        key = key[: key.rfind("/", 0, first.start()) + 1]
    return f"{store.scheme}://{store.bucket}", key.strip("/") or "/"


def query_name(address: str) -> Name:
    """Return the database and the table, or the query, of the address of a query in it."""
    query = parse(address)
    what = query.table or query.query
    if query.scheme == "sqlite":
        return "sqlite", f"{query.database}.{what}"
    namespace = {"postgresql": "postgres"}.get(query.scheme, query.scheme)
    return f"{namespace}://{query.host}:{query.port or PORTS[query.scheme]}", f"{query.database}.{what}"


def table_name(lake: str, table: str, encoding_id: str) -> Name:
    """Return the name of one table of one encoding: the folder, or prefix, of its parts."""
    namespace, root = place_name(lake)
    return namespace, f"{root.rstrip('/')}/data/{table}/encoding={encoding_id}"


def documents_name(lake: str) -> Name:
    """Return the name of the documents of a lake in all its encodings: the folder, or prefix, of their parts."""
    namespace, root = place_name(lake)
    return namespace, f"{root.rstrip('/')}/data/documents"


def place_name(address: str) -> Name:
    """Return namespace and name of a path or a URL: the bucket and the key of an object store's."""
    if "://" not in address:
        return "file", address
    url = urlsplit(address)
    if url.scheme == "file":
        return "file", url.path
    return f"{url.scheme}://{url.hostname or ''}", url.path.strip("/") or "/"


def columns(table: str, width: int) -> list[tuple[str, str]]:
    """Return the columns of a table, each with its Arrow type."""
    return [(field.name, str(field.type)) for field in table_schema(table, width)]


def derived_columns(table: str) -> Sequence[str]:
    """Return the columns of a table that are computed from the column `text` of `documents`."""
    return _FROM_TEXT.get(table, ())
