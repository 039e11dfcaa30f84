"""Lakes of rows of a database: what a second run does, what it deletes, and what it must not."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.databases.address import parse
from tests.databases import Database, database, postgres_database, sqlite_database
from tests.hostile.lakeside import Lakeside, lakeside

__all__ = ["database", "lakeside", "postgres_database", "sqlite_database"]

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
