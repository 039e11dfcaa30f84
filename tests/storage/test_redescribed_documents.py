"""Documents described anew: one row of `documents` each, the rows of their text, whatever else happens to them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.part_rows import live_parts
from polyseme.storage.errors import PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.backup import backup
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.maintenance.restoring import deleted_documents, restore
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.records import EncodingSpec, ShardResult
from polyseme.storage.sql.connection import connect
from tests import lakes

ONE, TWO = ("The bank.", "It closed."), ("Another text.",)
SPEC = lakes.make_spec()


def shown(lake: Lake) -> dict[str, tuple[str, str, str, list[str], int]]:
    """Return what readers see of each document: title, text, uri, its sentences, how many words."""
    with connect(lake.root, catalog=lake.catalog) as con:
        rows = con.execute(
            "SELECT doc_id, title, text, uri, (SELECT list(s.text ORDER BY sentence_index) FROM sentences s WHERE "
            "s.doc_id = d.doc_id), (SELECT count(*) FROM words w WHERE w.doc_id = d.doc_id) FROM documents d"
        ).fetchall()
        assert len({row[0] for row in rows}) == len(rows)
        assert con.execute("SELECT count(*) FROM sentences ANTI JOIN documents USING (doc_id)").fetchone() == (0,)
    return {doc_id: tuple(row) for doc_id, *row in rows}


def describe(catalog: Catalog, spec: EncodingSpec, texts: lakes.Texts, title: str, *, rows_version: int) -> int:
    run_id = f"describes-{title}"
    version = lakes.begin(catalog, spec, run_id)
    more = {"run_id": run_id, "version": version, "rows_version": rows_version, "title": title}
    catalog.commit_shard(lakes.describe(catalog.lake, spec, texts, **more))
    return version


def faults(catalog: Catalog) -> list[str]:
    return [f.message for f in verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings]


def test_the_catalog_has_the_new_version_and_that_of_the_rows(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.commit(catalog, spec, {"a": ONE})
    describe(catalog, spec, {"a": ONE}, "new", rows_version=1)
    found = catalog.lookup(spec.encoding_id, ["a"])["a"]
    assert (found.version, found.rows_version, found.rows_shard, found.n_tokens) == (2, 1, 1, 7)
    assert shown(catalog.lake) == {"a": ("new", "The bank. It closed.", lakes.uri_of("a"), list(ONE), 4)}
    assert faults(catalog) == []


def test_one_that_was_deleted_meanwhile_has_its_rows_again(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.commit(catalog, spec, {"a": ONE})
    deletes = lakes.begin(catalog, spec, "deletes")
    version = lakes.begin(catalog, spec, "describes")
    catalog.delete_documents(spec.encoding_id, ["a"], version=deletes)
    more = {"run_id": "describes", "version": version, "rows_version": 1, "title": "new"}
    catalog.commit_shard(lakes.describe(catalog.lake, spec, {"a": ONE}, **more))
    assert shown(catalog.lake)["a"][0] == "new"
    assert deleted_documents(catalog) == []
    assert faults(catalog) == []


def test_another_text_hides_the_rows_of_the_one_that_was_described_anew(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.commit(catalog, spec, {"a": ONE})
    describe(catalog, spec, {"a": ONE}, "new", rows_version=1)
    lakes.commit(catalog, spec, {"a": TWO})
    assert shown(catalog.lake)["a"][3:] == (list(TWO), 2)
    compact(catalog)
    assert shown(catalog.lake)["a"][3:] == (list(TWO), 2)
    assert faults(catalog) == []


def test_a_deleted_one_is_restored_as_it_was_last_described(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.commit(catalog, spec, {"a": ONE, "b": TWO})
    describe(catalog, spec, {"a": ONE}, "new", rows_version=1)
    before = shown(catalog.lake)
    catalog.delete_documents(spec.encoding_id, ["a"], version=lakes.begin(catalog, spec, "deletes"))
    assert shown(catalog.lake).keys() == {"b"}
    compact(catalog, CompactionPolicy(min_dead=0.01))
    restore(catalog, deleted_documents(catalog))
    assert shown(catalog.lake) == before
    assert faults(catalog) == []


def test_a_correction_stays_as_long_as_its_row(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.commit(catalog, spec, {"a": ONE, "b": TWO})
    describe(catalog, spec, {"a": ONE}, "new", rows_version=1)
    compact(catalog, CompactionPolicy(target_bytes=1, min_dead=1))
    assert catalog.snapshot().redescribed.num_rows == 1
    assert shown(catalog.lake)["a"][0] == "new"


@pytest.mark.parametrize("forgotten", [True, False])
def test_a_description_of_rows_that_are_not_of_its_text_is_refused(
    catalog: Catalog, spec: EncodingSpec, forgotten: bool
) -> None:
    lakes.commit(catalog, spec, {"a": ONE})
    if forgotten:
        catalog.delete_documents(spec.encoding_id, ["a"], version=lakes.begin(catalog, spec, "deletes"))
        vacuum(catalog, grace=timedelta(0), now=datetime.now(UTC) + timedelta(seconds=1))
    else:
        lakes.commit(catalog, spec, {"a": TWO})
    before = shown(catalog.lake)
    with pytest.raises(PolysemeError, match="run the same command again"):
        describe(catalog, spec, {"a": ONE}, "new", rows_version=1)
    assert shown(catalog.lake) == before


def test_compaction_drops_the_old_row_and_then_its_correction(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.commit(catalog, spec, {"a": ONE, "b": TWO})
    describe(catalog, spec, {"a": ONE}, "new", rows_version=1)
    assert catalog.snapshot().redescribed.num_rows == 1
    compact(catalog)
    snapshot = catalog.snapshot()
    assert (snapshot.redescribed.num_rows, snapshot.superseded.num_rows) == (0, 0)
    with catalog.reading() as connection:
        (part,) = live_parts(connection, table="documents")
    assert sorted(row["version"] for row in lakes.rows_of(catalog.lake, [part])) == [1, 2]
    assert shown(catalog.lake)["a"][:1] == ("new",)
    assert faults(catalog) == []


@dataclass
class Expected:
    """What a document should be. `order` decides between two commits, `rows` are the sentences that it has."""

    order: tuple[int, int]
    rows: tuple[str, ...]
    title: str
    live: bool = True
    restorable: Expected | None = None


@dataclass
class Prepared:
    """A shard that is written and not committed yet."""

    result: ShardResult
    doc_id: str
    rows: tuple[str, ...]
    title: str | None = None


class RunsInAnyOrder:
    """Runs over two documents that begin and commit in any order, with maintenance between them."""

    def __init__(self, catalog: Catalog, chance: random.Random) -> None:
        self.catalog, self.chance = catalog, chance
        self.documents: dict[str, Expected] = {}
        self.waiting: list[Prepared] = []

    def step(self) -> None:
        doc_id, late = self.chance.choice("aaab"), self.chance.random() < 0.3
        names = ["encode", "describe", "describe", "commit", "delete", "restore", "compact", "vacuum"]
        match self.chance.choice(names):
            case "encode":
                self._encode(doc_id, self.chance.choice([ONE, TWO]), late)
            case "describe":
                self._describe(doc_id, late)
            case "commit" if self.waiting:
                self._commit(self.waiting.pop(self.chance.randrange(len(self.waiting))))
            case "delete":
                self._delete(doc_id)
            case "restore":
                restore(self.catalog, deleted_documents(self.catalog))
                self.documents |= {d: now.restorable for d, now in self.documents.items() if now.restorable}
            case "compact":
                compact(self.catalog, CompactionPolicy(min_dead=0.01))
            case "vacuum":
                vacuum(self.catalog, grace=timedelta(0), now=datetime.now(UTC) + timedelta(seconds=1))
                for now in self.documents.values():
                    now.restorable = None

    def expected(self) -> dict[str, tuple[str, str, str, list[str], int]]:
        return {
            doc_id: (now.title, " ".join(now.rows), lakes.uri_of(doc_id), list(now.rows), 2 * len(now.rows))
            for doc_id, now in self.documents.items()
            if now.live
        }

    def _begin(self) -> tuple[str, int]:
        run_id = f"run-{len(self.catalog.snapshot().runs)}"
        return run_id, lakes.begin(self.catalog, SPEC, run_id)

    def _encode(self, doc_id: str, rows: tuple[str, ...], late: bool) -> None:
        run_id, version = self._begin()
        result = lakes.encode(self.catalog.lake, SPEC, {doc_id: rows}, run_id=run_id, version=version)
        self._wait_or_commit(Prepared(result, doc_id, rows), late)

    def _describe(self, doc_id: str, late: bool) -> None:
        known = self.catalog.lookup(SPEC.encoding_id, [doc_id])
        if doc_id not in known:
            return
        run_id, version = self._begin()
        rows, title = self.documents[doc_id].rows, f"title {version}"
        rows_version = known[doc_id].rows_version or known[doc_id].version
        more = {"run_id": run_id, "version": version, "rows_version": rows_version, "title": title}
        result = lakes.describe(self.catalog.lake, SPEC, {doc_id: rows}, **more)
        self._wait_or_commit(Prepared(result, doc_id, rows, title), late)

    def _wait_or_commit(self, made: Prepared, late: bool) -> None:
        self.waiting.append(made) if late else self._commit(made)

    def _commit(self, made: Prepared) -> None:
        version = made.result.shard.version
        now = self.documents.get(made.doc_id)
        wins = now is None or now.order < (version, version)
        rows = now if now is None or now.live else now.restorable
        if wins and made.title is not None and (rows is None or rows.rows != made.rows):
            with pytest.raises(PolysemeError, match="run the same command again"):
                self.catalog.commit_shard(made.result)
            return
        self.catalog.commit_shard(made.result)
        if wins:
            title = made.title or f"About {made.doc_id}"
            self.documents[made.doc_id] = Expected((version, version), made.rows, title)

    def _delete(self, doc_id: str) -> None:
        _, version = self._begin()
        now = self.documents.get(doc_id)
        found = now is not None and now.live
        assert self.catalog.delete_documents(SPEC.encoding_id, [doc_id], version=version) == found
        if now is not None and found:
            self.documents[doc_id] = Expected((version, version), (), "", live=False, restorable=now)


@pytest.mark.parametrize("seed", range(5))
def test_readers_see_each_live_document_once_with_the_rows_of_its_text(tmp_path: Path, seed: int) -> None:
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as catalog:
        catalog.register_encoding(SPEC)
        world = RunsInAnyOrder(catalog, random.Random(seed))
        for _ in range(30):
            world.step()
            assert shown(catalog.lake) == world.expected()
        assert faults(catalog) == []


def test_a_backup_has_what_is_described_anew(catalog: Catalog, spec: EncodingSpec, lake: Lake) -> None:
    lakes.commit(catalog, spec, {"a": ONE})
    describe(catalog, spec, {"a": ONE}, "new", rows_version=1)
    kept = Lake(lake.root.parent / "kept")  # type: ignore[union-attr]
    backup(catalog, kept)
    assert shown(kept) == shown(lake)


def test_a_move_and_a_new_description_are_both_shown(catalog: Catalog, spec: EncodingSpec) -> None:
    lakes.commit(catalog, spec, {"a": ONE})
    catalog.move_documents(spec.encoding_id, [("a", "file:///moved")])
    describe(catalog, spec, {"a": ONE}, "new", rows_version=1)
    catalog.move_documents(spec.encoding_id, [("a", "file:///moved/again")])
    assert shown(catalog.lake)["a"][:3] == ("new", "The bank. It closed.", "file:///moved/again")
    compact(catalog)
    assert shown(catalog.lake)["a"][:3] == ("new", "The bank. It closed.", "file:///moved/again")
    snapshot = catalog.snapshot()
    assert (snapshot.moved.num_rows, snapshot.redescribed.num_rows) == (0, 0)
