"""Topics of a lake: stable ids for documents, whatever is appended, replaced or deleted, and versions that stay."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import CompactionPolicy, compact
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish
from tests import lakes, topic_lakes
from tests.topic_lakes import SPEC, commit, documents, fit

OLD = documents("river", 12) | documents("money", 9)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as opened:
        yield opened


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    commit(catalog, OLD)
    return catalog


def topics_of_documents(catalog: Catalog, version: int | None = None) -> dict[str, int]:
    rows = "document_topics" if version is None else f"document_topics_of({version})"
    with connect(catalog.lake, functions=lambda *_: None) as con:
        return dict(con.execute(f"SELECT doc_id, topic FROM {rows} ORDER BY doc_id").fetchall())


def ask(lake: Lake, sql: str) -> list[tuple[object, ...]]:
    with connect(lake, functions=lambda *_: None) as con:
        return con.execute(sql).fetchall()


def test_as_many_topics_are_found_as_there_are_subjects_the_largest_first(filled: Catalog) -> None:
    made = fit(filled)
    assert [(topic.topic, topic.documents) for topic in made.topics] == [(1, 12), (2, 9)]
    assert topics_of_documents(filled) == {doc_id: 1 if "river" in doc_id else 2 for doc_id in OLD}
    assert made.silhouette is not None
    assert made.silhouette > 0.5


def test_the_words_of_a_topic_are_those_that_others_do_not_have(filled: Catalog) -> None:
    first, second = fit(filled).topics
    assert set(first.words) == {"river", "flood", "water"}  # neither bank, nor the, nor what one document has
    assert set(second.words) == {"money", "loan", "gold"}
    assert first.label == ", ".join(first.words)


def test_words_are_counted_in_the_text_where_none_are_stored(catalog: Catalog) -> None:
    lakes.commit_sentences(catalog, SPEC, OLD, vector=topic_lakes.vector)
    assert [set(topic.words) for topic in fit(catalog).topics] == [
        {"river", "flood", "water"},
        {"money", "loan", "gold"},
    ]


def test_the_same_lake_and_seed_give_the_same_topics(filled: Catalog) -> None:
    snapshot = filled.snapshot()
    first = fit(filled)
    again = fit(filled, anew=True)
    for one, other in zip(first.topics, again.topics, strict=True):
        assert (one.topic, one.words, one.documents) == (other.topic, other.words, other.documents)
        assert one.direction.tobytes() == other.direction.tobytes()
    assert snapshot.catalog_version == first.catalog_version


def test_an_append_gives_new_documents_a_topic_and_no_other_document_another(filled: Catalog) -> None:
    fit(filled)
    before = topics_of_documents(filled)
    with connect(filled.lake, functions=lambda *_: None) as con:
        similar = con.execute("SELECT doc_id, similarity FROM document_topics ORDER BY doc_id").fetchall()
    commit(filled, documents("music", 20) | documents("river", 3, first=50))
    after = topics_of_documents(filled)
    assert {doc_id: after[doc_id] for doc_id in OLD} == before
    assert {after[f"river-{i:03d}"] for i in range(50, 53)} == {1}
    assert after.keys() == (OLD | documents("music", 20) | documents("river", 3, first=50)).keys()
    old = ", ".join(f"'{doc_id}'" for doc_id in OLD)
    assert (
        ask(filled.lake, f"SELECT doc_id, similarity FROM document_topics WHERE doc_id IN ({old}) ORDER BY ALL")
        == similar
    )


def test_documents_unlike_those_of_the_fit_are_far_from_every_topic(filled: Catalog) -> None:
    fit(filled)
    commit(filled, documents("music", 5))
    rows = ask(filled.lake, "SELECT doc_id FROM document_topics WHERE is_far AND doc_id LIKE 'music%'")
    assert len(rows) == 5
    assert ask(filled.lake, "SELECT sum(documents), sum(far_documents) >= 5 FROM topics") == [(26, True)]


def test_a_replaced_document_has_the_topic_of_its_new_text_and_a_deleted_one_none(filled: Catalog) -> None:
    fit(filled)
    version = commit(filled, {"river-000": documents("money", 1)["money-000"]})
    filled.delete_documents(SPEC.encoding_id, ["river-001"], version=version)
    found = topics_of_documents(filled)
    assert found["river-000"] == 2
    assert "river-001" not in found
    assert ask(filled.lake, "SELECT topic, documents, fitted_documents FROM topics") == [(1, 10, 12), (2, 10, 9)]


def test_a_refit_is_a_new_version_whose_topics_keep_their_ids_and_the_old_one_can_still_be_asked(
    filled: Catalog,
) -> None:
    fit(filled)
    before = topics_of_documents(filled)
    commit(filled, documents("music", 20))
    made = fit(filled)
    assert made.version == 2
    assert [(topic.topic, topic.documents) for topic in made.topics] == [(1, 12), (2, 9), (3, 20)]
    after = topics_of_documents(filled)
    assert {doc_id: after[doc_id] for doc_id in OLD} == before
    assert set(topics_of_documents(filled, 1).values()) == {1, 2}
    assert topics_of_documents(filled, 2) == after
    assert ask(filled.lake, "SELECT topic, since, version FROM topics") == [(1, 1, 2), (2, 1, 2), (3, 2, 2)]
    assert ask(filled.lake, "SELECT topic, documents, version FROM topics_of(1)")[0] == (1, 12, 1)
    assert topics_of_documents(filled, 3) == {}


def test_an_id_is_never_given_to_another_topic(filled: Catalog) -> None:
    fit(filled)
    version = commit(filled, documents("music", 20))
    filled.delete_documents(SPEC.encoding_id, [doc_id for doc_id in OLD if "money" in doc_id], version=version)
    assert [topic.topic for topic in fit(filled, 2).topics] == [1, 3]
    commit(filled, documents("court", 20))
    assert [topic.topic for topic in fit(filled, anew=True).topics] == [1, 3, 4]


def test_compaction_vacuum_and_another_description_change_no_topic(filled: Catalog) -> None:
    commit(filled, documents("river", 2, first=90))
    fit(filled)
    before = ask(filled.lake, "FROM document_topics ORDER BY doc_id")
    compact(filled, CompactionPolicy())
    vacuum(filled, now=datetime.now(UTC) + timedelta(days=2), grace=timedelta(0), unknown=True)
    assert ask(filled.lake, "FROM document_topics ORDER BY doc_id") == before


def test_plain_duckdb_has_the_topics_also_where_the_lake_was_moved_to(filled: Catalog, tmp_path: Path) -> None:
    fit(filled)
    publish(filled)
    moved = tmp_path / "moved"
    shutil.copytree(filled.lake.root, moved)
    for root in (filled.lake.root, moved):
        with duckdb.connect(str(Path(root) / "catalog.duckdb"), read_only=True) as con:
            assert con.execute("SELECT topic, documents, since FROM topics").fetchall() == [(1, 12, 1), (2, 9, 1)]
            assert len(con.execute("FROM document_topics_polyseme_mini").fetchall()) == 21
            assert len(con.execute("FROM document_topics_of(1)").fetchall()) == 21
            assert con.execute("SELECT typical[1] LIKE 'river%' FROM topics_of(1)").fetchall()[0] == (True,)


def test_the_functions_of_polyseme_and_sql_alone_give_the_same_topics(filled: Catalog) -> None:
    fit(filled)
    commit(filled, documents("court", 4) | {"river-003": documents("money", 1)["money-000"]})
    every = "FROM document_topics ORDER BY doc_id"
    with connect(filled.lake) as con:
        assert con.execute(every).fetchall() == ask(filled.lake, every)
        assert con.execute("FROM topics_of(1)").fetchall() == ask(filled.lake, "FROM topics_of(1)")


def test_a_lake_without_topics_has_the_views_and_no_rows(filled: Catalog) -> None:
    for rows in ("topics", "document_topics", "topics_of(1)", "document_topics_of(1)", "topics_polyseme_mini"):
        assert ask(filled.lake, f"FROM {rows}") == []
    assert [name for (name, *_) in ask(filled.lake, "DESCRIBE topics")] == [
        "topic", "label", "words", "documents", "far_documents", "typical", "fitted_documents", "since", "version",
        "fitted_at",
    ]  # fmt: skip


def test_the_views_have_the_same_columns_with_topics_as_without(filled: Catalog) -> None:
    without = [
        ask(filled.lake, f"SELECT column_name, column_type FROM (DESCRIBE {one})")
        for one in ("topics", "document_topics")
    ]
    fit(filled)
    assert [
        ask(filled.lake, f"SELECT column_name, column_type FROM (DESCRIBE {one})")
        for one in ("topics", "document_topics")
    ] == without


def test_too_few_documents_are_one_topic(catalog: Catalog) -> None:
    commit(catalog, documents("river", 1))
    (topic,) = fit(catalog).topics
    assert (topic.topic, topic.documents) == (1, 1)
    commit(catalog, documents("money", 1))
    assert sum(topic.documents for topic in fit(catalog).topics) == 2


def test_a_lake_without_sentences_and_a_number_that_cannot_be_are_refused(catalog: Catalog) -> None:
    commit(catalog, {"empty": []})
    with pytest.raises(PolysemeError, match="no document with a sentence"):
        fit(catalog)
    commit(catalog, OLD)
    for number in (0, 22):
        with pytest.raises(UsageError, match="from 1 to 21"):
            fit(catalog, number)


def test_of_two_commands_that_fit_at_once_the_second_is_told(filled: Catalog) -> None:
    made = fit(filled)
    with pytest.raises(PolysemeError, match="fitted by another command meanwhile"):
        filled.add_topics(SPEC.encoding_id, made)
    assert len(filled.snapshot().topics[SPEC.encoding_id]) == 1


@pytest.mark.parametrize("seed", [-1, 2**32, 10**23])
def test_a_seed_that_cannot_be_is_refused(filled: Catalog, seed: int) -> None:
    with pytest.raises(UsageError, match="seed of the random numbers is from 0 to 4294967295"):
        fit(filled, seed=seed)
    assert not filled.snapshot().topics


def test_documents_that_are_equal_are_one_topic_that_they_are_near_to_and_it_keeps_its_id(catalog: Catalog) -> None:
    """Where they lie about their centre is rounding alone, which must not make them far from their topic."""
    for count in (1, 2, 9):
        commit(catalog, {f"d{n}": ["river flood", "music song"] for n in range(count)})
        fit(catalog)
        assert ask(catalog.lake, "SELECT topic, documents, far_documents FROM topics") == [(1, count, 0)]
