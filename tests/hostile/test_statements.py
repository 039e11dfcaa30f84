"""SQL of people who are not trusted: nothing but the lake is read, and nothing at all is written.

Every statement runs twice: as `polyseme sql` runs it, and past the reading of its text, so that what DuckDB and the
operating system enforce is seen to hold alone. As root too, which file permissions do not stop.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.access import refuse_writes
from polyseme.storage.sql.confined_connection import ConfinedConnection
from polyseme.storage.sql.publish import publish
from polyseme.tasks.sql.execution import Queries
from polyseme.tasks.sql.functions import ModelFunctions
from tests import lakes
from tests.hostile.statements import DEFEATED, HARMLESS

SECRET = "the password is swordfish"


class NoFunctions(ModelFunctions):
    """Adds none of the functions that need the model, which would take as long again as everything else."""

    reads_places = False

    def __call__(self, *given: object) -> None:
        pass


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake, a file that is not the lake's, and an empty folder."""
    place = tmp_path_factory.mktemp("hostile")
    with Catalog.create_or_open(Lake(place / "lake")) as catalog:
        lakes.commit(catalog, lakes.make_spec(), {"d": ["The bank.", "Closed."]})
        publish(catalog)
    (place / "secret.txt").write_text(SECRET)
    (place / "out").mkdir()
    return place


@pytest.fixture
def untouched(place: Path) -> Iterator[Path]:
    before = contents(place)
    yield place
    assert contents(place) == before


def contents(place: Path) -> dict[str, str]:
    """Return the hash of each file; SQLite's own files beside a catalog come and go with readers."""
    files = (path for path in place.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def filled_in(statement: str, place: Path) -> str:
    part = next((place / "lake" / "data").glob("sentences/*/*.parquet"))
    return statement.format(secret=place / "secret.txt", part=part, lake=place / "lake", out=place / "out")


def read_rows(rows: pa.RecordBatchReader) -> str:
    return str(rows.read_all().to_pylist())


@pytest.mark.parametrize("statement", DEFEATED)
def test_what_polyseme_sql_refuses(untouched: Path, statement: str) -> None:
    shown: list[str] = []
    with Queries(Lake(untouched / "lake"), NoFunctions()) as queries:
        with pytest.raises(PolysemeError):
            queries.run(filled_in(statement, untouched), lambda rows: shown.append(read_rows(rows)), timeout=60)
        queries.run("SELECT count(*) AS n FROM sentences", lambda rows: shown.append(read_rows(rows)))
    assert shown[-1] == "[{'n': 2}]"
    assert SECRET not in "".join(shown)


@pytest.mark.parametrize("statement", DEFEATED)
def test_what_duckdb_and_the_system_refuse_by_themselves(untouched: Path, statement: str) -> None:
    def work() -> str:
        shown = ""
        for each in duckdb.extract_statements(filled_in(statement, untouched)):
            shown += str(confined.connection.execute(each).fetchall())
        return shown

    with Catalog.open(Lake(untouched / "lake")) as catalog:
        snapshot = catalog.snapshot()
    with (
        ConfinedConnection(snapshot, Lake(untouched / "lake")) as confined,
        pytest.raises((duckdb.Error, RuntimeError)),
    ):
        assert SECRET not in confined.call(work)


@pytest.mark.parametrize("statement", HARMLESS)
def test_what_may_answer_and_tells_nothing(untouched: Path, statement: str) -> None:
    shown: list[str] = []
    with Queries(Lake(untouched / "lake"), NoFunctions()) as queries, suppress(PolysemeError):
        queries.run(filled_in(statement, untouched), lambda rows: shown.append(read_rows(rows)), timeout=60)
    assert SECRET not in "".join(shown)
    assert os.environ["PATH"] not in "".join(shown)


def test_no_character_that_ends_a_word_for_duckdb_hides_one_from_us() -> None:
    found = ""
    with duckdb.connect() as con:
        for character in map(chr, range(1, 0xD800)):
            if unicodedata.category(character)[0] in "ZC":
                with suppress(duckdb.Error):
                    con.execute(f"SELECT{character}1")
                    found += character
    found += "\ufeff"
    assert {" ", "\n", "\u00a0", "\u2003", "\u200b", "\u3000"} <= set(found)
    for space in found:
        for sql in (f"WITH c AS (COPY{space}(SELECT 1) TO 'x') FROM c", f"FROM query{space}('SELECT 1')"):
            with pytest.raises(UsageError, match="not allowed here"):
                refuse_writes(sql)


def test_functions_that_call_what_they_are_told_are_known() -> None:
    """A new DuckDB may have more of them: whatever runs a text or calls a function by its name is refused."""
    with duckdb.connect() as con:
        listed = con.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'pragma') AND "
            "len(list_filter(parameters, lambda p: regexp_matches(p, 'query|sql|statement|function'))) > 0"
        ).fetchall()
    names = sorted({name for (name,) in listed})
    assert names
    for name in names:
        with pytest.raises(UsageError, match="not allowed here"):
            refuse_writes(f"FROM {name}('x')")


def test_there_are_enough_of_them() -> None:
    assert len(set(DEFEATED)) + len(set(HARMLESS)) >= 150
