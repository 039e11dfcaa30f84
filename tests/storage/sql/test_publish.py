"""The published file: any DuckDB reads it from any folder, and its version never goes back."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.sql.publish import publish, published, read_foreign, read_published
from tests import lakes, processes


def documents(lake: Lake) -> list[str]:
    with duckdb.connect(str(lake.published_path), read_only=True) as con:
        return [doc_id for (doc_id,) in con.execute("SELECT doc_id FROM documents ORDER BY ALL").fetchall()]


def test_the_published_file_answers_from_any_folder(catalog: Catalog, lake: Lake, tmp_path: Path) -> None:
    lakes.commit(catalog, lakes.make_spec(), {"d": ["The bank.", "Closed."]})
    version = publish(catalog)
    script = (
        "import duckdb, sys; con = duckdb.connect(sys.argv[1]); "
        "print(con.execute(\"SELECT sentence FROM occurrences('bank.')\").fetchall(), "
        "con.execute('SELECT count(*) FROM coherence').fetchall()); con.close()"
    )
    told = processes.run(sys.executable, "-c", script, lake.published_path, cwd=tmp_path)
    assert told.stdout.strip() == "[('The bank.',)] [(1,)]"
    assert published(lake) == (version, catalog.snapshot().lake_id, str(lake.root))


def test_nothing_but_the_file_remains(catalog: Catalog, lake: Lake) -> None:
    publish(catalog)
    assert not [p.name for p in lake.root.iterdir() if p.name.endswith((".tmp", ".wal")) and "duckdb" in p.name]


def test_it_can_be_attached_beside_other_databases(catalog: Catalog, lake: Lake) -> None:
    spec = lakes.make_spec()
    lakes.commit(catalog, spec, {"d": ["Old."]})
    lakes.commit(catalog, spec, {"d": ["New."]})
    publish(catalog)
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{lake.published_path}' AS lake (READ_ONLY)")
        assert con.execute("SELECT text FROM lake.sentences").fetchall() == [("New.",)]


def test_publishing_an_unchanged_catalog_leaves_the_file_alone(catalog: Catalog, lake: Lake) -> None:
    publish(catalog)
    before = lake.published_path.stat()
    publish(catalog)
    after = lake.published_path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    lakes.commit(catalog, lakes.make_spec(), {"d": ["Text."]})
    publish(catalog)
    assert lake.published_path.stat().st_ino != before.st_ino


def test_it_never_goes_back_while_many_publish_at_once(catalog: Catalog, lake: Lake) -> None:
    spec = lakes.make_spec()
    catalog.register_encoding(spec)
    versions: list[int] = []
    done = threading.Event()

    def work(worker: int) -> None:
        for i in range(3):
            version = catalog.begin_run(f"{worker}-{i}", spec.encoding_id, [])
            result = lakes.make_result(spec, [lakes.document_version(f"{worker}-{i}", version)], run_id=f"{worker}-{i}")
            catalog.commit_shard(result)
            assert publish(catalog) >= version

    def look() -> None:
        while not done.is_set():
            found = published(lake)
            if found:
                versions.append(found[0])

    watcher = threading.Thread(target=look)
    watcher.start()
    workers = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    done.set()
    watcher.join()
    found = published(lake)
    assert found is not None
    assert found[0] == catalog.snapshot().catalog_version
    assert versions == sorted(versions)


def test_a_newer_file_is_not_replaced_by_an_older_catalog(catalog: Catalog, lake: Lake) -> None:
    version = publish(catalog)
    with duckdb.connect(str(lake.published_path)) as con:
        con.execute("UPDATE internal.meta SET catalog_version = ?", [version + 100])
    publish(catalog)
    found = published(lake)
    assert found is not None
    assert found[0] == version + 100


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000])
def test_a_damaged_file_is_rebuilt(catalog: Catalog, lake: Lake, content: bytes) -> None:
    lakes.commit(catalog, lakes.make_spec(), {"d": ["Text."]})
    lake.published_path.write_bytes(content)
    publish(catalog)
    assert documents(lake) == ["d"]


def test_what_a_reader_wrote_into_the_file_does_not_leak_into_the_next(catalog: Catalog, lake: Lake) -> None:
    lakes.commit(catalog, lakes.make_spec(), {"d": ["Text."]})
    publish(catalog)
    script = (
        "import duckdb, os, sys; con = duckdb.connect(sys.argv[1]); "
        "con.execute('CREATE TABLE mine AS SELECT 1 AS x'); os._exit(0)"
    )
    processes.run(sys.executable, "-c", script, lake.published_path)
    assert lake.published_path.with_name("catalog.duckdb.wal").exists()
    lakes.commit(catalog, lakes.make_spec(), {"e": ["More."]})
    publish(catalog)
    assert documents(lake) == ["d", "e"]


def test_a_reader_that_is_open_keeps_its_view_while_a_newer_one_is_published(catalog: Catalog, lake: Lake) -> None:
    spec = lakes.make_spec()
    lakes.commit(catalog, spec, {"d": ["Text."]})
    publish(catalog)
    with duckdb.connect(str(lake.published_path), read_only=True) as reader:
        lakes.commit(catalog, spec, {"e": ["More."]})
        publish(catalog)
        assert reader.execute("SELECT doc_id FROM documents").fetchall() == [("d",)]
    assert documents(lake) == ["d", "e"]


def test_a_moved_lake_is_published_under_its_new_place(catalog: Catalog, lake: Lake, tmp_path: Path) -> None:
    lakes.commit(catalog, lakes.make_spec(), {"d": ["Text."]})
    publish(catalog)
    catalog.close()
    os.rename(lake.root, tmp_path / "moved")
    with Catalog.open(lakes.with_its_catalog(tmp_path / "moved")) as moved:
        publish(moved)
        assert documents(moved.lake) == ["d"]


def test_a_file_that_a_run_published_after_a_snapshot_is_not_of_another_catalog(catalog: Catalog) -> None:
    lakes.commit(catalog, lakes.make_spec(), {"a": ["One."]})
    before = catalog.snapshot()
    lakes.commit(catalog, lakes.make_spec(), {"b": ["Two."]})
    publish(catalog)
    found = read_published(catalog.lake)
    assert found is not None
    assert found.is_of_another_state(before)
    assert read_foreign(catalog, before) is None
