"""`polyseme embed --corpus`: the settings of a corpus are its table's, and one corpus does not stop another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyseme.storage.sql.connection import connect
from tests.flows.conftest import write_records
from tests.flows.test_cli import polyseme

TOML = """
lake = "all"

[embed]
text_field = "nowhere"
strict = true

[corpus.news]
sources = ["news/"]
text_field = "body"
level = "sentences"
nsp = false

[corpus.gone]
sources = ["nowhere/"]

[corpus.notes]
sources = ["notes.jsonl"]
lake = "of-notes"
level = "sentences"
nsp = false
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "polyseme.toml").write_text(TOML)
    (tmp_path / "news").mkdir()
    write_records(tmp_path / "news" / "today.jsonl", [{"id": "a", "body": "The bank lent money."}])
    write_records(tmp_path / "notes.jsonl", [{"id": "b", "text": "The ball was out."}, {"id": "c"}])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def documents(lake: Path) -> list[tuple[object, ...]]:
    with connect(lake) as con:
        return con.execute("SELECT doc_id FROM documents ORDER BY doc_id").fetchall()


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api")
class TestEmbedding:
    def test_one_corpus_is_embedded_as_its_table_says(self, capfd: pytest.CaptureFixture[str], here: Path) -> None:
        code, out, err = polyseme(capfd, "embed", "--corpus", "news")
        assert code == 0, err
        assert out.startswith("news: 1 document read: 1 new, ")
        assert len(out.splitlines()) == 1
        assert documents(here / "all") == [("a",)]
        assert not (here / "of-notes").exists()

    def test_all_are_embedded_though_one_fails_and_the_exit_code_is_its(
        self, capfd: pytest.CaptureFixture[str], here: Path
    ) -> None:
        code, out, err = polyseme(capfd, "embed", "--all-corpora", "--json")
        assert code == 2
        assert "corpus gone: source" in err
        records = json.loads(out)
        assert [record["corpus"] for record in records] == ["news", "gone", "notes"]
        assert [record.get("state") for record in records] == ["completed", None, "completed"]
        assert "does not exist" in records[1]["error"]
        assert (documents(here / "all"), documents(here / "of-notes")) == ([("a",)], [("b",)])

        code, _, _ = polyseme(capfd, "embed", "--corpus", "news", "--corpus", "notes")
        assert code == 3, "strict is of the report, and [embed] sets it"

    def test_what_was_held_back_is_confirmed_with_the_command_line(
        self, capfd: pytest.CaptureFixture[str], here: Path
    ) -> None:
        assert polyseme(capfd, "embed", "--corpus", "news")[0] == 0
        (here / "news" / "today.jsonl").unlink()
        assert polyseme(capfd, "embed", "--corpus", "news")[0] == 6
        assert documents(here / "all") == [("a",)]
        assert polyseme(capfd, "embed", "--corpus", "news", "--delete-limit", "100%")[0] == 0
        assert documents(here / "all") == []


def test_a_dry_run_estimates_each(capfd: pytest.CaptureFixture[str], here: Path) -> None:
    code, out, _ = polyseme(capfd, "embed", "--corpus", "news", "--corpus", "notes", "--dry-run", "--json")
    assert code == 0
    assert [(found["corpus"], found["to_encode"], found["refused"]) for found in json.loads(out)] == [
        ("news", 1, 0),
        ("notes", 1, 1),
    ]
    assert not (here / "all").exists()


def test_a_mistake_in_the_table_of_one_corpus_stops_no_other(capfd: pytest.CaptureFixture[str], here: Path) -> None:
    faulty = TOML.replace('sources = ["nowhere/"]', 'sources = ["news/"]\nlevle = "words"')
    (here / "polyseme.toml").write_text(faulty)
    code, out, err = polyseme(capfd, "embed", "--corpus", "notes", "--dry-run", "--json")
    assert (code, err) == (0, "")
    code, out, err = polyseme(capfd, "embed", "--all-corpora", "--dry-run", "--json")
    assert code == 2
    assert "corpus gone: [corpus.gone]: there is no option levle" in err
    found = json.loads(out)
    assert [(one["corpus"], "error" in one) for one in found] == [("news", False), ("gone", True), ("notes", False)]
    assert "Corpora of polyseme.toml: news, gone, notes" in polyseme(capfd, "embed")[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--corpus", "nosuch"], "Configured: news, gone, notes"),
        (["--corpus", "news", "--lake", "other"], "--lake does not go with --corpus"),
        (["--corpus", "news", "--level", "words"], "--level does not go with --corpus"),
        (["news", "--all-corpora"], "A source does not go with --corpus"),
        (["--corpus", "news", "--delete-limit", "lots"], "--delete-limit"),
        ([], "Corpora of polyseme.toml: news, gone, notes; --corpus news embeds one"),
    ],
)
def test_what_does_not_go_together_is_refused(
    capfd: pytest.CaptureFixture[str], here: Path, words: list[str], message: str
) -> None:
    code, _, err = polyseme(capfd, "embed", *words)
    assert code == 2
    assert message in err
