"""Lakes of rows of a database: what a second run does, what it deletes, and what it must not."""

from __future__ import annotations

import io
from urllib.parse import quote

import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.engine import Engine
from polyseme.tasks.reading.databases.address import parse
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import list_sources
from polyseme.tasks.shards.scan import Scan
from polyseme.tasks.shards.stages import commit_shard, encode_shard
from tests.databases import Database, database, mysql_database, option_file, postgres_database, sqlite_database
from tests.hostile.lakeside import Lakeside, lakeside
from tests.tasks.conftest import LEAN

__all__ = ["database", "lakeside", "mysql_database", "option_file", "postgres_database", "sqlite_database"]

MANY = 20
SQL = "SELECT id, text, at FROM t"


def fill(database: Database) -> None:
    values = ", ".join(f"({i}, 'The heron stood in reed {i}.', {i})" for i in range(MANY))
    database.execute("CREATE TABLE t (id integer, text text, at integer)", f"INSERT INTO t VALUES {values}")


class TestAllRows:
    def test_a_second_run_takes_what_is_new_changed_and_gone(self, lakeside: Lakeside, database: Database) -> None:
        fill(database)
        assert lakeside.embed(database.query(SQL)).tally.new == MANY
        tally = lakeside.embed(database.query(SQL)).tally
        assert (tally.documents, tally.unchanged, tally.deleted) == (MANY, MANY, 0)
        database.execute(
            "UPDATE t SET text = 'It flew away.' WHERE id = 3",
            "DELETE FROM t WHERE id = 4",
            "INSERT INTO t VALUES (99, 'A reed.', 99)",
        )
        tally = lakeside.embed(f"{database.place}?query={quote(SQL)}").tally  # typed in another way
        assert (tally.new, tally.changed, tally.unchanged, tally.deleted) == (1, 1, MANY - 2, 1)
        assert "4" not in lakeside.documents()
        assert set(lakeside.documents().values()) == {parse(database.query(SQL)).uri}

    def test_too_many_deletions_are_held_back(self, lakeside: Lakeside, database: Database) -> None:
        fill(database)
        lakeside.embed(database.query(SQL))
        database.execute("DELETE FROM t")
        assert lakeside.embed(database.query(SQL)).tally.deleted == 0
        assert [held.reason for held in lakeside.held()] == ["nothing-found"]
        assert lakeside.embed(database.query(SQL), limit="100%").tally.deleted == MANY

    def test_another_query_of_the_same_table_deletes_nothing_of_the_first(
        self, lakeside: Lakeside, database: Database
    ) -> None:
        fill(database)
        lakeside.embed(database.query(SQL))
        tally = lakeside.embed(database.query(f"{SQL} WHERE id < 5")).tally
        assert (tally.documents, tally.moved, tally.deleted) == (5, 5, 0)
        assert len(lakeside.documents()) == MANY

    def test_a_query_that_fails_midway_deletes_nothing(self, lakeside: Lakeside, sqlite_database: Database) -> None:
        sql = "SELECT id, text, json(at) AS at FROM t"
        fill(sqlite_database)
        lakeside.embed(sqlite_database.query(sql))
        sqlite_database.execute("DELETE FROM t WHERE id = 1", "UPDATE t SET at = '{' WHERE id = 10")
        assert lakeside.embed(sqlite_database.query(sql)).tally.deleted == 0
        assert lakeside.rejects() == ["unreadable"]
        assert len(lakeside.documents()) == MANY
        sqlite_database.execute("UPDATE t SET at = 10 WHERE id = 10")
        assert lakeside.embed(sqlite_database.query(sql)).tally.deleted == 1
        assert lakeside.rejects() == []

    def test_a_database_that_is_away_deletes_nothing(self, lakeside: Lakeside, sqlite_database: Database) -> None:
        fill(sqlite_database)
        spec = sqlite_database.query(SQL)
        lakeside.embed(spec)
        file = parse(spec).database
        with open(file, "r+b") as opened:
            kept = opened.read()
            opened.seek(0)
            opened.write(b"x" * len(kept))
        tally = lakeside.embed(spec).tally
        assert (tally.documents, tally.deleted, lakeside.rejects()) == (0, 0, ["unreadable"])
        with pytest.raises(UsageError, match="cannot be read"):
            lakeside.embed(f"sqlite:///{file}?table=other")
        with open(file, "wb") as opened:
            opened.write(kept)
        assert lakeside.embed(spec).tally.unchanged == MANY

    def test_ids_and_rows_of_two_queries_do_not_mix(self, lakeside: Lakeside, database: Database) -> None:
        fill(database)
        one, two = (database.query(f"SELECT text FROM t WHERE id % 2 = {i} ORDER BY id") for i in (0, 1))
        assert lakeside.embed(one, two).tally.new == MANY
        assert lakeside.embed(two).tally.unchanged == MANY // 2
        assert len(lakeside.documents()) == MANY


class TestCursor:
    """With a cursor, a run reads what is new; whatever casts doubt on what earlier ones read leads to reading all."""

    @staticmethod
    def spec(database: Database, sql: str = SQL, cursor: str = "at") -> str:
        return f"{database.place}?cursor={cursor}&query={sql}"

    def test_only_rows_at_or_above_the_greatest_value_are_read(self, lakeside: Lakeside, database: Database) -> None:
        fill(database)
        spec = self.spec(database)
        assert lakeside.embed(spec).tally.documents == MANY
        tally = lakeside.embed(spec).tally
        assert (tally.documents, tally.unchanged, tally.deleted) == (1, 1, 0)
        database.execute(
            "UPDATE t SET text = 'It flew away.', at = 100 WHERE id = 3",
            "DELETE FROM t WHERE id = 4",
            f"INSERT INTO t VALUES (98, 'A reed.', 100), (99, 'Another reed.', {MANY - 1})",
        )
        tally = lakeside.embed(spec).tally
        assert (tally.documents, tally.new, tally.changed, tally.unchanged, tally.deleted) == (4, 2, 1, 1, 0)
        assert len(lakeside.documents()) == MANY + 2
        tally = lakeside.embed(spec).tally
        assert (tally.documents, tally.unchanged) == (2, 2)

    def test_a_run_that_reads_all_deletes_and_the_next_goes_on_from_there(
        self, lakeside: Lakeside, database: Database
    ) -> None:
        fill(database)
        spec = self.spec(database)
        lakeside.embed(spec)
        database.execute("DELETE FROM t WHERE id = 4")
        assert lakeside.embed(spec).tally.deleted == 0
        tally = lakeside.embed(spec, checksum=True).tally
        assert (tally.documents, tally.deleted) == (MANY - 1, 1)
        assert lakeside.embed(spec).tally.documents == 1
        # Without the cursor it is the same source.
        tally = lakeside.embed(database.query(SQL)).tally
        assert (tally.unchanged, tally.moved, tally.deleted) == (MANY - 1, 0, 0)

    @pytest.mark.parametrize("committed", [0, 1])
    def test_a_run_that_was_killed_before_its_documents_were_committed_skips_none(
        self, lakeside: Lakeside, database: Database, committed: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("polyseme.tasks.shards.staging.SHARD_CHARS", 200)
        fill(database)
        spec = self.spec(database)
        killed(lakeside, spec, committed=committed)
        assert 0 < len(lakeside.documents()) < MANY if committed else not lakeside.documents()
        assert lakeside.embed(spec).tally.documents == MANY
        assert len(lakeside.documents()) == MANY
        new = ", ".join(f"({i}, 'Reed number {i}.', {i})" for i in range(100, 140))
        database.execute(f"INSERT INTO t VALUES {new}")
        killed(lakeside, spec, committed=committed)
        lakeside.embed(spec)
        assert len(lakeside.documents()) == MANY + 40
        assert lakeside.embed(spec).tally.documents == 1

    def test_another_query_cursor_option_or_encoding_reads_all(
        self, lakeside: Lakeside, database: Database, tiny: Engine
    ) -> None:
        fill(database)
        lakeside.embed(self.spec(database))
        assert lakeside.embed(self.spec(database, f"{SQL} WHERE true")).tally.documents == MANY
        assert lakeside.embed(self.spec(database)).tally.documents == MANY  # its documents were another query's
        assert lakeside.embed(self.spec(database), max_document_bytes=1000).tally.documents == MANY
        assert lakeside.embed(self.spec(database), max_document_bytes=1000).tally.documents == 1
        assert lakeside.embed(self.spec(database, cursor="id")).tally.documents == MANY
        assert lakeside.embed(self.spec(database, cursor="id")).tally.documents == 1
        assert lakeside.embed(self.spec(database, cursor="id"), engine=tiny).tally.documents == MANY
        assert len(lakeside.documents(tiny)) == MANY

    def test_documents_that_the_lake_lost_are_read_again(self, lakeside: Lakeside, database: Database) -> None:
        fill(database)
        spec = self.spec(database)
        lakeside.embed(spec)
        encoding_id = lakeside.engine.spec.encoding_id
        lakeside.catalog.delete_documents(encoding_id, ["3"], version=lakeside.catalog.begin_run("x", encoding_id, []))
        assert lakeside.embed(spec).tally.new == 1
        assert lakeside.embed(spec).tally.documents == 1

    def test_a_refused_row_is_read_and_refused_by_each_run(self, lakeside: Lakeside, database: Database) -> None:
        fill(database)
        spec = self.spec(database)
        lakeside.embed(spec)
        database.execute("INSERT INTO t VALUES (50, NULL, 50)")
        for _ in range(2):
            assert lakeside.embed(spec).tally.documents == 1
            assert lakeside.rejects() == ["empty-text"]
        database.execute("UPDATE t SET text = NULL WHERE id = 3")
        for more in ({"checksum": True}, {}, {}):
            assert lakeside.embed(spec, **more).tally.documents == MANY - 1
            assert lakeside.rejects() == ["empty-text"] * 2
        database.execute("UPDATE t SET text = 'Written.' WHERE text IS NULL")
        assert lakeside.embed(spec).tally.documents == MANY + 1
        assert lakeside.embed(spec).tally.documents == 1
        assert lakeside.rejects() == []

    def test_rows_without_a_value_are_read_once(self, lakeside: Lakeside, database: Database) -> None:
        fill(database)
        database.execute("INSERT INTO t VALUES (50, 'No date.', NULL)")
        assert lakeside.embed(self.spec(database)).tally.documents == MANY + 1
        assert lakeside.embed(self.spec(database)).tally.documents == 1
        database.execute("UPDATE t SET at = NULL")
        assert lakeside.embed(self.spec(database)).tally.documents == 0
        assert len(lakeside.documents()) == MANY + 1

    def test_a_query_with_a_cursor_needs_ids(self, lakeside: Lakeside, database: Database) -> None:
        fill(database)
        assert lakeside.embed(self.spec(database, "SELECT text, at FROM t")).tally.documents == 0
        assert lakeside.rejects() == ["bad-id"]

    @pytest.mark.parametrize("value", ["2026-05-05 12:00:00.123456+02", "infinity"])
    @pytest.mark.servers
    def test_instants_are_exact(self, lakeside: Lakeside, postgres_database: Database, value: str) -> None:
        fill(postgres_database)
        postgres_database.execute(
            "ALTER TABLE t ALTER at TYPE timestamptz USING '2020-01-01'::timestamptz + at * interval '1 us'",
            f"UPDATE t SET at = '{value}' WHERE id = 7",
        )
        spec = self.spec(postgres_database, f"{SQL} WHERE text LIKE '%heron%'")
        assert lakeside.embed(spec).tally.documents == MANY
        assert lakeside.embed(spec).tally.documents == 1

    @pytest.mark.servers
    def test_a_position_does_not_depend_on_how_a_session_writes_dates(
        self, lakeside: Lakeside, postgres_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(postgres_database)
        postgres_database.execute("ALTER TABLE t ALTER at TYPE date USING '2026-01-01'::date + at")
        monkeypatch.setenv("PGDATESTYLE", "SQL, DMY")
        spec = self.spec(postgres_database)
        assert lakeside.embed(spec).tally.documents == MANY
        monkeypatch.setenv("PGDATESTYLE", "SQL, MDY")
        assert lakeside.embed(spec).tally.documents == 1

    def test_a_column_of_another_type_is_read_from_its_begin(
        self, lakeside: Lakeside, postgres_database: Database
    ) -> None:
        fill(postgres_database)
        spec = self.spec(postgres_database)
        postgres_database.execute("ALTER TABLE t ALTER at TYPE text USING 'x' || at")
        lakeside.embed(spec)
        postgres_database.execute("ALTER TABLE t ALTER at TYPE integer USING substr(at, 2)::integer")
        tally = lakeside.embed(spec).tally
        assert (tally.documents, tally.rejected) == (MANY, 0)
        assert lakeside.embed(spec).tally.documents == 1


def killed(lakeside: Lakeside, spec: str, *, committed: int) -> None:
    """Leave a run as one is left that is killed after it scanned all and committed so many shards."""
    catalog, encoding_id = lakeside.catalog, lakeside.engine.spec.encoding_id
    sources = resolve([spec])
    catalog.register_encoding(lakeside.engine.spec)
    run_id = f"killed-{len(lakeside.documents())}"
    version = catalog.begin_run(run_id, encoding_id, [])
    scan = Scan(catalog, catalog.lake, run_id, version, encoding_id, LEAN, sources)
    shards = list(scan.shards(list_sources(sources, ReadOptions(), stdin=io.BytesIO())))
    assert len(shards) > committed
    for shard in shards[:committed]:
        commit_shard(encode_shard(shard, catalog.lake, catalog, lakeside.engine), catalog)
    scan.close()
