"""Places: path, filename and extension of a document, worked out of its address."""

from __future__ import annotations

import duckdb
import pytest

from polyseme.storage.sql.literals import quote
from polyseme.storage.sql.places import place_columns


@pytest.mark.parametrize(
    ("uri", "path", "filename", "extension"),
    [
        ("file:///a%20b/c%C3%A4.TXT", "/a b/cä.TXT", "cä.TXT", "txt"),
        ("file:///x/100%25.md", "/x/100%.md", "100%.md", "md"),
        ("file:///x/a+b.txt", "/x/a+b.txt", "a+b.txt", "txt"),
        ("file:///x/a.jsonl.gz", "/x/a.jsonl.gz", "a.jsonl.gz", "gz"),
        ("file:///x/README", "/x/README", "README", None),
        ("file:///x.y/.hidden", "/x.y/.hidden", ".hidden", None),
        ("file:///x/a.zip!/b/c.txt", "/x/a.zip!/b/c.txt", "c.txt", "txt"),
        ("file:///x/%FF.txt", "/x/%FF.txt", "%FF.txt", "txt"),
        ("s3://b/x/a%20%23%3F.Txt", "s3://b/x/a #?.Txt", "a #?.Txt", "txt"),
        ("https://example.org/a%20b/c", "https://example.org/a b/c", "c", None),
        ("stdin:", None, None, None),
        ("stdin:notes", None, None, None),
    ],
)
def test_a_place_is_read_from_an_address(
    uri: str, path: str | None, filename: str | None, extension: str | None
) -> None:
    with duckdb.connect() as con:
        found = con.execute(f"SELECT {', '.join(place_columns('uri'))} FROM (SELECT {quote(uri)} AS uri)").fetchone()
    assert found == (path, filename, extension)


def test_keys_of_metadata_are_columns_on_demand_and_nested_values_stay_json() -> None:
    rows = """VALUES ('a', '{"genre": "novel", "year": 1999, "by": {"name": "X"}}'), ('b', '{}')"""
    wanted = '{"genre": "VARCHAR", "year": "INTEGER", "by": "JSON"}'
    query = f"""WITH documents(doc_id, metadata) AS ({rows})
        SELECT doc_id, unnest(json_transform(metadata, {quote(wanted)})) FROM documents ORDER BY doc_id"""
    with duckdb.connect() as con:
        found = con.execute(query)
        assert [column[0] for column in found.description] == ["doc_id", "genre", "year", "by"]
        assert found.fetchall() == [("a", "novel", 1999, '{"name":"X"}'), ("b", None, None, None)]
