"""Near-duplicates of a lake: of documents as they are now, each compared exactly with the first of its group."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.kept_signatures import load
from polyseme.tasks.engine import Cancelled
from polyseme.tasks.sql.functions import ModelFunctions
from polyseme.tasks.sql.near_duplicates import NearDuplicate, Question, near_duplicates
from tests import lakes
from tests.extras import require

SPEC = lakes.make_spec()
WORDS = [f"word{i}" for i in range(200)]
LONG = " ".join(WORDS)
LIKE_IT = LONG.replace("word100", "other")  # 191 of 201 runs
HALF = " ".join(WORDS[:120])  # 116 of 196 runs
ROWS = "SELECT group_id, copies, round(similarity, 3), same_text, doc_id FROM near_duplicates({})"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "polyseme" / "signatures"


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as opened:
        yield opened


def ask(catalog: Catalog, sql: str) -> list[tuple[Any, ...]]:
    with connect(catalog.lake) as con:
        return con.execute(sql).fetchall()


def kept(catalog: Catalog) -> list[str]:
    found = load(catalog.lake_id)
    return [] if found is None else sorted(found.contents)


def find(catalog: Catalog, at_least: float = 0.8, *, reports: list[str] | None = None) -> list[NearDuplicate]:
    """Return the near-duplicates, and keep signatures however few they are."""
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    return near_duplicates(
        snapshot, catalog.lake, snapshot.default, Question(at_least), worth_keeping=0,
        report=lambda doing, share: None if reports is None else reports.append(doing),
    )  # fmt: skip


@pytest.mark.extra
def test_documents_are_grouped_around_the_longest_with_their_place(catalog: Catalog) -> None:
    require("rensa", "duplicates")
    texts = {
        "edited": [LIKE_IT],
        "half": [HALF],
        "long": [LONG, "More."],
        "other": ["Another text altogether, really."],
    }
    lakes.commit(catalog, SPEC, texts)
    assert ask(catalog, ROWS.format("")) == [(1, 2, 1.0, True, "long"), (1, 2, 0.946, False, "edited")]
    shown = ask(catalog, "FROM near_duplicates_polyseme_mini(at_least := 0.5)")
    assert [(row[2], *row[5:]) for row in shown] == [
        (place, doc_id, lakes.uri_of(doc_id), f"About {doc_id}")
        for place, doc_id in enumerate(("long", "edited", "half"), 1)
    ]


@pytest.mark.extra
def test_copies_are_together_with_what_is_like_them_and_alone_without(catalog: Catalog) -> None:
    require("rensa", "duplicates")
    lakes.commit(catalog, SPEC, {"b": ["Same text."], "a": ["Same text."], "c": ["same… TEXT"], "z": [LONG]})
    lakes.commit(catalog, SPEC, {name: ["—"] for name in "xy"} | {"empty": [], "void": []})
    assert ask(catalog, ROWS.format("")) == [
        (1, 3, 1.0, True, "a"), (1, 3, 1.0, True, "b"), (1, 3, 1.0, False, "c"),
        (2, 2, 1.0, True, "empty"), (2, 2, 1.0, True, "void"),
        (3, 2, 1.0, True, "x"), (3, 2, 1.0, True, "y"),
    ]  # fmt: skip


@pytest.mark.extra
def test_what_is_replaced_or_deleted_is_never_shown_though_its_signature_is_kept(catalog: Catalog) -> None:
    require("rensa", "duplicates")
    lakes.commit(catalog, SPEC, {"a": [LONG], "b": [LIKE_IT], "c": [LIKE_IT]})
    assert [row.doc_id for row in find(catalog)] == ["a", "b", "c"]
    version = lakes.commit(catalog, SPEC, {"b": ["A new text."]})
    assert [row.doc_id for row in find(catalog)] == ["a", "c"]
    catalog.delete_documents(SPEC.encoding_id, ["c"], version=version + 1)
    assert find(catalog) == []


@pytest.mark.extra
def test_only_documents_that_are_asked_for_are_compared(catalog: Catalog) -> None:
    require("rensa", "duplicates")
    lakes.commit(catalog, SPEC, {"a": [LONG], "b": [LIKE_IT], "c": [f"{LONG} More."]})
    found = ask(catalog, ROWS.format("docs := (SELECT list(doc_id) FROM documents WHERE doc_id <> 'a')"))
    assert [row[4] for row in found] == ["c", "b"]
    for none in ("docs := []", "docs := (SELECT list(doc_id) FROM documents WHERE false)", "docs := NULL", "NULL"):
        assert ask(catalog, ROWS.format(none)) == []


@pytest.mark.extra
def test_only_texts_that_are_new_are_signed(catalog: Catalog, cache: Path) -> None:
    require("rensa", "duplicates")
    first = lakes.commit(catalog, SPEC, {"a": [LONG], "b": ["Something else."]})
    reports = list[str]()
    assert find(catalog, reports=reports) == []
    assert reports.count("reading documents") == 2
    texts = {"b": ["Something else."]}
    version = lakes.begin(catalog, SPEC, "again")
    catalog.commit_shard(
        lakes.describe(catalog.lake, SPEC, texts, run_id="again", version=version, rows_version=first, title="New")
    )
    lakes.commit(catalog, SPEC, {"renamed": ["Something else."], "c": [LIKE_IT]})
    reports.clear()
    assert [row.doc_id for row in find(catalog, reports=reports)] == ["a", "c", "b", "renamed"]
    assert reports.count("reading documents") == 1
    reports.clear()
    again = find(catalog, reports=reports)
    assert "reading documents" not in reports
    for file in cache.iterdir():
        file.unlink()
    assert find(catalog) == again


@pytest.mark.extra
def test_texts_that_are_gone_are_not_kept_once_all_are_asked_for(catalog: Catalog) -> None:
    require("rensa", "duplicates")
    lakes.commit(catalog, SPEC, {"a": [LONG], "b": ["Something else."]})
    find(catalog)
    lakes.commit(catalog, SPEC, {"b": ["A new text."]})
    find(catalog)
    assert kept(catalog) == sorted(lakes.content_of([text]) for text in (LONG, "A new text."))


@pytest.mark.extra
def test_texts_of_another_encoding_and_of_other_documents_stay_kept(catalog: Catalog) -> None:
    require("rensa", "duplicates")
    lakes.commit(catalog, SPEC, {"a": [LONG], "b": ["Something else."]})
    find(catalog)
    snapshot = catalog.snapshot()
    assert snapshot.default is not None
    lakes.commit(catalog, SPEC, {"c": ["A third text."]})
    near_duplicates(
        catalog.snapshot(), catalog.lake, snapshot.default, Question(0.8, ("c",)), report=lambda *_: None,
        worth_keeping=0,
    )  # fmt: skip
    assert len(kept(catalog)) == 3
    lakes.commit(catalog, lakes.make_spec(context="pair"), {"a": [LIKE_IT]})
    lakes.commit(catalog, SPEC, {"a": ["A fourth text."]})
    find(catalog)
    assert len(kept(catalog)) == 4


@pytest.mark.extra
def test_what_was_signed_before_it_was_stopped_is_kept(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    require("rensa", "duplicates")
    monkeypatch.setattr("polyseme.tasks.sql.near_duplicates._TEXTS_SIGNED_AT_ONCE", 1)
    lakes.commit(catalog, SPEC, {"a": [LONG], "b": [LIKE_IT], "c": ["Something else."]})
    snapshot = catalog.snapshot()
    assert snapshot.default is not None

    def stop(doing: str, share: float) -> None:
        if share > 0.5:
            raise Cancelled("The query was stopped.")

    with pytest.raises(Cancelled):
        near_duplicates(snapshot, catalog.lake, snapshot.default, Question(0.8), report=stop, worth_keeping=0)
    assert len(kept(catalog)) == 2
    assert len(find(catalog)) == 2


@pytest.mark.extra
def test_a_small_lake_leaves_no_file(catalog: Catalog, cache: Path) -> None:
    require("rensa", "duplicates")
    lakes.commit(catalog, SPEC, {"a": [LONG], "b": [LIKE_IT]})
    assert len(ask(catalog, ROWS.format(""))) == 2
    assert not cache.exists()


@pytest.mark.extra
def test_one_giant_document_is_compared_like_any_other(catalog: Catalog) -> None:
    require("rensa", "duplicates")
    giant = ",".join(f"w{i % 9_991},v{i}" for i in range(100_000))  # without a space, and so one word of the lake
    lakes.commit(catalog, SPEC, {"giant": [giant], "more": [f"{giant} The end."], "small": [LONG], "none": ["…"]})
    assert [(row.doc_id, row.same_text, round(row.similarity, 4)) for row in find(catalog)] == [
        ("more", True, 1.0), ("giant", False, 1.0),
    ]  # fmt: skip


@pytest.mark.extra
def test_many_copies_with_small_changes_are_one_group(catalog: Catalog) -> None:
    require("rensa", "duplicates")
    lakes.commit(catalog, SPEC, {f"{i:04}": [LONG.replace("word100", f"other{i}")] for i in range(500)})
    found = find(catalog)
    assert {(row.group_id, row.copies) for row in found} == {(1, 500)}
    assert found[0].doc_id == "0000"


@pytest.mark.extra
def test_it_stops_when_it_is_told_to_and_keeps_nothing_wrong(catalog: Catalog, cache: Path) -> None:
    require("rensa", "duplicates")
    lakes.commit(catalog, SPEC, {"a": [LONG], "b": [LIKE_IT]})
    functions = ModelFunctions()
    functions.stop()
    with (
        connect(catalog.lake, functions=functions) as con,
        pytest.raises(duckdb.InvalidInputException, match="The query was stopped"),
    ):
        con.execute(ROWS.format(""))
    assert isinstance(functions.failure, Cancelled)
    assert not cache.exists()
    assert len(find(catalog)) == 2


@pytest.mark.extra
@pytest.mark.parametrize("least", [0.1, 1.01, -1])
def test_a_similarity_that_is_none_is_refused(catalog: Catalog, least: float) -> None:
    with pytest.raises(UsageError, match=r"from 0\.2 to 1"):
        Question(least)


@pytest.mark.extra
def test_an_empty_lake_has_none(catalog: Catalog) -> None:
    require("rensa", "duplicates")
    assert ask(catalog, ROWS.format("")) == []
    lakes.commit(catalog, SPEC, {"a": []})
    assert ask(catalog, ROWS.format("")) == []


def test_without_the_package_the_error_says_what_to_install(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    lakes.commit(catalog, SPEC, {"a": [LONG]})
    with pytest.raises(duckdb.InvalidInputException, match=r"pip install 'polyseme\[duplicates\]'"):
        ask(catalog, ROWS.format(""))
