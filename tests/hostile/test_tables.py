"""Tables of Delta Lake and Iceberg: the live rows of one version, and nothing is read until there is another."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.resolving import resolve
from tests.extras import require
from tests.hostile.lakeside import Lakeside, lakeside

__all__ = ["lakeside"]

MANY = 20


def rows(*ids: int, text: str = "The heron stood in reed {}.") -> pa.Table:
    return pa.table(
        {"id": pa.array(ids, pa.int64()), "text": [text.format(i) for i in ids], "part": [i % 2 for i in ids]}
    )


class Delta:
    def __init__(self, folder: Path) -> None:
        require("deltalake", "delta")
        self.folder, self.spec = folder / "table", f"delta://{folder}/table"
        self.append(rows(*range(MANY)))

    def append(self, more: pa.Table) -> None:
        from deltalake import write_deltalake

        write_deltalake(self.folder, more, mode="append", partition_by=["part"])

    def delete(self, where: str) -> None:
        from deltalake import DeltaTable

        DeltaTable(self.folder).delete(where)


class Iceberg:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        require("pyiceberg", "iceberg")
        (folder / ".pyiceberg.yaml").write_text(
            f"catalog:\n  prod:\n    type: sql\n    uri: sqlite:///{folder}/catalog.db\n    warehouse: file://{folder}\n"
        )
        monkeypatch.setenv("PYICEBERG_HOME", str(folder))
        from pyiceberg import catalog
        from pyiceberg.utils.config import Config

        monkeypatch.setattr(catalog, "_ENV_CONFIG", Config())
        self.folder, self.spec = folder / "news" / "articles", "iceberg://prod/news.articles"
        self._catalog = catalog.load_catalog("prod")
        self._catalog.create_namespace("news")
        self._catalog.create_table("news.articles", schema=rows(1).schema)
        self.append(rows(*range(MANY)))

    def append(self, more: pa.Table) -> None:
        self._catalog.load_table("news.articles").append(more)

    def delete(self, where: str) -> None:
        self._catalog.load_table("news.articles").delete(where)

    def close(self) -> None:
        self._catalog.engine.dispose()


@pytest.fixture(params=["delta", "iceberg"])
def table(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "delta":
        yield Delta(tmp_path)
        return
    made = Iceberg(tmp_path, monkeypatch)
    yield made
    made.close()


@pytest.mark.extra
class TestVersions:
    def test_an_unchanged_table_is_not_read(self, lakeside: Lakeside, table: Any) -> None:
        assert lakeside.embed(table.spec).tally.new == MANY
        tally = lakeside.embed(table.spec).tally
        assert (tally.unchanged, tally.unopened) == (MANY, MANY)
        assert set(lakeside.documents().values()) == {table.spec}
        tally = lakeside.embed(table.spec, checksum=True).tally
        assert (tally.unchanged, tally.unopened) == (MANY, 0)

    def test_rows_that_are_new_changed_and_gone_are_taken(self, lakeside: Lakeside, table: Any) -> None:
        lakeside.embed(table.spec)
        table.delete("id = 3")
        table.delete("id = 4")
        table.append(rows(4, 99, text="It flew away from {}."))
        tally = lakeside.embed(table.spec).tally
        assert (tally.new, tally.changed, tally.unchanged, tally.deleted, tally.unopened) == (1, 1, MANY - 2, 1, 0)
        assert lakeside.embed(table.spec).tally.unopened == MANY

    def test_a_table_that_lost_a_file_deletes_nothing(self, lakeside: Lakeside, table: Any) -> None:
        lakeside.embed(table.spec)
        table.append(rows(100))
        for path in sorted(table.folder.rglob("*.parquet"))[:1]:
            path.unlink()
        tally = lakeside.embed(table.spec).tally
        assert (tally.deleted, lakeside.rejects()) == (0, ["unreadable"])
        (message,) = lakeside.catalog.snapshot().rejects["message"].to_pylist()
        assert "\x1b" not in message  # no colours of a terminal
        assert set(map(str, range(MANY))) <= set(lakeside.documents())

    def test_a_table_that_is_away_deletes_nothing(self, lakeside: Lakeside, table: Any, tmp_path: Path) -> None:
        lakeside.embed(table.spec)
        for place in (table.folder, tmp_path / "catalog.db"):
            if place.exists():
                place.rename(tmp_path / f"away-{place.name}")
        tally = lakeside.embed(table.spec).tally
        assert (tally.documents, tally.deleted, lakeside.rejects()) == (0, 0, ["unreadable"])

    def test_a_table_without_the_text_is_one_reject(self, lakeside: Lakeside, table: Any) -> None:
        assert lakeside.embed(table.spec, text_field="body").tally.rejected == 1
        assert lakeside.rejects() == ["missing-field"]


@pytest.mark.extra
class TestDelta:
    def test_a_folder_that_holds_a_table_is_the_table(self, lakeside: Lakeside, tmp_path: Path) -> None:
        delta = Delta(tmp_path)
        delta.delete("id = 3")
        assert lakeside.embed(delta.folder).tally.new == MANY - 1  # its files have the row still
        assert lakeside.embed(delta.spec).tally.unopened == MANY - 1

    def test_values_are_exact(self, lakeside: Lakeside, tmp_path: Path) -> None:
        from polyseme.tasks.reading.documents import ReadOptions
        from polyseme.tasks.reading.source_file import reading_of

        delta = Delta(tmp_path)
        wide = {"n": [{"a": [2**60]}], "d": [Decimal("1.10")], "b": [b"\xff"]}
        folder = tmp_path / "wide"
        write(folder, pa.table({"id": ["x"], "text": ["a"], **wide}))
        (source,) = resolve([str(folder)])
        options = ReadOptions()
        (file,) = source.listed(options, reading=reading_of(options))
        (found,) = file.read()  # type: ignore[union-attr]
        assert json.loads(found.metadata) == {"n": {"a": [2**60]}, "d": "1.10"}  # type: ignore[union-attr]
        assert delta.folder.exists()

    def test_a_feature_that_is_not_read_is_told(self, tmp_path: Path) -> None:
        delta = Delta(tmp_path)
        log = delta.folder / "_delta_log" / "00000000000000000001.json"
        features = ["deletionVectors"]
        protocol = {
            "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features,
        }  # fmt: skip
        log.write_text(json.dumps({"protocol": protocol}) + "\n")
        with pytest.raises(UsageError, match="deletionVectors"):
            resolve([delta.spec])


def write(folder: Path, table: pa.Table) -> None:
    from deltalake import write_deltalake

    write_deltalake(folder, table)


@pytest.mark.extra
def test_an_address_of_a_table_is_checked(tmp_path: Path) -> None:
    require("deltalake", "delta")
    for spec, says in (
        ("delta://table", "delta:///absolute"), (f"delta://{tmp_path}?version=1", "query in its address"),
        (f"delta://{tmp_path}", "cannot be read"), ("iceberg://prod", "CATALOG/NAMESPACE.TABLE"),
        ("iceberg://me:hush@prod/a.b", "a user, a password"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=says) as caught:
            resolve([spec])
        assert "hush" not in str(caught.value)


def test_the_folder_of_an_iceberg_table_is_refused_and_its_catalog_asked_for(tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "v1.metadata.json").write_text("{}")
    with pytest.raises(UsageError, match="iceberg://CATALOG"):
        resolve([str(tmp_path)])
