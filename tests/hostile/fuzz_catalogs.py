"""Lakes with any value anywhere in what their maker writes: right answers or an error in words, and nothing outside.

A case is some changes to a small good lake and some uses of it. Values go into any column of the catalog, the pointer,
the published file, staged files and parts; columns accept NULL, as whoever makes a lake also makes its tables.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stdout, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from polyseme.flows.commands.lake import rejects, status
from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.restore import restore as restore_command
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.backup import backup
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.maintenance.restoring import deleted_documents, restore
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.records import Document, Outputs
from polyseme.storage.sql.publish import publish
from polyseme.storage.sql.selection import Selection, select_documents
from polyseme.storage.staging import read_staged
from polyseme.tasks.reading.local_source import LocalSource
from polyseme.tasks.shards.deletion_guard import DeletionLimit
from polyseme.tasks.shards.known_sources import known_to
from polyseme.tasks.shards.scan import Scan
from polyseme.tasks.sql.execution import Queries
from polyseme.tasks.sql.functions import ModelFunctions
from tests import lakes
from tests.hostile.fuzzing import Property
from tests.hostile.lake_changes import CHANGES, ID, OTHER, SPEC, STAGED, Bytes, Change, Pointer, apply, template

VIEWS = ("documents", "sentences", "words", "transitions", "coherence", "runs", "rejects", "skipped", "encodings")
_DOCUMENTS = "SELECT doc_id, text FROM documents ORDER BY ALL"
_NOW = datetime(2027, 6, 1, tzinfo=UTC)


class Case(NamedTuple):
    changes: list[Change | Bytes | Pointer]
    uses: list[str]


def _sql(lake: Lake) -> None:
    with Queries(lake, ModelFunctions()) as queries:
        for view in VIEWS:
            queries.run(f"FROM {view}", lambda rows: rows.read_all())


def _kept(lake: Lake) -> None:
    with Catalog.open(lake) as catalog:
        catalog.lookup(ID, ["d", "e"])
        catalog.outputs(ID)
        catalog.held_back()
        list(catalog.documents_under(ID, "file:///"))
        catalog.damaged_documents(ID)
        known_to(lake)(LocalSource("x", "folder", "/corpus"))
        list(select_documents(catalog, Selection()))


def _committed(lake: Lake) -> None:
    with Catalog.create_or_open(lake) as catalog:
        version = lakes.commit(catalog, SPEC, {"d": ["Anew."], "g": ["Back."], "new": ["A new text."]})
        catalog.retire_rejects("run-new", lambda uri: True)
        catalog.move_documents(ID, [("e", "file:///corpus/there.txt")])
        catalog.delete_documents(ID, ["h"], version=version)
        catalog.replace_held_back(ID, [], judged=lambda source: True)


def _staged(lake: Lake) -> None:
    with suppress(FileNotFoundError):  # promised for a file that is gone, as after a vacuum
        list(read_staged(lake, STAGED))


def _scanned(lake: Lake) -> None:
    source = [LocalSource("/corpus", "folder", "/corpus")]
    found = [Document(doc_id, lakes.uri_of(doc_id), f"Text of {doc_id}.") for doc_id in ("d", "h", "new")]
    with Catalog.create_or_open(lake) as catalog:
        catalog.register_encoding(SPEC)
        version = catalog.begin_run("run-scan", ID, ["/corpus"])
        with closing(Scan(catalog, lake, "run-scan", version, ID, Outputs("sentences", None, False), source)) as scan:
            list(scan.shards(found))
            scan.retire_rejects(source)
            scan.delete_gone(source, DeletionLimit.parse("100%"))


def _restored(lake: Lake) -> None:
    with Catalog.open(lake) as catalog:
        restore(catalog, deleted_documents(catalog, uri_prefix="file:///"))


def _backed_up(lake: Lake) -> None:
    assert isinstance(lake.root, Path)
    with Catalog.open(lake) as catalog:
        backup(catalog, Lake(lake.root.parent / "backup"))


def _maintained(act: Callable[[Catalog], object]) -> Callable[[Lake], None]:
    def use(lake: Lake) -> None:
        with Catalog.open(lake) as catalog:
            act(catalog)

    return use


USES: dict[str, Callable[[Lake], object]] = {
    "sql": _sql,
    "status": lambda lake: status(lake=LakeOptions(root=str(lake.root))),
    "status as JSON": lambda lake: status(lake=LakeOptions(root=str(lake.root)), json=True),
    "rejects": lambda lake: rejects(lake=LakeOptions(root=str(lake.root))),
    "read": _kept,
    "staged": _staged,
    "verify": _maintained(lambda catalog: verify(catalog, grace=timedelta(0), now=_NOW)),
    "publish": _maintained(publish),
    "publish anew": _maintained(lambda catalog: publish(catalog, anew=True)),
    "compact": _maintained(lambda catalog: compact(catalog, CompactionPolicy(min_dead=0))),
    "vacuum": _maintained(lambda catalog: vacuum(catalog, grace=timedelta(0), now=_NOW, unknown=True)),
    "commit": _committed,
    "restore": _restored,
    "list deleted": lambda lake: restore_command(lake=LakeOptions(root=str(lake.root))),
    "scan": _scanned,
    "back up": _backed_up,
}
_SOME_USES = st.lists(st.sampled_from([*USES]), min_size=3, max_size=6, unique=True)
CASES = st.builds(Case, st.lists(CHANGES, min_size=1, max_size=2), _SOME_USES)
_WITHOUT_THE_TEXTS = frozenset(
    {"runs", "rejects", "skipped_files", "held_back",
     "shards", "other_uris", "retired_parts", "document_versions", "deleted_documents",
     "moved", "meta"}
)  # fmt: skip
"""Tables in which no value changes what documents there are or their texts."""


@contextmanager
def promise() -> Iterator[Property]:
    """Give what is promised of lakes, with a good one to change; the working directory is an empty folder meanwhile."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        good, here = Path(folder) / "good", Path(folder) / "here"
        template(good)
        right = [_documents(good), _documents(good, f"_{_other_name(good)}")]
        here.mkdir()
        os.chdir(here)
        try:
            yield Property(CASES, lambda case: _check(case, good, here, right))
        finally:
            os.chdir(before)


def _check(case: Case, good: Path, here: Path, right: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outside = Path(folder)
        root, canary = outside / "lake", outside / "canary"
        shutil.copytree(good, root)
        canary.mkdir()
        (canary / "diary.txt").write_text("Dear diary.")
        for change in case.changes:
            apply(change, root)
        if all(isinstance(c, Change) and c.table in _WITHOUT_THE_TEXTS for c in case.changes):
            _require_right_texts(root, right)
        for use in case.uses:
            _require_printable(_outcome(USES[use], Lake(root)))
        assert {p.name for p in outside.iterdir()} <= {"lake", "canary", "backup"}
        assert {p.name: p.read_bytes() for p in canary.iterdir()} == {"diary.txt": b"Dear diary."}
        assert list(here.iterdir()) == []


def _require_right_texts(root: Path, right: list[Any]) -> None:
    try:
        found = _documents(root)
    except PolysemeError:
        return
    assert found in right, f"other documents: {found}"


def _documents(root: Path, suffix: str = "") -> list[dict[str, Any]]:
    with Queries(Lake(root), ModelFunctions()) as queries:
        return queries.ask(_DOCUMENTS.replace("documents", f"documents{suffix}"))


def _other_name(root: Path) -> str:
    with Catalog.open(Lake(root)) as catalog:
        return next(e.name for e in catalog.encodings() if e.encoding_id == OTHER.encoding_id)


def _outcome(use: Callable[[Lake], object], lake: Lake) -> str:
    """Return what a use of a lake writes to stdout."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    with redirect_stdout(out), _refusals_allowed():
        use(lake)
    return out.buffer.getvalue().decode()  # type: ignore[attr-defined,no-any-return]


@contextmanager
def _refusals_allowed() -> Iterator[None]:
    message = ""
    try:
        yield
    except PolysemeError as error:
        message = str(error)
    assert len(message) < 5000, "a message without end"


def _require_printable(text: str) -> None:
    odd = [c for c in text if not c.isprintable() and c != "\n"]
    assert not odd, f"raw {odd[0]!a} for a terminal"
