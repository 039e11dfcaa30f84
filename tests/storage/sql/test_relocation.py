"""A published lake that was copied, moved or uploaded: its own files are read, or none, never another lake's."""

from __future__ import annotations

import io
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fsspec import AbstractFileSystem

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.publish import publish
from tests import lakes

ALL = "SELECT doc_id FROM {}documents ORDER BY ALL"


@pytest.fixture
def copy(tmp_path: Path) -> tuple[Path, Path]:
    """Return a lake's folder and that of a copy; the copy has document `old`, its original `new` since."""
    root, copied = tmp_path / "lake", tmp_path / "it's a copy"
    with Catalog.create_or_open(Lake(root)) as catalog:
        lakes.commit(catalog, lakes.make_spec(), {"old": ["A bank.", "A river."]})
        publish(catalog)
        shutil.copytree(root, copied)
        catalog.delete_documents(lakes.make_spec().encoding_id, ["old"], version=99)
        lakes.commit(catalog, lakes.make_spec(), {"new": ["Text."]})
        publish(catalog)
    return root, copied


def opened(folder: Path, **settings: Any) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(folder / "catalog.duckdb"), read_only=True, config=settings)


def attach(con: duckdb.DuckDBPyConnection, folder: Path, name: str) -> None:
    con.execute(f"ATTACH '{str(folder / 'catalog.duckdb').replace(chr(39), chr(39) * 2)}' AS {name} (READ_ONLY)")


def ids(con: duckdb.DuckDBPyConnection, database: str = "") -> list[str]:
    return [doc_id for (doc_id,) in con.execute(ALL.format(database)).fetchall()]


def test_a_copy_reads_its_own_files(copy: tuple[Path, Path]) -> None:
    root, copied = copy
    with opened(copied) as con:
        assert ids(con) == ["old"]
    shutil.rmtree(root)
    with opened(copied) as con:
        assert con.execute("SELECT text FROM sentences ORDER BY ALL").fetchall() == [("A bank.",), ("A river.",)]
        assert con.execute("SELECT count(*) FROM coherence").fetchall() == [(1,)]


def test_a_copy_with_parts_missing_does_not_read_those_of_its_original(copy: tuple[Path, Path]) -> None:
    _, copied = copy
    shutil.rmtree(copied / "data" / "documents")
    with opened(copied) as con, pytest.raises(duckdb.IOException, match="a copy/data/documents"):
        ids(con)


def test_a_zipped_lake_can_be_unpacked_anywhere_and_opened_without_writing(copy: tuple[Path, Path]) -> None:
    root, copied = copy
    archive = shutil.make_archive(str(root.parent / "mail"), "zip", copied)
    shutil.rmtree(root)
    shutil.rmtree(copied)
    there = root.parent / "inbox" / "lake"
    shutil.unpack_archive(archive, there)
    for path in (there, *there.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    with opened(there) as con:
        assert ids(con) == ["old"]
    assert {p.name for p in there.iterdir()} >= {"catalog.duckdb", "catalog.sqlite", "data"}
    for path in (there, *(p for p in there.rglob("*") if p.is_dir())):
        path.chmod(0o755)


def test_a_working_folder_makes_no_difference(copy: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, copied = copy
    monkeypatch.chdir(copied.parent)
    with duckdb.connect(f"{copied.name}/catalog.duckdb", read_only=True) as con:
        assert ids(con) == ["old"]
    monkeypatch.chdir(copied)
    with duckdb.connect("catalog.duckdb", read_only=True) as con:
        assert ids(con) == ["old"]


def test_an_attached_copy_refuses_and_says_what_mends_it(copy: tuple[Path, Path]) -> None:
    root, copied = copy
    with duckdb.connect() as con:
        attach(con, copied, "copied")
        with pytest.raises(duckdb.Error, match="polyseme publish --lake FOLDER") as refused:
            ids(con, "copied.")
        assert str(root) in str(refused.value)
        con.execute("SET VARIABLE polyseme_root = ?", [str(copied)])
        assert ids(con, "copied.") == ["old"]


@pytest.mark.parametrize("table", ["documents", "sentences", "words", "transitions", "coherence"])
def test_every_view_of_an_attached_copy_refuses(copy: tuple[Path, Path], table: str) -> None:
    _, copied = copy
    with duckdb.connect() as con:
        attach(con, copied, "copied")
        for query in (f"SELECT count(*) FROM copied.{table}", f"FROM copied.{table} LIMIT 1"):
            with pytest.raises(duckdb.Error, match="attached from another place"):
                con.execute(query).fetchall()


def test_a_copy_attached_beside_its_original_is_not_taken_for_it(copy: tuple[Path, Path]) -> None:
    root, copied = copy
    with duckdb.connect() as con:
        attach(con, root, "original")
        assert ids(con, "original.") == ["new"]
        attach(con, copied, "copied")
        with pytest.raises(duckdb.Error, match="attached from another place"):
            ids(con, "copied.")
    with opened(root) as con:
        assert ids(con) == ["new"]
        attach(con, copied, "copied")
        with pytest.raises(duckdb.Error, match="attached from another place"):
            ids(con, "copied.")


def test_two_lakes_can_be_attached_side_by_side(copy: tuple[Path, Path], tmp_path: Path) -> None:
    root, _ = copy
    with Catalog.create_or_open(Lake(tmp_path / "second")) as catalog:
        lakes.commit(catalog, lakes.make_spec(), {"other": ["Text."]})
        publish(catalog)
    with duckdb.connect() as con:
        attach(con, root, "one")
        attach(con, tmp_path / "second", "two")
        assert (ids(con, "one."), ids(con, "two.")) == (["new"], ["other"])


def test_temporary_files_elsewhere_do_not_lead_a_copy_to_its_original(copy: tuple[Path, Path], tmp_path: Path) -> None:
    root, copied = copy
    with opened(root, temp_directory=str(tmp_path / "spill")) as con:
        assert ids(con) == ["new"]
    with opened(copied, temp_directory=str(tmp_path / "spill")) as con:
        with pytest.raises(duckdb.Error, match="SET VARIABLE polyseme_root"):
            ids(con)
        con.execute("SET VARIABLE polyseme_root = ?", [f"{copied}/"])
        assert ids(con) == ["old"]


def test_a_copy_that_goes_on_publishes_for_itself(copy: tuple[Path, Path]) -> None:
    _, copied = copy
    with Catalog.open(Lake(copied)) as catalog:
        lakes.commit(catalog, lakes.make_spec(), {"next": ["Text."]})
        publish(catalog)
    with duckdb.connect() as con:
        attach(con, copied, "copied")
        assert ids(con, "copied.") == ["next", "old"]


class Web(AbstractFileSystem):  # type: ignore[misc]
    """Files of a web server as DuckDB takes them. Its own extension httpfs is not part of its wheel."""

    protocol = "http"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def _open(self, path: str, mode: str = "rb", **_: Any) -> io.BytesIO:
        with urllib.request.urlopen(path) as answer:
            return io.BytesIO(answer.read())

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "size": len(self._open(path).getvalue()), "type": "file"}

    def glob(self, path: str, **_: Any) -> list[str]:
        return [path]

    def modified(self, path: str) -> datetime:
        return datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def web(copy: tuple[Path, Path]) -> Iterator[str]:
    """Return the address of a web server over the folder of the copy."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(copy[1])))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_lake_published_for_a_web_server_is_read_from_there(
    copy: tuple[Path, Path], web: str, tmp_path: Path
) -> None:
    root, copied = copy
    with Catalog.open(Lake(copied)) as catalog:
        publish(catalog, at=Lake(web))
    (tmp_path / "downloaded").mkdir()
    urllib.request.urlretrieve(f"{web}catalog.duckdb", tmp_path / "downloaded" / "catalog.duckdb")
    shutil.rmtree(root)
    with opened(tmp_path / "downloaded") as con:
        con.register_filesystem(Web())
        assert ids(con) == ["old"]
        assert con.execute("SELECT count(*) FROM coherence").fetchall() == [(1,)]


def test_the_next_run_publishes_for_here_again(copy: tuple[Path, Path]) -> None:
    root, _ = copy
    with Catalog.open(Lake(root)) as catalog:
        publish(catalog, at=Lake("https://example.org/lake"))
        publish(catalog)
    with duckdb.connect() as con:
        attach(con, root, "lake")
        assert ids(con, "lake.") == ["new"]


@pytest.mark.parametrize("place", ["https://user:key@example.org/lake", "https://example.org/lake?key=1", "/a*b"])
def test_places_with_secrets_or_patterns_are_refused(copy: tuple[Path, Path], place: str) -> None:
    with Catalog.open(Lake(copy[0])) as catalog, pytest.raises(UsageError):
        publish(catalog, at=Lake(place))
