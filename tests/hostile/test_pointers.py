"""`lake.json` of a stranger: it leads to no host, file or option that the user did not name, and no password leaves."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyseme.flows.settings import catalog_hosts, lake_at
from polyseme.storage.catalog import Catalog
from polyseme.storage.database.pointer import followed, read_pointer
from polyseme.storage.errors import LakeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from tests import lakes

SPEC = lakes.make_spec()


def write_pointer(root: Path, catalog: object, lake_id: object = "1") -> Lake:
    (root / "data").mkdir(parents=True, exist_ok=True)
    (root / "lake.json").write_text(json.dumps({"lake_id": lake_id, "catalog": catalog}))
    return Lake(root)


@pytest.fixture
def listening() -> Iterator[tuple[int, list[bytes]]]:
    """A port on which somebody waits for passwords, and what came."""
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)

        def take() -> None:
            try:
                while True:
                    connection, _ = server.accept()
                    came.append(connection.recv(4096))
                    connection.close()
            except OSError:
                return

        thread = threading.Thread(target=take)
        thread.start()
        yield server.getsockname()[1], came
        thread.join()


def test_nobody_connects_to_a_host_that_only_the_lake_names(
    tmp_path: Path, listening: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "hush")
    port, came = listening
    lake = write_pointer(tmp_path / "lake", f"postgresql+psycopg://me@127.0.0.1:{port}/db")
    for opening in (Catalog.open, Catalog.create_or_open, connect):
        with pytest.raises(LakeError, match=r"no password is sent.*--catalog 'postgresql\+psycopg://me@127.*HOSTS"):
            opening(lake)
    with pytest.raises(LakeError, match="no password is sent"):
        connect(lake_at(str(lake.root)))
    assert came == []


REFUSED = {
    "a host": ("postgresql://db.example/x", r"host 'db\.example'"),
    "a host in capitals": ("postgresql://DB.EXAMPLE.EVIL/x", "names a catalog on the host"),
    "another port of a trusted host": ("postgresql://trusted.example:5433/x", "no password is sent"),
    "a trusted name in front": ("postgresql://trusted.example.evil/x", "no password is sent"),
    "two hosts": ("postgresql://trusted.example,evil.example/x", "no password is sent"),
    "loopback": ("postgresql://localhost/x", "no password is sent"),
    "loopback by number": ("postgresql://[::1]/x", "no password is sent"),
    "a socket": ("postgresql:///x", "a socket of this machine"),
    "a host as an option": ("postgresql://trusted.example/x?host=evil.example", "option 'host'"),
    "an address as an option": ("postgresql://trusted.example/x?hostaddr=10.0.0.1", "option 'hostaddr'"),
    "a service": ("postgresql://trusted.example/x?service=evil", "option 'service'"),
    "a file of services": ("postgresql://trusted.example/x?servicefile=/tmp/x", "option 'servicefile'"),
    "a key": ("postgresql://trusted.example/x?sslkey=/home/me/.ssh/id", "option 'sslkey'"),
    "roots": ("postgresql://trusted.example/x?sslrootcert=/tmp/x", "option 'sslrootcert'"),
    "no encryption": ("postgresql://trusted.example/x?sslmode=disable", "option 'sslmode'"),
    "a setting of the server": ("postgresql://trusted.example/x?options=-cstatement_timeout%3D1", "option 'options'"),
    "two settings": ("postgresql://trusted.example/x?options=-csearch_path%3Da -crole%3Db", "option 'options'"),
    "an option twice": ("postgresql://trusted.example/x?sslmode=prefer&sslmode=disable", "option 'sslmode'"),
    "a file of passwords": ("postgresql://trusted.example/x?passfile=/tmp/x", "has a password"),
    "a password": ("postgresql://u:hush@trusted.example/x", "has a password"),
    "a password as an option": ("postgresql://trusted.example/x?password=hush", "has a password"),
    "another kind": ("mysql://trusted.example/x", "does not name a catalog"),
    "no address": ("hush", "does not name a catalog"),
    "memory": ("sqlite://", "does not name a catalog"),
    "a relative file": ("sqlite:///x.sqlite", "absolute path"),
    "a file of the home folder": ("sqlite:///~/x.sqlite", "absolute path"),
    "a file above": ("sqlite:////tmp/../etc/passwd", "absolute path"),
    "a file with options": ("sqlite:////tmp/x?mode=memory", "no options"),
    "a file by address": ("sqlite:///file:/tmp/x?uri=true", "no options"),
    "no database": ("sqlite:////etc/passwd", "not a database of SQLite"),
    "a device": ("sqlite:////dev/zero", "a link, a pipe or a folder"),
    "a folder": ("sqlite:////etc", "a link, a pipe or a folder"),
    "a number": (7, "not an id and a URL"),
}


@pytest.mark.parametrize(("catalog", "message"), REFUSED.values(), ids=REFUSED)
def test_a_pointer_of_a_stranger_is_refused(tmp_path: Path, catalog: object, message: str) -> None:
    write_pointer(tmp_path / "lake", catalog)
    lake = Lake(tmp_path / "lake", catalog_hosts=["trusted.example"])
    for opening in (Catalog.open, Catalog.create_or_open):
        with pytest.raises((LakeError, UsageError), match=message) as caught:
            opening(lake)
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, "x" * 100_000, "{}", "[]", "\0", '{"lake_id": "a b", "catalog": "x"}'])
def test_a_malformed_pointer_is_refused(tmp_path: Path, text: str) -> None:
    lake = write_pointer(tmp_path / "lake", "")
    (tmp_path / "lake" / "lake.json").write_text(text)
    with pytest.raises(LakeError, match=r"lake\.json does not name"):
        Catalog.open(lake)


def test_a_pointer_that_is_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    lake = write_pointer(tmp_path / "lake", "")
    pointer = tmp_path / "lake" / "lake.json"
    pointer.unlink()
    pointer.symlink_to("/dev/zero")
    with pytest.raises(LakeError, match="is a link"):
        Catalog.open(lake)
    pointer.unlink()
    os.mkfifo(pointer)
    with pytest.raises(LakeError, match="a pipe"):
        Catalog.open(lake)


def test_a_trusted_server_is_followed_with_the_options_that_a_lake_needs(tmp_path: Path) -> None:
    for hosts in (["db.example"], ["DB.example:5432"], ["other", "db.example."]):
        lake = Lake(tmp_path / "lake", catalog_hosts=hosts)
        write_pointer(
            tmp_path / "lake", "postgresql://me@db.example/x?options=-csearch_path%3Dnews&sslmode=verify-full"
        )
        pointer = read_pointer(lake)
        assert pointer is not None
        assert followed(lake, pointer).host == "db.example"


def test_trusted_servers_are_set_in_the_environment_or_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "polyseme.toml").write_text('catalog_hosts = ["db.example"]')
    assert lake_at("lake").catalog_hosts == ("db.example",)
    monkeypatch.setenv("POLYSEME_CATALOG_HOSTS", "a.example, b.example:5433")
    assert lake_at("lake").catalog_hosts == ("a.example", "b.example:5433")
    monkeypatch.delenv("POLYSEME_CATALOG_HOSTS")
    (tmp_path / "polyseme.toml").write_text('catalog_hosts = "db.example"')
    with pytest.raises(UsageError, match="catalog_hosts is a list"):
        catalog_hosts()


def test_the_database_of_another_program_is_not_changed(tmp_path: Path) -> None:
    theirs = tmp_path / "cookies.sqlite"
    with sqlite3.connect(theirs) as raw:
        raw.execute("CREATE TABLE cookies (secret)")
    raw.close()
    before = theirs.read_bytes()
    lake = write_pointer(tmp_path / "lake", f"sqlite:///{theirs}")
    for opening in (Catalog.open, Catalog.create_or_open):
        with pytest.raises(LakeError, match="table 'cookies'"):
            opening(lake)
    assert theirs.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cookies.sqlite", "lake"]


def test_the_catalog_in_another_lake_is_that_lakes(tmp_path: Path) -> None:
    with Catalog.create_or_open(Lake(tmp_path / "mine")) as catalog:
        lakes.commit(catalog, SPEC, {"d": ["Text."]})
        mine = catalog.lake_id
    lake = write_pointer(tmp_path / "theirs", f"sqlite:///{tmp_path / 'mine' / 'catalog.sqlite'}", mine)
    with pytest.raises(LakeError, match="belongs to the lake that it is in"):
        Catalog.open(lake)


def test_a_catalog_of_ones_own_in_another_folder_still_works(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalogs' / 'mine.sqlite'}"
    (tmp_path / "catalogs").mkdir()
    with Catalog.create_or_open(Lake(tmp_path / "lake", url)) as catalog:
        lakes.commit(catalog, SPEC, {"d": ["Text."]})
    shutil.move(tmp_path / "lake", tmp_path / "moved")
    with connect(tmp_path / "moved") as con:
        assert con.execute("SELECT doc_id FROM documents").fetchall() == [("d",)]


SECRETS = [
    "s3://KEY:hush@bucket/lake", "s3://hush@bucket/lake", "s3://bucket/lake?access_key=hush",
    "s3://bucket/lake?X-Amz-Signature=hush", "https://h/lake?token=hush", "gs://b/l#hush", "ftp://u:hush@h/lake",
    # a key with a slash, which ends the host for a URL; an address with a slip of the pen
    "s3://KEY:a/hush@bucket/lake", "s3://KEY:a?hush@bucket/lake", "s3://KEY:a#hush@bucket/lake",
    "s3://KEY:hush%40bucket/lake", " s3://KEY:hush@bucket/lake", "s3:/KEY:hush@bucket/lake", "S3://KEY:hush@bucket",
    "simplecache::s3://KEY:hush@bucket/lake", "my_s3://KEY:hush@bucket/lake",
    # slashes that were forgotten
    "s3:KEY:hush@bucket", "s3:hush@bucket", "s3:KEY:a/hush@bucket", "s3:/KEY:hush@b", "s3:KEY:hush%40bucket",
    "S3:KEY:hush@b", "s3:/bucket/lake?access_key=hush",
    " s3:KEY:hush@bucket", "simplecache::s3:KEY:hush@bucket", "s3:bucket/lake?access_key=hush", "gs:bucket#hush",
    "postgresql:user:hush@host/db", "postgresql:/user:hush@host/db", "postgresql+psycopg:user:hush@host/db",
    "https:user:hush@host/lake", "https:hush@host", "file:user:hush@host/lake", "minio:KEY:hush@bucket/lake",
]  # fmt: skip


@pytest.mark.parametrize("address", SECRETS)
def test_a_secret_in_an_address_is_refused_without_being_quoted(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyseme.flows.backfill import BackfillRequest
    from polyseme.flows.commands.options.lake import LakeOptions
    from polyseme.flows.embed import EmbedRequest
    from polyseme.flows.runs.runners import Runner
    from polyseme.flows.server.corpora import configured

    monkeypatch.chdir(tmp_path)
    (tmp_path / "polyseme.toml").write_text(f'[corpus.news]\nsources = ["x"]\nlake = "{address}"\n')
    for take in (
        lambda: Lake(address),
        lambda: LakeOptions(root=address).lake(),
        lambda: EmbedRequest(sources=["x"], lake=address),
        lambda: BackfillRequest(lake=address),
        lambda: Runner(kind="dask", address=address),
        configured,
    ):
        with pytest.raises(UsageError, match="would be stored and logged") as caught:
            take()
        assert "hush" not in str(caught.value)
