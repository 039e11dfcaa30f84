"""A lake in a notebook: results are read once, in one order, and shown without anything that a page would obey."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import polyseme
from polyseme.flows.notebook.opened_lake import OpenedLake
from polyseme.storage.errors import LakeError, PolysemeError, UsageError
from tests import embedded_lakes
from tests.extras import require

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("notebook") / "lake"
    embedded_lakes.make(root, embedded_lakes.documents())
    return root


@pytest.fixture(scope="module")
def lake(root: Path) -> Iterator[OpenedLake]:
    with polyseme.open(root) as opened:
        yield opened


def test_a_row_of_the_matrix_is_the_vector_of_the_same_row_of_the_table(lake: OpenedLake) -> None:
    for result in (lake.sentences, lake.words("bank"), lake.senses("bank"), lake.nearest("a flood", 5)):
        matrix = result.numpy()
        assert matrix.shape == (len(result), 384)
        assert all(np.array_equal(row["embedding"], vector) for row, vector in zip(result, matrix, strict=True))
        assert np.array_equal(result.torch().numpy(), matrix)
    sentences = lake.sentences.arrow()
    places = list(zip(sentences["doc_id"].to_pylist(), sentences["sentence_index"].to_pylist(), strict=True))
    assert places == sorted(places)


def test_a_result_is_read_once_and_kept(lake: OpenedLake) -> None:
    drawn = lake.sql("SELECT random() AS r, $n::INTEGER AS n FROM range(5)", n=7)
    assert drawn.arrow() is drawn.arrow()
    assert [row["r"] for row in drawn] == drawn.arrow()["r"].to_pylist()
    assert {row["n"] for row in drawn} == {7}
    assert drawn.columns == ["r", "n"]


def test_a_table_is_shown_and_counted_without_being_read(lake: OpenedLake) -> None:
    sentences = lake.sentences
    shown = sentences._repr_html_()
    assert f"the first 10 of {len(sentences)} rows" in shown
    assert "… 384]" in shown
    assert '<th scope="col"' in shown
    assert f"the first 10 of {len(sentences)} rows" in repr(sentences)
    assert sentences._table is None
    assert len(sentences.arrow()) == len(sentences) == 18


@pytest.mark.parametrize(
    "view", ["documents", "sentences", "tokens", "transitions", "rejects", "skipped", "runs", "encodings"]
)
def test_every_view_of_the_lake_is_a_result(lake: OpenedLake, view: str) -> None:
    result = getattr(lake, view)
    assert len(list(result)) == len(result)
    assert result._repr_html_().startswith("<table")


def test_words_senses_coherence_and_neighbours_are_those_of_sql(lake: OpenedLake) -> None:
    assert len(lake.words("BANK")) == len(lake.senses("bank")) == 11
    assert lake.senses("bank").arrow()["sense"].to_pylist() == sorted(lake.senses("bank").arrow()["sense"].to_pylist())
    assert [row["sentence_index"] for row in lake.coherence("river")] == [0, 1]
    (best,) = lake.nearest("Trout hide there all day.", 1)
    assert best["doc_id"] == "brook"
    (same,) = lake.nearest(lake.nearest("Trout hide there all day.", 1).numpy()[0], 1)
    assert (same["doc_id"], same["sentence_index"]) == (best["doc_id"], best["sentence_index"])


def test_where_chooses_the_documents_that_neighbours_come_from(lake: OpenedLake) -> None:
    money = lake.nearest("water", 9, where="title LIKE '%money%'")
    river = lake.nearest("water", 9, where="title LIKE '%river%'")
    assert {row["doc_id"] for row in money} == {"money"}
    assert {row["doc_id"] for row in river} == {"river"}
    assert len(lake.nearest("water", 9, where="title IS NULL")) == 0


def test_a_document_has_its_text_and_sentences(lake: OpenedLake) -> None:
    river = lake.document("river")
    assert river.text == embedded_lakes.TEXTS["river"]
    assert river.fields["n_sentences"] == len(river.sentences) == 3
    assert "On river" in river._repr_html_()
    with pytest.raises(UsageError, match="no document 'sea'"):
        lake.document("sea")


def test_what_a_document_says_is_escaped_wherever_it_is_shown(tmp_path: Path) -> None:
    made = embedded_lakes.documents({"one": f"The bank. {HOSTILE} is here."})
    hostile = polyseme.Document(doc_id="two", uri=f"file:///{HOSTILE}", text="A heron.", title=HOSTILE)
    embedded_lakes.make(tmp_path / "lake", [*made, hostile])
    with polyseme.open(tmp_path / "lake") as lake:
        shown = [lake, lake.documents, lake.sentences, lake.document("one"), lake.document("two"), lake.words("bank")]
        pages = [one._repr_html_() for one in shown]
    assert all("<script" not in page and "\u202e" not in page and "\x1b" not in page for page in pages)
    assert "&lt;script&gt;" in pages[0]


def test_the_lake_is_shown_as_it_was_opened_until_it_is_refreshed(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    embedded_lakes.make(root, embedded_lakes.documents({"one": "The bank."}))
    with polyseme.open(root) as lake:
        before = lake.documents
        assert len(before) == 1
        embedded_lakes.make(root, embedded_lakes.documents({"two": "A heron."}), run_id="two")
        assert len(lake.documents) == 1
        assert lake.is_behind
        assert "lake.refresh()" in lake._repr_html_()
        assert before.arrow().num_rows == 1
        assert len(lake.refresh().documents) == 2
        assert "lake.refresh()" not in lake._repr_html_()
        assert len(before) == 1
        assert "2 documents" in repr(lake)
    with pytest.raises(UsageError, match="was closed"):
        len(lake.documents)
    assert before.arrow().num_rows == 1


def test_another_lake_at_the_same_place_is_a_change(tmp_path: Path) -> None:
    """One that was made anew counts the same versions again."""
    root = tmp_path / "lake"
    embedded_lakes.make(root, embedded_lakes.documents({"one": "The bank."}))
    with polyseme.open(root) as lake:
        assert not lake.is_behind
        shutil.rmtree(root)
        embedded_lakes.make(root, embedded_lakes.documents({"one": "A heron."}))
        assert lake.is_behind
        assert not lake.refresh().is_behind


def test_it_reads_only_and_errors_are_those_of_elsewhere(lake: OpenedLake, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="COPY is not allowed"):
        len(lake.sql(f"COPY sentences TO '{tmp_path}/x.parquet'"))
    with pytest.raises(PolysemeError, match='Did you mean "sentences'):
        len(lake.sql("FROM sentnces"))
    with pytest.raises(UsageError, match="at least 1"):
        len(lake.nearest("water", 0))
    with pytest.raises(UsageError, match="no column embedding"):
        lake.runs.numpy()
    with pytest.raises(UsageError, match="is no column of documents"):
        len(lake.nearest("water", where="no_such_column = 1"))
    with pytest.raises(LakeError):
        polyseme.open(tmp_path / "nothing")


def test_threads_share_a_lake(lake: OpenedLake) -> None:
    def count(word: str) -> int:
        return len(lake.words(word))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, ["bank", "water", "bank", "nothing"])) == [11, 3, 11, 0]


def test_without_a_data_frame_library_the_error_names_it(lake: OpenedLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(UsageError, match="pip install pandas"):
        lake.runs.df()
    with pytest.raises(UsageError, match="pip install polars"):
        lake.runs.pl()
    assert lake._repr_html_()
    assert lake.sentences._repr_html_()


@pytest.mark.extra
def test_a_data_frame_has_the_rows_of_the_matrix(lake: OpenedLake) -> None:
    require("pandas", "frames")
    require("polars", "frames")
    senses = lake.senses("bank")
    for frame in (senses.df(), senses.pl()):
        assert len(frame) == len(senses)
        assert np.array_equal(np.stack(list(frame["embedding"])), senses.numpy())
