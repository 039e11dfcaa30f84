"""Selections of documents: the right ones, with the version of their text, and nothing but documents."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from typing import Any

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database.staleness import Staleness
from polyseme.storage.errors import LakeError, UsageError
from polyseme.storage.records import Document, DocumentVersion, Outputs
from polyseme.storage.sql.selection import Selection, check_selection, outputs_of, select_documents
from tests import lakes

SPEC, WIDE = lakes.make_spec(), lakes.make_spec(width=8, model_sha256="other")


@pytest.fixture
def full(catalog: Catalog) -> Catalog:
    for doc_id in ("a", "b", "ünï'c"):
        lakes.commit(catalog, SPEC, {doc_id: [f"Text of {doc_id}.", "Two."]})
    return catalog


def ids(catalog: Catalog, **chosen: object) -> list[str]:
    return sorted(d.doc_id for d in select_documents(catalog, Selection(**chosen)))  # type: ignore[arg-type]


def test_everything_that_a_document_is_comes_back(full: Catalog) -> None:
    [found] = select_documents(full, Selection(where="doc_id = 'a'"))
    assert found == Document("a", lakes.uri_of("a"), "Text of a. Two.", title="About a", text_version=1)


def test_a_condition_and_a_date_choose(full: Catalog) -> None:
    assert ids(full) == ["a", "b", "ünï'c"]
    assert ids(full, where="doc_id = 'ünï''c' OR n_chars = 15 -- a comment") == ["a", "b", "ünï'c"]
    assert ids(full, where="uri LIKE '%/b.txt'", since=datetime(2026, 11, 1, tzinfo=UTC)) == ["b"]
    assert ids(full, since=datetime(2026, 11, 2, tzinfo=UTC)) == []


def test_documents_lack_a_word_if_it_is_in_their_text_and_not_in_their_outputs(full: Catalog) -> None:
    lakes.commit_sentences(full, SPEC, {"s": ["A Text of banks.", "A text."], "t": ["Nothing."]})
    assert ids(full, lacking="text") == ids(full, lacking="text of") == ["s"]
    assert ids(full, lacking="of text") == ids(full, lacking="text", where="doc_id <> 's'") == []
    assert ids(full, lacking="'") == ids(full, lacking="") == []


@pytest.mark.parametrize(
    ("outputs", "word", "has"),
    [
        (Outputs(), "bank", True),
        (Outputs("sentences"), "bank", False),
        (Outputs("tokens", frozenset({"bank"})), "bank", True),
        (Outputs("words", frozenset({"bank of england"})), "bank", False),
        (Outputs("words", frozenset({"bank of england"})), "bank of england", True),
        (Outputs("words", frozenset({"of", "bank", "x"})), "bank of", True),
        (Outputs("words", frozenset({"bank"})), "bank of", False),
    ],
)
def test_outputs_have_a_phrase_if_they_have_it_or_each_of_its_words(outputs: Outputs, word: str, has: bool) -> None:
    assert outputs.has_word(word) is has


@pytest.mark.parametrize(
    "where",
    [
        "1 = 1); DROP TABLE runs; SELECT (1",
        "nonsense(",
        "no_such_column = 1",
        "n_chars +",
        "1) UNION (SELECT 1, 2, 3, 4, 5, 6 WHERE (true",
        "EXISTS (FROM read_csv('/etc/passwd'))",
        "true) TO 'x'; COPY (SELECT 1",
    ],
)
def test_what_is_not_a_condition_is_refused(full: Catalog, where: str) -> None:
    with pytest.raises(UsageError, match=r"--where|not allowed") as caught:
        ids(full, where=where)
    assert "root:" not in str(caught.value)
    with pytest.raises(UsageError) as before:
        check_selection(full, Selection(where=where))
    assert str(before.value) == str(caught.value)


def test_a_selection_can_be_checked_before_a_document_is_read(full: Catalog) -> None:
    check_selection(full, Selection(where="doc_id = 'a'"))
    with pytest.raises(UsageError, match="No encoding is named 'nosuch'"):
        check_selection(full, Selection(encoding="nosuch"))


@pytest.mark.parametrize(
    "where",
    [
        "CAST(text AS INTEGER) = 1",
        "strptime(text, '%d') IS NULL",
        "text::JSON IS NULL",
        "regexp_matches('a', '(' || text)",
        "date_trunc(text, ingested_at) IS NULL",
        "factorial(1000 + n_chars::INTEGER) > 1",
        "title LIKE 'a' ESCAPE left(text, 2)",
    ],
)
def test_a_document_that_cannot_be_compared_is_a_mistake_in_the_condition_and_not_quoted(
    full: Catalog, where: str
) -> None:
    check_selection(full, Selection(where=where))
    with pytest.raises(UsageError, match=r"--where .* cannot be compared .*TRY_CAST") as caught:
        ids(full, where=where)
    assert "Text of" not in "".join(traceback.format_exception(caught.value))


def test_texts_of_replaced_deleted_and_backfilled_documents(full: Catalog) -> None:
    full.delete_documents(SPEC.encoding_id, ["b"], version=8)
    lakes.commit(full, SPEC, {"a": ["Newer."]})
    assert {d.doc_id: (d.text, d.text_version) for d in select_documents(full, Selection())} == {
        "a": ("Newer.", 4),
        "ünï'c": ("Text of ünï'c. Two.", 3),
    }


def test_a_document_that_is_replaced_meanwhile_is_left_out(full: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = full.lookup

    def after_a_commit(*args: Any) -> dict[str, DocumentVersion]:
        lakes.commit(full, SPEC, {"a": ["Newer."]})
        return look_up(*args)

    monkeypatch.setattr(full, "lookup", after_a_commit)
    assert ids(full) == ["b", "ünï'c"]


def test_encodings_are_named(full: Catalog) -> None:
    lakes.commit(full, WIDE, {"w": ["Wide."]})
    assert ids(full, encoding="polyseme_mini_2") == ["w"]
    with pytest.raises(UsageError, match="polyseme_mini, polyseme_mini_2"):
        ids(full, encoding="nope")


def test_an_empty_lake_says_so(catalog: Catalog) -> None:
    with pytest.raises(LakeError, match="no documents yet"):
        ids(catalog)


def test_outputs_are_the_least_that_cover_all(full: Catalog) -> None:
    assert outputs_of(full, full.encodings()[0]) == Outputs()
    run = full.begin_run("r", SPEC.encoding_id, [])
    more = Outputs("tokens", None, nsp=False)
    full.commit_shard(lakes.make_result(SPEC, [lakes.document_version("t", run, outputs=more)], run_id="r"))
    assert outputs_of(full, full.encodings()[0]) == Outputs("tokens", None, nsp=True)


class TestBackfilledVersions:
    """A backfill takes its text from the lake: a run that read the source later wins, whichever commits first."""

    def backfilled(self, catalog: Catalog, run_id: str, version: int, text_version: int) -> None:
        document = lakes.document_version("d", version, text_version=text_version)
        catalog.commit_shard(lakes.make_result(SPEC, [document], run_id=run_id))

    @pytest.mark.parametrize("backfill_first", [True, False])
    def test_an_older_text_never_replaces_a_newer_one(self, catalog: Catalog, *, backfill_first: bool) -> None:
        catalog.register_encoding(SPEC)
        versions = [catalog.begin_run(r, SPEC.encoding_id, []) for r in ("first", "scheduled", "backfill")]
        catalog.commit_shard(lakes.make_result(SPEC, [lakes.document_version("d", versions[0])], run_id="first"))
        newer = lakes.make_result(SPEC, [lakes.document_version("d", versions[1])], run_id="scheduled")
        if not backfill_first:
            catalog.commit_shard(newer)
        self.backfilled(catalog, "backfill", versions[2], versions[0])
        if backfill_first:
            catalog.commit_shard(newer)
        assert catalog.lookup(SPEC.encoding_id, ["d"])["d"].version == versions[1]
        hidden = {(row["doc_id"], row["version"]) for row in catalog.snapshot().superseded.to_pylist()}
        assert hidden == {("d", versions[0]), ("d", versions[2])}

    def test_of_the_same_text_the_later_encoding_wins(self, catalog: Catalog) -> None:
        catalog.register_encoding(SPEC)
        versions = [catalog.begin_run(r, SPEC.encoding_id, []) for r in ("first", "again", "once more")]
        catalog.commit_shard(lakes.make_result(SPEC, [lakes.document_version("d", versions[0])], run_id="first"))
        self.backfilled(catalog, "once more", versions[2], versions[0])
        self.backfilled(catalog, "again", versions[1], versions[0])
        assert catalog.lookup(SPEC.encoding_id, ["d"])["d"].order == (versions[0], versions[2])

    def test_a_document_found_gone_by_a_later_run_does_not_come_back(self, catalog: Catalog) -> None:
        catalog.register_encoding(SPEC)
        versions = [catalog.begin_run(r, SPEC.encoding_id, []) for r in ("first", "gone", "backfill")]
        catalog.commit_shard(lakes.make_result(SPEC, [lakes.document_version("d", versions[0])], run_id="first"))
        catalog.delete_documents(SPEC.encoding_id, ["d"], version=versions[1])
        self.backfilled(catalog, "backfill", versions[2], versions[0])
        assert catalog.lookup(SPEC.encoding_id, ["d"]) == {}

    def test_a_scan_still_deletes_what_only_a_backfill_encoded_again(self, catalog: Catalog) -> None:
        catalog.register_encoding(SPEC)
        versions = [catalog.begin_run(r, SPEC.encoding_id, []) for r in ("first", "gone", "backfill")]
        catalog.commit_shard(lakes.make_result(SPEC, [lakes.document_version("d", versions[0])], run_id="first"))
        self.backfilled(catalog, "backfill", versions[2], versions[0])
        assert catalog.delete_documents(SPEC.encoding_id, ["d"], version=versions[1]) == 1
        assert catalog.lookup(SPEC.encoding_id, ["d"]) == {}


class TestStaleness:
    def test_one_encoding_lacks_nothing(self, full: Catalog) -> None:
        assert list(full.staleness().values()) == [Staleness(missing=0, outdated=0, damaged=0)]

    def test_what_another_encoding_has_and_this_one_does_not(self, full: Catalog) -> None:
        lakes.commit(full, WIDE, {"a": ["Text of a.", "Two."]})
        lakes.commit(full, WIDE, {"b": ["Another text."]})
        found = full.staleness()
        assert found[WIDE.encoding_id] == Staleness(missing=1, outdated=0, damaged=0)
        assert found[SPEC.encoding_id] == Staleness(missing=0, outdated=2, damaged=0)


def test_views_of_two_widths_cannot_be_mixed(full: Catalog) -> None:
    """The width is in the column's type: comparing or uniting vectors of two encodings is an error."""
    import duckdb

    from polyseme.storage.sql.connection import open_snapshot

    lakes.commit(full, WIDE, {"a": ["Wide."]})
    with open_snapshot(full.snapshot(), full.lake) as con:
        for view, width in (("sentences_polyseme_mini", 4), ("sentences_polyseme_mini_2", 8), ("sentences", 4)):
            kinds = con.execute(f"SELECT DISTINCT typeof(embedding) FROM {view}").fetchall()
            assert kinds == [(f"FLOAT[{width}]",)]
        with pytest.raises(duckdb.BinderException):
            con.execute(
                "SELECT array_cosine_similarity(x.embedding, y.embedding) "
                "FROM sentences_polyseme_mini x, sentences_polyseme_mini_2 y"
            )
        with pytest.raises(duckdb.Error):
            con.execute(
                "SELECT embedding FROM sentences_polyseme_mini "
                "UNION ALL SELECT embedding FROM sentences_polyseme_mini_2"
            ).fetchall()


def test_the_default_encoding_can_be_chosen(full: Catalog) -> None:
    lakes.commit(full, WIDE, {"w": ["Wide."]})
    full.set_default_encoding("polyseme_mini_2")
    assert ids(full) == ["w"]
    with pytest.raises(UsageError, match="polyseme_mini, polyseme_mini_2"):
        full.set_default_encoding("nope")
