"""`--encode`: a word that the lake keeps in sentences only is encoded when a command asks for it, and no more."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest

from polyseme.flows.cli import main
from polyseme.storage.catalog import Catalog
from polyseme.storage.records import Context, Document, Outputs
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.engine_config import EngineConfig
from tests import embedded_lakes
from tests.tasks.reused_lakes import embed, rows, stored

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]

SENTENCES = Outputs("sentences", None, nsp=True)
COURT = "The Supreme Court heard her. A court may be supreme. Nobody left. The supreme court has a bank of judges."


def documents() -> list[Document]:
    return embedded_lakes.documents(embedded_lakes.TEXTS | {"court": COURT, "rain": "It rains! Nobody came."})


def made(root: Path, outputs: Outputs = SENTENCES, context: Context = "sentence", only: str = "") -> Path:
    engine = shared_engine(EngineConfig(context=context))
    embed(root, [one for one in documents() if not only or one.doc_id in only.split()], engine, outputs)
    return root


def polyseme(capfd: pytest.CaptureFixture[str], root: Path, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main([*words, "--lake", str(root)])
    out, err = capfd.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


def runs(root: Path) -> list[tuple[object, ...]]:
    return list(rows(root, "SELECT documents, reused_sentences, forward_tokens FROM runs ORDER BY ordinal OFFSET 1"))


@pytest.mark.parametrize("context", ["sentence", "pair", "window"])
def test_a_word_is_encoded_as_in_a_new_lake_and_only_where_it_stands(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, context: Context
) -> None:
    root = made(tmp_path / "lake", context=context)
    before = rows(root, "FROM transitions ORDER BY ALL")
    code, out, err = polyseme(capfd, root, "senses", "Bank", "--encode", "--json")
    assert code == 0, err
    assert sum(group["size"] for group in json.loads(out)) == 12
    fresh = made(tmp_path / "fresh", Outputs("words", frozenset({"bank"}), nsp=True), context)
    assert stored(root) == stored(fresh)
    assert rows(root, "FROM transitions ORDER BY ALL") == before

    ((encoded, reused, forward),) = runs(root)
    of_word = "(doc_id, sentence_index) IN (SELECT (doc_id, sentence_index) FROM in_text('bank'))"
    ((count, tokens),) = rows(root, f"SELECT count(*), sum(n_tokens + 2)::BIGINT FROM sentences WHERE {of_word}")
    ((all_,),) = rows(root, "SELECT count(*) FROM sentences WHERE doc_id <> 'rain'")
    assert encoded == 7, "no document without the word"
    assert reused == all_ - count  # type: ignore[operator]
    if context == "sentence":
        assert forward == tokens
    assert f"{forward:,} tokens run" in err
    assert polyseme(capfd, root, "senses", "bank", "--encode", "--json")[1] == out
    assert len(runs(root)) == 1, "it is there already"


def test_every_document_keeps_the_words_it_has_and_gets_none_of_others(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = made(tmp_path / "lake")
    for only, word in (("river", "fields"), ("safe money", "gold"), ("court", "supreme court")):
        made(root, Outputs("words", frozenset({word}), nsp=False), only=only)
    before = rows(root, "SELECT doc_id, sentence_index, word, embedding FROM words ORDER BY ALL")
    assert polyseme(capfd, root, "kwic", "bank", "--sort", "sense", "--encode", "--limit", "0")[0] == 0
    after = rows(root, "SELECT doc_id, sentence_index, word, embedding FROM words WHERE word <> 'bank' ORDER BY ALL")
    assert after == before
    assert rows(root, "SELECT DISTINCT doc_id FROM words WHERE word_lower = 'gold'") == [("safe",)]
    assert rows(root, "SELECT count(*) FROM words WHERE word = 'bank'") == [(12,)]


def test_a_phrase_is_encoded_where_its_words_stand_together(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = made(tmp_path / "lake")
    code, out, err = polyseme(capfd, root, "drift", "Supreme  Court", "--by", "doc_id", "--encode", "--json")
    assert code == 0, err
    assert json.loads(out)[0]["occurrences"] == 2
    found = rows(root, "SELECT sentence_index, word FROM words ORDER BY sentence_index, word_index")
    assert found == [(0, "Supreme"), (0, "Court"), (3, "supreme"), (3, "court")]
    assert runs(root)[0][:2] == (1, 2)
    words = made(tmp_path / "words", Outputs("words", frozenset({"supreme", "court"}), nsp=False))
    assert polyseme(capfd, words, "senses", "supreme court", "--encode")[0] == 0
    assert runs(words) == [], "both words are there wherever they stand"


def test_without_the_option_what_it_would_run_is_said_and_nothing_is_run(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = made(tmp_path / "lake")
    code, out, err = polyseme(capfd, root, "senses", "bank", "--json")
    assert (code, out) == (1, "[]\n")
    said = (
        r"'bank' is in 12 sentences, but the lake has no vectors of it: it keeps sentences only\. --encode encodes it "
        r"first: about (\d+) tokens of 7 documents to run, about \S+ of encoding at the [\d,]+ tokens/s measured now\. "
        rf"All words: polyseme backfill --level words --lake {re.escape(str(root))}\n"
    )
    match = re.fullmatch(said, err)
    assert match, err
    assert runs(root) == []
    polyseme(capfd, root, "senses", "bank", "--encode")
    assert runs(root)[0][2] == int(match[1])


def test_an_answer_from_a_part_of_the_sentences_says_so_and_the_option_adds_the_rest(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = made(tmp_path / "lake", Outputs("words", frozenset({"bank"}), nsp=False), only="river canal brook money")
    made(root)
    for words in (["senses", "bank"], ["kwic", "bank", "--sort", "sense"], ["drift", "bank", "--by", "doc_id"]):
        code, _, err = polyseme(capfd, root, *words)
        assert (code, "'bank' is in 5 sentences more" in err) == (0, True), err
    assert "Encoded 'bank' in 5 sentences of 3 documents" in polyseme(capfd, root, "senses", "bank", "--encode")[2]
    assert polyseme(capfd, root, "senses", "bank")[2] == ""


def test_a_word_of_the_selection_is_told_from_one_of_other_documents(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = made(tmp_path / "lake", Outputs("words", frozenset({"bank"}), nsp=False), only="river canal brook money")
    made(root)
    by_sense = ["kwic", "bank", "--sort", "sense", "--where"]
    assert "--encode encodes it first" in polyseme(capfd, root, *by_sense, "doc_id = 'safe'")[2]
    for words in (by_sense, ["kwic", "bank", "--where"]):
        code, _, err = polyseme(capfd, root, *words, "doc_id = 'rain'")
        assert (code, "It does in others: 12 occurrences." in err) == (1, True), err


def test_what_cannot_be_answered_is_not_encoded_for(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = made(tmp_path / "lake")
    for words, code, message in (
        (["senses", "nowhere"], 1, "'nowhere' does not occur in the lake."),
        (["senses", "bank", "--by-lemma"], 2, "polyseme backfill --level words --lemma"),
        (["kwic", "bank"], 2, "--encode is for --sort sense and --like"),
        (["kwic", "bank", "--like", "No such word."], 2, "is not in the sentence of --like"),
        (["kwic", "bank", "--sort", "sense", "--where", "no_such_column = 1"], 2, "no_such_column"),
        (["drift", "--rank", "--by", "doc_id", "--bins", "canal"], 2, "--encode is of one word"),
        (["drift", "bank", "--by", "no_such_column"], 2, "no_such_column"),
        (["neighbours", "bank"], 1, "the lake keeps the vectors of no other word"),
    ):
        found, out, err = polyseme(capfd, root, *words, "--encode")
        assert (found, out) == (code, ""), err
        assert message in err
    assert runs(root) == []


def test_neighbours_are_the_words_that_the_lake_keeps(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = made(tmp_path / "lake", Outputs("words", frozenset({"water", "money"}), nsp=False))
    code, out, err = polyseme(capfd, root, "neighbours", "bank", "--at-least", "1", "--encode", "--json")
    assert code == 0, err
    assert {row["word"] for row in json.loads(out)} == {"water", "money"}


def test_a_lake_that_another_process_keeps_locked_is_said(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made(tmp_path / "lake")
    for opening in (Catalog.create_or_open, Catalog.open):
        monkeypatch.setattr(opening, "__kwdefaults__", {"patience": 0.2})
    with sqlite3.connect(next(root.glob("*.sqlite"))) as other:
        other.execute("BEGIN IMMEDIATE")
        code, out, err = polyseme(capfd, root, "senses", "bank", "--encode", "--json")
    assert (code, out) == (4, ""), err
    assert "stayed locked" in err
