"""Scenario: a fixed list of operations on a small lake, and what the lake must contain after the first n of them.

Vectors have four dimensions and nothing is encoded: the test is of writing, committing and maintenance. After every
operation a byte is written to an acknowledgement file, as a user would see the command return.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.tiering import tidy
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.records import Counts, ShardResult
from polyseme.storage.sql.connection import open_snapshot
from polyseme.storage.sql.publish import publish
from tests import lakes

SPEC = lakes.make_spec()
Contents = dict[str, str]
DESCRIBED = "Described anew"
AT_ONCE, HOUR = timedelta(0), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Operation:
    """`commit` of texts, `describe` of the same texts anew, `delete` of documents, or maintenance.

    Maintenance changes nothing that readers see. After a commit or a new description small parts are merged.
    """

    kind: str
    texts: Mapping[str, Sequence[str]]


def plan() -> list[Operation]:
    """Return the operations: documents are added, replaced and deleted, with all of maintenance in between."""
    return [
        Operation("commit", {"a": ["The first bank.", "It closed."], "b": ["Another one.", "Also closed."]}),
        Operation("commit", {"c": ["A third document.", "With two sentences."]}),
        Operation("describe", {"b": ["Another one.", "Also closed."]}),
        Operation("publish", {}),
        Operation("commit", {"a": ["The first bank, again.", "It opened."], "d": ["A fourth.", "Short."]}),
        Operation("delete", {"b": []}),
        Operation("compact", {}),
        Operation("commit", {"c": ["The third, replaced."], "b": ["Back again."]}),
        Operation("vacuum", {}),
        Operation("compact", {}),
        Operation("vacuum", {}),
        Operation("describe", {"b": ["Back again."], "d": ["A fourth.", "Short."]}),
        Operation("commit", {"e": ["The last one.", "It is late."]}),
        Operation("publish", {}),
    ]


def replacing_commit() -> int:
    """Return the number of the first operation that replaces a document and adds another."""
    held = set[str]()
    for number, operation in enumerate(plan()):
        if operation.kind == "commit":
            if held & operation.texts.keys() and operation.texts.keys() - held:
                return number
            held |= operation.texts.keys()
    raise ValueError("the plan has no such commit")


def expected(operations: Sequence[Operation]) -> Contents:
    """Return the texts by document after these operations."""
    held: Contents = {}
    for operation in operations:
        for doc_id, sentences in operation.texts.items():
            if operation.kind == "commit":
                held[doc_id] = f"About {doc_id}: {' '.join(sentences)}"
            elif operation.kind == "describe":
                held[doc_id] = f"{DESCRIBED}: {' '.join(sentences)}"
            else:
                held.pop(doc_id, None)
    return held


def perform(lake: Lake, operation: Operation, *, run_id: str) -> None:
    """Do one operation. Doing it again changes nothing."""
    with Catalog.create_or_open(lake) as catalog:
        if operation.kind in ("commit", "describe", "delete"):
            catalog.register_encoding(SPEC)
            version = catalog.begin_run(run_id, SPEC.encoding_id, ["torture"])
            if operation.kind == "delete":
                catalog.delete_documents(SPEC.encoding_id, list(operation.texts), version=version)
            else:
                catalog.commit_shard(_made(catalog, operation, run_id=run_id, version=version))
                tidy(catalog, SPEC.encoding_id, now=datetime.now(UTC))
            catalog.finish_run(run_id, "completed", Counts(), skipped=0, deleted=0, rejected=0)
        elif operation.kind == "publish":
            publish(catalog)
        elif operation.kind == "compact":
            compact(catalog)
        else:
            vacuum(catalog, grace=AT_ONCE, now=datetime.now(UTC) + timedelta(seconds=1), unknown=True)


def _made(catalog: Catalog, operation: Operation, *, run_id: str, version: int) -> ShardResult:
    if operation.kind == "commit":
        return lakes.encode(catalog.lake, SPEC, operation.texts, run_id=run_id, version=version)
    more = {"run_id": run_id, "version": version, "rows_version": 0, "title": DESCRIBED}
    return lakes.describe(catalog.lake, SPEC, operation.texts, **more)


def work(root: Path, acknowledged: Path, *, start: int = 0, patience: int = 1) -> None:
    """Perform the plan from operation `start` on, trying each up to `patience` times; acknowledge each."""
    descriptor = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, operation in enumerate(plan()):
        if number < start:
            continue
        for attempt in range(patience):
            try:
                perform(Lake(root), operation, run_id=f"run-{number}-{attempt}-{start}-{os.getpid()}")
                break
            except Exception:
                if attempt + 1 == patience:
                    raise
        os.write(descriptor, b".")


def done(acknowledged: Path) -> int:
    """Return the number of acknowledged operations."""
    return acknowledged.stat().st_size if acknowledged.exists() else 0


def faults(root: Path, acknowledged: int, *, exactly: bool = False) -> list[str]:
    """Return the faults of a lake after so many operations; the next one may be done too, unless `exactly`."""
    operations = plan()
    allowed = [expected(operations[:acknowledged])]
    if not exactly and acknowledged < len(operations):
        allowed.append(expected(operations[: acknowledged + 1]))
    with Catalog.create_or_open(Lake(root)) as catalog:
        found = [
            f"{f.kind} {f.subject}: {f.message}" for f in verify(catalog, grace=HOUR, now=datetime.now(UTC)).findings
        ]
        if found:
            return found
        snapshot = catalog.snapshot()
        if "running" in snapshot.runs["state"].to_pylist():
            found.append("a run whose process has ended is shown as running")
        if snapshot.default is None:
            contents, words = {}, {}
        else:
            contents, words = read(catalog)
    if contents not in allowed:
        found.append(f"after {acknowledged} operations the lake has {contents}, not {allowed[0]}")
    if words != {doc_id: len(text_of(text).split()) for doc_id, text in contents.items()}:
        found.append(f"words do not match: {words}")
    return found + _published_faults(Lake(root).published_path)


def text_of(described: str) -> str:
    """Return a document's text without the title that `read` puts before it."""
    return described.partition(": ")[2]


def read(catalog: Catalog) -> tuple[Contents, dict[str, int]]:
    """Return the texts and the number of word rows by document."""
    with open_snapshot(catalog.snapshot(), catalog.lake) as con:
        rows = con.execute("SELECT doc_id, title || ': ' || text FROM documents ORDER BY ALL").fetchall()
        words = dict(con.execute("SELECT doc_id, count(*) FROM words GROUP BY ALL").fetchall())
    if len(dict(rows)) != len(rows):
        return {"twice": str(rows)}, words
    return dict(rows), words


def _published_faults(path: Path) -> list[str]:
    """Return the faults of a published file: it is whole or missing, and may name parts that were vacuumed since."""
    import duckdb

    if not path.exists():
        return []
    try:
        with duckdb.connect(str(path), read_only=True) as con:
            con.execute("FROM internal.meta").fetchall()
    except duckdb.Error as error:
        return [f"catalog.duckdb cannot be opened: {error}"]
    return []
