"""A catalog in PostgreSQL: one writer at a time on all machines, and no password in any message or file."""

from __future__ import annotations

import base64
import json
import logging
import os
import random
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text

from polyseme.flows.settings import lake_at
from polyseme.storage.catalog import Catalog
from polyseme.storage.catalog_url import parse, refuse_password, without_password
from polyseme.storage.errors import LakeError, MissingLakeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document, Outputs, Reject
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish, published
from polyseme.tasks.shards.scan import Scan
from tests import lakes, processes, servers
from tests.extras import require

SPEC = lakes.make_spec()


def incompressible(length: int) -> str:
    """Return text that does not compress: PostgreSQL compresses the rows of an index if it can."""
    return base64.b64encode(random.Random(0).randbytes(length)).decode()[:length]


class TestUrls:
    @pytest.mark.parametrize(
        "url", ["postgresql://u:hush@h/d", "postgres://u:hush@h:5433/d?sslmode=require", "postgresql+psycopg://h/d?password=hush"]
    )  # fmt: skip
    def test_what_is_shown_of_a_url_is_everything_but_its_password(self, url: str) -> None:
        shown = without_password(url)
        assert "hush" not in shown
        assert shown.startswith("postgresql+psycopg://")
        assert "hush" not in repr(Lake("lake", url))
        with pytest.raises(UsageError, match="PGPASSWORD"):
            refuse_password(url)
        refuse_password(shown)

    @pytest.mark.parametrize("url", ["u:hush@h", "postgresql://h:hush/d", "mysql://u:hush@h/d", "oracle://hush"])
    def test_what_is_not_a_catalog_url_is_refused_without_quoting_it(self, url: str) -> None:
        with pytest.raises(UsageError, match="Expected postgresql") as caught:
            parse(url)
        assert "hush" not in str(caught.value)

    def test_a_password_moves_to_the_drivers_environment_and_nowhere_else(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGPASSWORD", "another")
        monkeypatch.setenv("POLYSEME_CATALOG", "postgresql://u:hush@h/d")
        lake = lake_at("lake")
        assert lake.catalog == "postgresql+psycopg://u@h/d"
        assert os.environ["PGPASSWORD"] == "hush"

    def test_a_password_file_is_used_on_this_machine_and_not_stored_in_the_url(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGPASSFILE", "another")
        assert lake_at("lake", "postgresql://u@h/d?passfile=/my/pgpass").catalog == "postgresql+psycopg://u@h/d"
        assert os.environ["PGPASSFILE"] == "/my/pgpass"

    def test_the_password_of_a_key_is_refused_like_any_other(self) -> None:
        with pytest.raises(UsageError, match="PGPASSWORD"):
            refuse_password("postgresql://u@h/d?sslpassword=hush")

    def test_an_argument_beats_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POLYSEME_CATALOG", "postgresql://h/d")
        assert lake_at("lake", "postgresql://h/other").catalog == "postgresql+psycopg://h/other"


@pytest.mark.servers
class TestPairing:
    def test_a_lake_remembers_where_its_catalog_is_for_whoever_trusts_that_server(
        self, tmp_path: Path, postgres_url: str
    ) -> None:
        with Catalog.create_or_open(Lake(tmp_path / "lake", postgres_url)) as catalog:
            lakes.commit(catalog, SPEC, {"d": ["The bank."]})
        with pytest.raises(LakeError, match=r"no password is sent.*--catalog"):
            connect(tmp_path / "lake")
        url = parse(postgres_url)
        with connect(Lake(tmp_path / "lake", catalog_hosts=[f"{url.host}:{url.port}"])) as con:
            assert con.execute("SELECT text FROM sentences").fetchall() == [("The bank.",)]
        assert json.loads((tmp_path / "lake" / "lake.json").read_text())["catalog"] == without_password(postgres_url)
        assert not (tmp_path / "lake" / "catalog.sqlite").exists()

    def test_a_catalog_is_never_used_for_another_lake(self, tmp_path: Path, postgres_url: str) -> None:
        with Catalog.create_or_open(Lake(tmp_path / "mine", postgres_url)) as catalog:
            lakes.commit(catalog, SPEC, {"d": ["The bank."]})
        with Catalog.create_or_open(Lake(tmp_path / "own")):
            pass
        for root in ("other", "own"):
            for opening in (Catalog.open, Catalog.create_or_open):
                with pytest.raises(LakeError, match=r"another lake|its catalog in it"):
                    opening(Lake(tmp_path / root, postgres_url))

    def test_a_lake_whose_pointer_was_lost_is_recognised_by_its_parts(self, tmp_path: Path, postgres_url: str) -> None:
        lake = Lake(tmp_path / "lake", postgres_url)
        with Catalog.create_or_open(lake) as catalog:
            lakes.commit(catalog, SPEC, {"d": ["The bank."]})
        (tmp_path / "lake" / "lake.json").unlink()
        with Catalog.create_or_open(lake):
            assert (tmp_path / "lake" / "lake.json").exists()

    def test_an_emptied_database_is_not_mistaken_for_a_new_lake(
        self, tmp_path: Path, postgres_url: str, postgres_server: str
    ) -> None:
        with Catalog.create_or_open(Lake(tmp_path / "lake", postgres_url)):
            pass
        schema = parse(postgres_url).query["options"].removeprefix("-csearch_path=")
        servers.execute(postgres_server, f"DROP SCHEMA {schema} CASCADE", f"CREATE SCHEMA {schema}")
        for opening in (Catalog.open, Catalog.create_or_open):
            with pytest.raises(LakeError, match="Restore it"):
                opening(Lake(tmp_path / "lake", postgres_url))

    def test_a_database_without_a_lake_is_a_missing_lake(self, tmp_path: Path, postgres_url: str) -> None:
        with pytest.raises(MissingLakeError, match="polyseme embed"):
            Catalog.open(Lake(tmp_path / "lake", postgres_url))


@pytest.mark.servers
class TestErrors:
    def test_a_wrong_password_is_reported_without_it(
        self, tmp_path: Path, postgres_server: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        url = postgres_server.replace("postgres@", f"{servers.LOCKED_USER}:wr0ng-one@")
        with caplog.at_level(logging.DEBUG), pytest.raises(LakeError, match="password") as caught:
            Catalog.create_or_open(Lake(tmp_path / "lake", url))
        assert "wr0ng-one" not in str(caught.value) + caplog.text

    def test_the_right_password_is_taken_from_the_environment_and_written_nowhere(
        self, tmp_path: Path, postgres_server: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        schema = parse(postgres_url).query["options"].removeprefix("-csearch_path=")
        servers.execute(postgres_server, f"GRANT ALL ON SCHEMA {schema} TO {servers.LOCKED_USER}")
        monkeypatch.setenv("PGPASSWORD", "")
        secret = quote(servers.LOCKED_PASSWORD, safe="")
        lake = lake_at(str(tmp_path / "lake"), postgres_url.replace("postgres@", f"{servers.LOCKED_USER}:{secret}@"))
        with Catalog.create_or_open(lake) as catalog:
            lakes.commit(catalog, SPEC, {"d": ["The bank."]})
            publish(catalog)
        written = [path.read_bytes() for path in (tmp_path / "lake").rglob("*") if path.is_file()]
        assert len(written) > 4
        for form in (servers.LOCKED_PASSWORD, secret):
            assert not any(form.encode() in content for content in written)

    def test_a_server_that_is_not_there_is_reported(self, tmp_path: Path) -> None:
        require("psycopg", "postgres")
        url = f"postgresql://u:hush@127.0.0.1:{servers.free_port()}/d"
        with pytest.raises(LakeError, match="server runs") as caught:
            Catalog.create_or_open(Lake(tmp_path / "lake", url))
        assert "hush" not in str(caught.value)

    def test_a_connection_lost_in_a_transaction_changes_nothing_and_the_next_call_gets_another(
        self, tmp_path: Path, postgres_url: str, postgres_server: str
    ) -> None:
        with Catalog.create_or_open(Lake(tmp_path / "lake", postgres_url)) as catalog:
            before = catalog.version

            def write() -> None:
                with catalog.writing() as connection:
                    connection.execute(text("UPDATE meta SET value = '99' WHERE key = 'catalog_version'"))
                    pid = connection.scalar(text("SELECT pg_backend_pid()"))
                    servers.execute(postgres_server, f"SELECT pg_terminate_backend({pid})")
                    connection.execute(text("SELECT 1"))

            with pytest.raises(LakeError, match="run again"):
                write()
            assert catalog.version == before
            lakes.commit(catalog, SPEC, {"d": ["The bank."]})

    def test_a_lock_that_never_opens_is_reported(self, tmp_path: Path, postgres_url: str) -> None:
        lake = Lake(tmp_path / "lake", postgres_url)
        with Catalog.create_or_open(lake) as holder, Catalog.open(lake, patience=0.2) as impatient, holder.writing():
            with pytest.raises(LakeError, match="stayed locked"):
                impatient.register_encoding(SPEC)
            assert impatient.snapshot().encodings == ()

    def test_a_document_too_long_for_an_index_is_refused_by_name_and_the_others_go_on(
        self, tmp_path: Path, postgres_url: str
    ) -> None:
        with Catalog.create_or_open(Lake(tmp_path / "lake", postgres_url)) as catalog:
            catalog.register_encoding(SPEC)
            longest = catalog.longest_key
            assert longest is not None
            noise = incompressible(longest)
            fits = Document(noise[: longest // 2], noise[longest // 2 :], "The bank.")
            longer = Document("longer", noise, "The bank.")
            version = catalog.begin_run("r", SPEC.encoding_id, [])
            scan = Scan(catalog, catalog.lake, "r", version, SPEC.encoding_id, Outputs())
            (shard,) = scan.shards([longer, fits])
            scan.close()
            assert (shard.n_documents, scan.tally.rejected) == (1, 1)
            (refused,) = catalog.snapshot().rejects.to_pylist()
            assert (refused["code"], refused["doc_id"], refused["uri"]) == ("id-too-long", "longer", noise)
            document = lakes.document_version(fits.doc_id, version, uri=fits.uri)
            catalog.commit_shard(lakes.make_result(SPEC, [document], run_id="r"))
            assert catalog.lookup(SPEC.encoding_id, [fits.doc_id]).keys() == {fits.doc_id}

    def test_an_address_of_any_length_can_be_refused(self, tmp_path: Path, postgres_url: str) -> None:
        with Catalog.create_or_open(Lake(tmp_path / "lake", postgres_url)) as catalog:
            catalog.register_encoding(SPEC)
            lakes.begin(catalog, SPEC, "r")
            catalog.record_rejects("r", [Reject(incompressible(9000), "line 123456789", "read", "undecodable", "m")])
            (refused,) = catalog.snapshot().rejects.to_pylist()
            assert incompressible(9000).startswith(refused["uri"])

    def test_an_id_too_long_for_an_index_is_named_as_the_reason(self, tmp_path: Path, postgres_url: str) -> None:
        with Catalog.create_or_open(Lake(tmp_path / "lake", postgres_url)) as catalog:
            catalog.register_encoding(SPEC)
            version = catalog.begin_run("r", SPEC.encoding_id, [])
            long = "".join(chr(0x4E00 + i * 7919 % 20000) for i in range(1024))
            shard = lakes.make_result(SPEC, [lakes.document_version(long, version, uri=long)], run_id="r")
            with pytest.raises(LakeError, match="shorter one"):
                catalog.commit_shard(shard)

    def test_commits_are_durable_even_if_the_server_is_set_to_be_fast(self, tmp_path: Path, postgres_url: str) -> None:
        url = postgres_url.replace("?options=", "?options=-csynchronous_commit%3Doff%20")
        with Catalog.create_or_open(Lake(tmp_path / "lake", url)) as catalog:
            with catalog.writing() as connection:
                assert connection.scalar(text("SHOW synchronous_commit")) == "on"
            with catalog.reading() as connection:
                assert connection.scalar(text("SHOW transaction_isolation")) == "repeatable read"


@pytest.mark.servers
class TestConcurrency:
    def test_many_threads_that_create_the_same_lake_at_once_create_one(self, tmp_path: Path, postgres_url: str) -> None:
        lake, ids = Lake(tmp_path / "lake", postgres_url), list[str]()

        def make() -> None:
            with Catalog.create_or_open(lake) as catalog:
                ids.append(catalog.snapshot().lake_id)

        threads = [threading.Thread(target=make) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(ids), len(set(ids))) == (6, 1)

    def test_processes_that_commit_and_publish_at_once_all_get_through(self, tmp_path: Path, postgres_url: str) -> None:
        lake, each = Lake(tmp_path / "lake", postgres_url), 8
        with Catalog.create_or_open(lake) as catalog:
            catalog.register_encoding(SPEC)
            writers = [(str(lake.root), i, each) for i in range(4)]
            assert processes.run_together(lakes.commit_and_publish, writers) == [0] * 4
            doc_ids = {f"w{worker}-{i}" for worker in range(4) for i in range(each)}
            assert catalog.lookup(SPEC.encoding_id, sorted(doc_ids)).keys() == doc_ids
            found = published(lake)
            assert found is not None
            assert found[0] == catalog.version
        with connect(lake) as con:
            assert {d for (d,) in con.execute("SELECT doc_id FROM documents").fetchall()} == doc_ids
