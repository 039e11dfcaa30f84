"""A lake made by an earlier version stays readable, and its texts can be encoded with the present embedded model.

`tests/fixtures/format3` holds two runs of `polyseme embed` over four documents: one document was replaced, one deleted,
one record refused. `tests/fixtures/format6` was written before word keys: one run over seven documents, and one over
another with `--words bank,Mill`.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from polyseme import EmbedRequest, EngineConfig, Lake, ModelFunctions, Outputs, connect, embed_corpus
from polyseme.flows.backfill import BackfillRequest, backfill
from polyseme.flows.runs.run_report import RunReport
from polyseme.storage.catalog import Catalog
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.sql.publish import publish
from polyseme.tasks.engine import Engine
from tests.flows.test_cli import polyseme
from tests.repository import ROOT

REPLACED = r"earlier version of polyseme-mini.* polyseme backfill --model polyseme-mini"
NEAREST = "SELECT text FROM nearest('The meadows were flooded.', k := 1)"

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]


FORMAT_6 = ROOT / "tests" / "fixtures" / "format6"
SPELLINGS = {"İstanbul": 2, "i\u0307stanbul": 2, "ΟΔΟΣ": 2, "οδοσ": 2, "STRASSE": 3, "straße": 3, "cafe\u0301": 2,
             "cooperate": 2, "co\u00adoperate": 2, "Einband": 2, "bank": 3}  # fmt: skip
"""How many occurrences of each the lake of format 6 has."""


@pytest.fixture
def old(tmp_path: Path) -> Lake:
    return Lake(shutil.copytree(ROOT / "tests" / "fixtures" / "format3", tmp_path / "old"))


def rows(lake: Lake, sql: str) -> list[tuple[object, ...]]:
    with connect(lake.root) as con:
        return con.execute(sql).fetchall()


def at(lake: Lake) -> tuple[str, str]:
    return "--lake", str(lake.root)


def test_it_opens_whole_and_says_that_its_model_was_replaced(old: Lake) -> None:
    assert rows(old, "SELECT doc_id, n_sentences FROM documents ORDER BY doc_id") == [
        ("file:///corpus/money.txt", 2),
        ("file:///corpus/river.txt", 4),
        ("j1", 2),
    ]
    assert rows(old, "SELECT count(*) FROM words WHERE word_lower = 'bank'") == [(2,)]
    assert rows(old, "SELECT count(order_margin), count(*) > 0 FROM transitions") == [(0, True)]
    assert rows(old, "SELECT count(n_unknown), count(language) FROM documents") == [(0, 0)]
    assert rows(old, "SELECT splitter LIKE 'nupunkt%', language FROM encodings") == [(True, "en")]
    assert rows(old, "SELECT code FROM rejects") == [("bad-json",)]
    with (
        connect(old.root, functions=ModelFunctions()) as con,
        pytest.raises(duckdb.Error, match=REPLACED),
    ):
        con.execute(NEAREST)
    with Catalog.open(old) as catalog:
        assert verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings == ()


def test_its_texts_are_encoded_with_the_present_model_beside_the_old_vectors(
    old: Lake, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "polyseme backfill --model polyseme-mini --from polyseme_mini " in polyseme(capfd, "status", *at(old))[1]
    request = BackfillRequest(lake=str(old.root), engine=EngineConfig(device="cpu"), name="present")
    assert backfill(request).counts.documents == 3
    assert backfill(request).tally.unchanged == 3
    assert rows(old, "SELECT count(order_margin) FROM transitions") == [(0,)]
    assert "With the present one:\n    polyseme status --default present " in polyseme(capfd, "status", *at(old))[1]
    assert "earlier version" not in polyseme(capfd, "status", "--default", "present", *at(old))[1]
    with connect(old.root, functions=ModelFunctions()) as con:
        assert con.execute(NEAREST).fetchall() == [("The fields were under water for a week.",)]
        assert con.execute("SELECT count(*) = count(order_margin) FROM transitions").fetchall() == [(True,)]


def test_a_run_with_the_present_model_adds_an_encoding_of_its_own(
    old: Lake, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "more.txt").write_text("The heron stood in the reeds.")
    engine = EngineConfig(device="cpu")
    report = embed_corpus(EmbedRequest(sources=[str(tmp_path / "more.txt")], lake=str(old.root), engine=engine))
    assert (report.tally.new, report.tally.deleted) == (1, 0)
    with Catalog.open(old) as catalog:
        assert len(catalog.encodings()) == 2
    assert rows(old, "SELECT count(*) FROM documents") == [(3,)]
    shown = polyseme(capfd, "status", *at(old))[1]
    assert "--default" not in shown, "it would hide three documents"
    assert "polyseme backfill --model polyseme-mini --from polyseme_mini " in shown


class TestWordsInLowerCase:
    """A lake whose words are stored in lower case and not by their key."""

    @pytest.fixture
    def lake(self, tmp_path: Path) -> Lake:
        return Lake(shutil.copytree(FORMAT_6, tmp_path / "old"))

    def embed(self, lake: Lake, source: Path, records: dict[str, str], outputs: Outputs) -> RunReport:
        lines = [json.dumps({"id": doc_id, "text": text}) for doc_id, text in records.items()]
        source.write_text("\n".join(lines), encoding="utf-8")
        return embed_corpus(
            EmbedRequest(sources=[str(source)], lake=str(lake.root), engine=EngineConfig(device="cpu"), outputs=outputs)
        )

    def found(self, lake: Lake) -> dict[str, int]:
        with duckdb.connect(str(lake.published_path), read_only=True) as con:
            return {word: len(con.execute("FROM occurrences(?)", [word]).fetchall()) for word in SPELLINGS}

    def test_every_spelling_is_found_before_and_after_new_documents(self, lake: Lake, tmp_path: Path) -> None:
        assert {word: len(rows(lake, f"FROM occurrences('{word}')")) for word in SPELLINGS} == SPELLINGS
        new = {"new": "The STRAẞE from İstanbul. An ΟΔΟΣ. A cafe\u0301 and a bank. An Ein\u00adband. They cooperate."}
        report = self.embed(lake, tmp_path / "new.jsonl", new, Outputs())
        assert report.tally.new == 1
        assert self.found(lake) == {word: count + 1 for word, count in SPELLINGS.items()}
        of_strasse = "FROM words WHERE word_key(word_lower) = 'strasse'"
        assert rows(lake, f"SELECT count(DISTINCT word_lower) {of_strasse}") == [(2,)]
        ((count,),) = rows(lake, f"SELECT count(*) {of_strasse}")
        said = "SELECT word, occurrences FROM polysemy(at_least := {}) WHERE word IN ('straße', 'strasse')"
        assert rows(lake, said.format(count)) == [("strasse", count)]
        with Catalog.open(lake) as catalog:
            assert [m.outcome for m in compact(catalog).merges if m.table == "words"] == ["merged"]
            publish(catalog)
        assert self.found(lake) == {word: count + 1 for word, count in SPELLINGS.items()}

    def test_documents_with_chosen_words_are_not_encoded_again(
        self, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Engine, "device_kind", "cpu-torch2.13.0-avx2-authenticamd-25-1-1")  # that of the lake
        text = {"chosen": "The bank lent him money. The mill stood by the river."}
        for words in ({"bank", "mill"}, {"bank"}):
            report = self.embed(lake, tmp_path / "chosen.jsonl", text, Outputs("words", frozenset(words)))
            assert (report.tally.unchanged, report.counts.documents) == (1, 0)
        report = self.embed(lake, tmp_path / "chosen.jsonl", text, Outputs("words", frozenset({"river"})))
        assert (report.tally.changed, report.counts.reused_sentences) == (1, 1)
        assert sorted(rows(lake, "SELECT word_lower FROM words WHERE doc_id = 'chosen'")) == [
            ("bank",), ("mill",), ("river",)
        ]  # fmt: skip
