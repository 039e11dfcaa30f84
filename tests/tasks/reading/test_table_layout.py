"""Tables are recognised by names, and their rejects say what to do."""

from __future__ import annotations

from pathlib import Path

from polyseme.storage.records import Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.tables.layout import DELTA, ICEBERG, tables_below
from polyseme.tasks.reading.tables.snapshots import Snapshot
from polyseme.tasks.reading.tables.source import TableSource


def test_the_reject_says_what_it_is_and_what_to_do(tmp_path: Path) -> None:
    for name, says in (("sales", "polyseme embed {}"), ("a b*", "polyseme embed delta://{}")):
        (tmp_path / name / "_delta_log").mkdir(parents=True)
        (tmp_path / name / "a.txt").write_text("A text.")
        uri = (tmp_path / name).as_uri()
        (found,) = [f for f in listed(tmp_path) if f.uri == f"{uri}/"]
        place = uri.removeprefix("file://").replace("*", "%2A")
        assert says.format(place) in found.message
        assert "rows that were deleted" in found.message
        assert "beside this source" in found.message
        assert "--exclude" in found.message
    assert listed(f"{tmp_path}/sal*s/**")[0].message.endswith("(--exclude /sales/)")


def listed(spec: Path | str) -> list[Reject]:
    (source,) = resolve([str(spec)])
    return [item for item in source.listed(ReadOptions(), reading="") if isinstance(item, Reject)]


def test_tables_are_recognised_among_keys_and_those_within_others_are_not_told() -> None:
    keys = [
        "c/a.txt", "c/metadata/a.txt", "c/t/_delta_log/0.json", "c/t/in/metadata/v1.metadata.json", "c/t/x.parquet",
        "c/u/metadata/v1.metadata.json", "c/u/_delta_log/0.json", "c/v/metadata/deep/v1.metadata.json",
        "c/w_delta_log/0.json", "c/x/_delta_log", "c/y/metadata/version-hint.text",
    ]  # fmt: skip
    for order in (keys, keys[::-1]):
        assert tables_below("c/", order) == {"c/t/": DELTA, "c/u/": ICEBERG, "c/y/": ICEBERG}
    assert tables_below("", ["_delta_log/0.json", "t/_delta_log/0.json"]) == {"": DELTA}


def test_a_table_is_found_where_its_catalog_says_that_it_lies(tmp_path: Path) -> None:
    folder = f"{tmp_path.as_uri()}/a%20b/t/"
    store = "s3://bucket/a%20b/t/"
    for place, at in (
        (f"{tmp_path}/a b/t", folder), (f"file://{tmp_path}/a b/t/", folder), (f"file:{tmp_path}/a b/t", folder),
        ("s3://bucket/a b/t", store), ("s3a://bucket/a b/t/", store), ("s3://bucket/a b/t/in", ""),
        ("hdfs://host/t", ""), ("memory://t", ""), ("", ""),
    ):  # fmt: skip
        source = TableSource("iceberg://prod/a.t", "table", "iceberg://prod/a.t", opener=unopened, place=place)
        assert [uri for uri in (folder, store) if source.reads_table(uri)] == [at] * bool(at), place


def unopened() -> Snapshot:
    raise AssertionError
