"""Lemmas of a lake: stored, looked up, kept by everything that rewrites parts."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from polyseme.flows.embed import embed_corpus
from polyseme.flows.runs.job import EmbedRequest
from polyseme.flows.runs.run_report import RunReport
from polyseme.storage.catalog import Catalog
from polyseme.storage.database.part_rows import live_parts
from polyseme.storage.errors import ModelError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance import backup, restoring
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.records import Outputs
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.sql.functions import ModelFunctions
from tests.extras import require
from tests.flows.test_cli import polyseme
from tests.flows.test_older_lakes import FORMAT_6

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api"), pytest.mark.extra]

ENGLISH = "The banks lend money. A bank lent him money and he went to the other bank. They go where the others went."
GERMAN = (
    "Die Häuser sind alt. Das Haus ist alt und die Straße ist schmal. Wir gingen in das Haus und nicht in den Garten."
)
JAPANESE = "フェリーは正午前に港を出ました。朝食のあと船長を見た人はなく、海は荒れていました。"


@pytest.fixture(autouse=True)
def _with_dictionaries() -> None:
    require("simplemma", "lemma")


def embed(lake: Lake, folder: Path, texts: dict[str, str], outputs: Outputs) -> RunReport:
    source = folder / "texts.jsonl"
    source.write_text("\n".join(json.dumps({"id": name, "text": text}) for name, text in texts.items()), "utf-8")
    return embed_corpus(
        EmbedRequest(sources=[str(source)], lake=str(lake.root), engine=EngineConfig(device="cpu"), outputs=outputs)
    )


def forms(lake: Lake, lemma: str) -> list[str]:
    with duckdb.connect(str(lake.published_path), read_only=True) as con:
        query = "SELECT word FROM occurrences(?, by_lemma := true) ORDER BY doc_id, sentence_index, word_index"
        return [word for (word,) in con.execute(query, [lemma]).fetchall()]


def lemmas(lake: Lake, doc_id: str) -> dict[str, str | None]:
    with duckdb.connect(str(lake.published_path), read_only=True) as con:
        found = con.execute("SELECT DISTINCT word, lemma FROM words WHERE doc_id = ?", [doc_id]).fetchall()
        return dict(found)


def test_lemmas_are_added_without_the_model_and_kept_from_then_on(tmp_path: Path) -> None:
    lake, texts = Lake(tmp_path / "lake"), {"en": ENGLISH, "de": GERMAN, "ja": JAPANESE}
    embed(lake, tmp_path, texts, Outputs())
    assert set(lemmas(lake, "en").values()) == {None}
    assert forms(lake, "bank") == []

    added = embed(lake, tmp_path, texts, Outputs(lemma=True))
    assert (added.counts.documents, added.counts.forward_tokens) == (3, 0)
    assert forms(lake, "bank") == ["banks", "bank", "bank"]
    assert forms(lake, "go") == ["went", "go", "went"]
    assert forms(lake, "Haus") == ["Häuser", "Haus", "Haus"]
    assert forms(lake, "the bank") == ["The banks"]
    assert lemmas(lake, "de")["ist"] == "sein"
    assert set(lemmas(lake, "ja").values()) == {None}, "no dictionary"

    texts["en"] += " Banks close."
    changed = embed(lake, tmp_path, texts, Outputs())
    assert (changed.tally.changed, changed.tally.unchanged) == (1, 2)
    assert forms(lake, "bank") == ["banks", "bank", "bank", "Banks"]
    with Catalog.open(lake) as catalog:
        assert [m.outcome for m in compact(catalog).merges if m.table == "words"] == ["merged"]
        publish(catalog)
        assert verify(catalog, grace=timedelta(), now=datetime.now(UTC)).findings == ()
    assert forms(lake, "bank") == ["banks", "bank", "bank", "Banks"]


def test_every_look_up_takes_lemmas(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lake = Lake(tmp_path / "lake")
    embed(lake, tmp_path, {"en": ENGLISH, "de": GERMAN}, Outputs(lemma=True))
    with connect(lake, functions=ModelFunctions(device="cpu")) as con:
        assert len(con.execute("FROM senses('bank', by_lemma := true)").fetchall()) == 3
        found = con.execute(
            "SELECT occurrences, other_occurrences FROM drift('bank', ['en'], ['de'], by_lemma := true)"
        )
        assert found.fetchall() == [(3, None)]
        counted = "SELECT word, occurrences FROM polysemy(at_least := 3, by_lemma := {}) WHERE word IN ('bank', 'haus')"
        assert sorted(con.execute(counted.format("true")).fetchall()) == [("bank", 3), ("haus", 3)]
        assert con.execute(counted.format("false")).fetchall() == []
    at = ("--lake", str(lake.root))
    assert "go, sense 1: 3 occurrences" in polyseme(capfd, "senses", "go", "--by-lemma", *at)[1]
    code, _, told = polyseme(capfd, "senses", "went", "--by-lemma", *at)
    assert (code, "'went' is the lemma of no word in the lake. As a word it has the lemma go." in told) == (1, True)
    told = polyseme(capfd, "senses", "nowhere", "--by-lemma", *at)[2]
    assert "'nowhere' is the lemma of no word in the lake." in told


def test_a_search_for_a_word_finds_all_forms_of_its_lemma(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lake = Lake(tmp_path / "lake")
    embed(lake, tmp_path, {"en": ENGLISH}, Outputs(lemma=True))
    at = ("--lake", str(lake.root), "--json")

    def found(text: str, word: str) -> list[str]:
        code, out, err = polyseme(capfd, "search", text, "--word", word, "--by-lemma", *at)
        assert code == 0, err
        return sorted(hit["word"] for hit in json.loads(out))

    assert found("We went there.", "went") == ["go", "went", "went"]
    assert found("They go there.", "go") == ["go", "went", "went"]
    assert found("He lent money to the other banks.", "other banks") == ["other bank"]
    told = polyseme(capfd, "search", "a river", "--word", "river", "--by-lemma", *at[:2])
    assert told == (1, "", "'river' is the lemma of no word in the lake.\n")
    for more in ((), ("--word", "go", "--words")):
        code, _, told = polyseme(capfd, "search", "I go", *more, "--by-lemma", *at)
        assert (code, "--by-lemma finds the forms of one word" in told) == (2, True)


def words(lake: Lake) -> list[tuple[object, ...]]:
    with connect(lake) as con:
        return con.execute("SELECT doc_id, char_start, word, lemma FROM words ORDER BY ALL").fetchall()


def test_many_small_runs_and_a_restored_document_keep_lemmas(tmp_path: Path) -> None:
    lake, texts = Lake(tmp_path / "lake"), dict[str, str]()
    for number in range(5):  # each commit merges the parts of those before
        texts[str(number)] = f"{ENGLISH} {number} banks close."
        embed(lake, tmp_path, texts, Outputs(lemma=number in (0, 1, 3)))
    with Catalog.open(lake) as catalog, catalog.reading() as connection:
        assert len(live_parts(connection, table="words")) < 5
    before = words(lake)
    of_document = {number: {lemma for doc_id, _, _, lemma in before if doc_id == number} for number in texts}
    assert [None in of_document[number] for number in texts] == [False, False, False, False, True]
    gone = texts.pop("3")
    embed(lake, tmp_path, texts, Outputs())
    assert words(lake) == [row for row in before if row[0] != "3"]
    with Catalog.open(lake) as catalog:
        assert restoring.restore(catalog, restoring.deleted_documents(catalog)).documents
        publish(catalog)
    assert words(lake) == before
    assert embed(lake, tmp_path, texts | {"3": gone}, Outputs()).tally.unchanged == 5


def test_a_backup_has_lemmas_and_so_has_the_lake_that_is_brought_back(tmp_path: Path) -> None:
    lake, kept, back = (Lake(tmp_path / name) for name in ("lake", "kept", "back"))
    embed(lake, tmp_path, {"en": ENGLISH, "de": GERMAN}, Outputs(lemma=True))
    with Catalog.open(lake) as catalog:
        backup.backup(catalog, kept)
    backup.restore(kept, back)
    assert words(back) == words(kept) == words(lake)
    assert forms(back, "bank") == ["banks", "bank", "bank"]
    assert embed(back, tmp_path, {"en": ENGLISH + " Banks.", "de": GERMAN}, Outputs()).tally.changed == 1
    assert forms(back, "bank") == ["banks", "bank", "bank", "Banks"]


def test_a_lake_with_lemmas_is_not_encoded_without_their_dictionaries(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, source = tmp_path / "lake", tmp_path / "texts"
    source.mkdir()
    (source / "a.txt").write_text(ENGLISH)
    command = ("embed", source, "--lake", lake)
    assert polyseme(capfd, *command, "--lemma")[0] == 0
    monkeypatch.setitem(sys.modules, "simplemma", None)
    shared_engine.cache_clear()
    assert polyseme(capfd, *command)[0] == 0, "nothing to encode"
    (source / "a.txt").write_text(ENGLISH + " Banks.")
    for more in ((), ("--dry-run",)):
        code, out, told = polyseme(capfd, *command, *more)
        assert (code, out) == (5, "")
        assert "pip install 'polyseme[lemma]'" in told.splitlines()[-1]
    with pytest.raises(ModelError, match="simplemma"):
        embed_corpus(EmbedRequest(sources=[str(source)], lake=str(lake), engine=EngineConfig(device="cpu")))
    with Catalog.open(Lake(lake)) as catalog:
        assert len(list((Lake(lake).data / "words").rglob("*.parquet"))) == 1
        assert [m.outcome for m in compact(catalog).merges if m.table == "words"] in ([], ["merged"])
    code, out, _ = polyseme(capfd, "doctor", "--lake", lake)
    assert code == 1
    (failed,) = (line for line in out.splitlines() if line.startswith("FAIL"))
    assert failed.startswith("FAIL  lemmas: --lemma needs the package simplemma")


def test_parts_of_earlier_formats_have_no_lemmas_until_they_are_asked_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lake = Lake(shutil.copytree(FORMAT_6, tmp_path / "old"))
    embed(lake, tmp_path, {"new": ENGLISH}, Outputs(lemma=True))
    assert forms(lake, "bank") == ["banks", "bank", "bank"]
    with connect(lake) as con:
        assert con.execute("SELECT count(*) > 0 FROM words WHERE lemma IS NULL AND word_lower = 'bank'").fetchone() == (
            True,
        )
    with Catalog.open(lake) as catalog:
        compact(catalog)
        publish(catalog)
        assert verify(catalog, grace=timedelta(), now=datetime.now(UTC)).findings == ()
    assert forms(lake, "bank") == ["banks", "bank", "bank"]
    code, _, _ = polyseme(capfd, "backfill", "--lemma", "--lake", str(lake.root))
    assert code == 0
    assert len(forms(lake, "bank")) > 3


def test_lemmas_without_words_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("A bank.")
    code, _, told = polyseme(
        capfd, "embed", str(tmp_path / "a.txt"), "--lemma", "--level", "sentences", "--lake", str(tmp_path / "lake")
    )
    assert (code, "--lemma is of words" in told) == (2, True)
