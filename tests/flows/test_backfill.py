"""Backfill: a lake's documents in another encoding, beside the first, by the real command and a real Prefect API."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from polyseme.flows.cli import main
from polyseme.flows.commands.backfill import outputs_wanted
from polyseme.flows.commands.options.outputs import PartialOutputOptions
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import Outputs
from polyseme.storage.sql.connection import connect
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.shards import stages
from tests import embedded_lakes
from tests.flows.conftest import Ask

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]

EVERYTHING = ("documents", "sentences", "words", "transitions")


@pytest.fixture
def made(lake: Path, tiny_folder: Path) -> Lake:
    """Six documents in the encoding `tiny`, of 48 dimensions."""
    return embedded_lakes.make(
        lake, embedded_lakes.documents(), config=EngineConfig(model=str(tiny_folder), device="cpu")
    )


def polyseme(capfd: pytest.CaptureFixture[str], made: Lake, *words: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main([*(str(word) for word in words), "--lake", str(made.root)])
    out, err = capfd.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


def contents(made: Lake, suffix: str = "") -> dict[str, list[tuple[object, ...]]]:
    """Every row that anybody sees, vectors included, but not which run made it and when."""
    with connect(made.root, functions=lambda *_: None) as con:
        return {
            view: con.execute(
                f"SELECT * EXCLUDE (version, ingested_at) FROM {view}{suffix} ORDER BY ALL"
                if view == "documents"
                else f"FROM {view}{suffix} WHERE kind = 'adjacent' ORDER BY ALL"
                if view == "transitions"
                else f"FROM {view}{suffix} ORDER BY ALL"
            ).fetchall()
            for view in EVERYTHING
        }


def test_a_second_encoding_grows_beside_the_first_by_predicate_then_by_what_is_missing(
    capfd: pytest.CaptureFixture[str], made: Lake, foreign_folder: Path, ask: Ask
) -> None:
    first = contents(made)
    water = ["--where", "doc_id IN ('river', 'canal') AND text LIKE '%bank%'"]
    cpu = ["--model", foreign_folder, "--device", "cpu"]
    new = ["backfill", "--model", foreign_folder, "--name", "foreign", "--device", "cpu", "--json"]

    code, out, _ = polyseme(capfd, made, *new, *water, "--dry-run")
    estimate = json.loads(out)
    assert (code, estimate["documents"], estimate["to_encode"]) == (0, 2, 2)
    assert min(estimate["tokens"], estimate["bytes"], estimate["seconds"], estimate["tokens_per_second"]) > 0
    with Catalog.open(made) as catalog:
        assert len(catalog.encodings()) == 1

    code, out, err = polyseme(capfd, made, *new, *water)
    assert code == 0, err
    assert json.loads(out)["counts"]["documents"] == 2
    addresses = ["--where", "uri LIKE 'file:///%' AND doc_id IN ('river', 'canal')" + " AND true" * 50]
    assert polyseme(capfd, made, "backfill", "--encoding", "foreign", *cpu, *addresses)[0] == 0
    status = json.loads(polyseme(capfd, made, "status", "--json")[1])["encodings"]
    assert {e["name"]: (e["documents"], e["missing"], e["default"]) for e in status}["foreign"] == (2, 4, False)
    assert "polyseme backfill --encoding foreign" in polyseme(capfd, made, "status")[1]

    code, out, err = polyseme(capfd, made, "backfill", "--encoding", "foreign", *cpu, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert (report["tally"]["unchanged"], report["counts"]["documents"]) == (2, 4)

    # Never mixed: each encoding has its views, and what compares one with the other does not even bind.
    assert contents(made) == first
    assert ask("SELECT DISTINCT typeof(embedding) FROM sentences") == [("FLOAT[48]",)]
    assert ask("SELECT DISTINCT typeof(embedding) FROM sentences_foreign") == [("FLOAT[30]",)]
    with pytest.raises(duckdb.BinderException):
        ask("SELECT array_cosine_distance(a.embedding, b.embedding) FROM sentences a, sentences_foreign b")
    with pytest.raises(duckdb.Error):
        ask("SELECT array_distance(x.embedding, x.embedding) FROM (FROM sentences UNION ALL FROM sentences_foreign) x")

    assert polyseme(capfd, made, "status", "--default", "foreign")[0] == 0
    assert ask("SELECT DISTINCT typeof(embedding) FROM sentences") == [("FLOAT[30]",)]
    assert ask("SELECT count(*) FROM documents") == [(6,)]


def test_a_name_alone_begins_an_encoding_like_the_default_one_but_for_what_is_given(
    capfd: pytest.CaptureFixture[str], made: Lake, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_folder.parent)  # its checkpoint is stored by name
    code, _, err = polyseme(capfd, made, "backfill", "--context", "window", "--device", "cpu")
    assert code == 2
    assert "Begin one with --name" in err
    code, _, err = polyseme(capfd, made, "backfill", "--name", "other", "--device", "cpu")
    assert code == 2
    assert "is named" in err, "it would be the same encoding"
    words = ("backfill", "--name", "windowed", "--context", "window", "--device", "cpu", "--limit", "2", "--json")
    code, out, err = polyseme(capfd, made, *words)
    assert code == 0, err
    assert json.loads(out)["encoding"] == "windowed"
    first, second = (e.spec for e in Catalog.open(made).snapshot().encodings)
    assert replace(second, context="sentence", scheme=first.scheme) == first


def test_options_that_make_no_sense_are_refused_before_anything_runs(
    capfd: pytest.CaptureFixture[str], made: Lake, tiny_folder: Path, corpus: Path
) -> None:
    for words, message in (
        (["--where", "true) UNION SELECT 1 WHERE (true", "--dry-run"], "--where"),
        (["--where", "(SELECT content FROM read_text('/etc/hostname')) IS NULL", "--dry-run"], "--where"),
        (["--where", "no_such_column > 1", "--dry-run"], "no_such_column"),
        (["--where", "no_such_column > 1"], "no_such_column"),
        (["--since", "yesterday"], "--since"),
        (["--encoding", "no_such"], "no_such"),
        (["--from", "no'such"], "no'such"),
        (["--name", 'x"; DROP'], "name"),
        ([corpus, "--where", "true"], "Give one kind"),
        (["--exclude", "build/"], "choose among the files of SOURCE"),
        (["https://ann:s3cret@host.example/a.txt"], "password"),
    ):
        code, out, err = polyseme(capfd, made, "backfill", "--model", tiny_folder, "--device", "cpu", *words)
        assert (code, out) == (2, ""), err
        assert message in err
        assert "s3cret" not in err
    assert json.loads(polyseme(capfd, made, "status", "--json")[1])["runs"][0]["run_id"] == "run"


def test_retrying_tasks_flows_and_backfills_any_number_of_times_changes_nothing(
    corpus: Path, lake: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyseme.flows.backfill import BackfillRequest, backfill
    from polyseme.flows.embed import EmbedRequest, embed_corpus

    engine, made = EngineConfig(model=str(tiny_folder), device="cpu"), Lake(lake)
    failures = {"encode_shard": 1, "commit_shard": 2}

    def failing(name: str, real: object) -> object:
        def work(*args: object, **named: object) -> object:
            done = real(*args, **named)  # type: ignore[operator]
            if failures[name]:
                # All of the work is done and its answer is lost: the worst moment to fail.
                failures[name] -= 1
                raise OSError("the answer was lost")
            return done

        return work

    for name in failures:
        monkeypatch.setattr(stages, name, failing(name, getattr(stages, name)))
    embed = EmbedRequest(sources=[str(corpus)], lake=str(lake), engine=engine)
    assert embed_corpus(embed).counts.documents == 3
    assert failures == {"encode_shard": 0, "commit_shard": 0}
    first = contents(made)
    with Catalog.open(made) as catalog:
        parts = catalog.snapshot().parts
    again = BackfillRequest(lake=str(lake), engine=engine, outputs=embed.outputs)
    for _ in range(2):
        assert embed_corpus(embed).counts.documents == 0
        assert backfill(again).counts.documents == 0
    assert contents(made) == first
    with Catalog.open(made) as catalog:
        assert catalog.snapshot().parts == parts
        assert catalog.snapshot().superseded.num_rows == 0


def test_settings_of_another_encoding_are_not_silently_left_out(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    code, _, err = polyseme(capfd, made, "backfill", "--max-tokens", "32")
    assert code == 2
    assert "--max-tokens makes another encoding than" in err


@pytest.mark.parametrize(
    ("given", "outputs"),
    [
        ({}, Outputs("sentences", None, nsp=False)),
        ({"nsp": True}, Outputs("sentences", None, nsp=True)),
        ({"level": "tokens"}, Outputs("tokens", None, nsp=False)),
        ({"words": "Bank,court"}, Outputs("words", frozenset({"bank", "court"}), nsp=False)),
        ({"pll": True, "pll_variant": "original"}, Outputs("sentences", None, nsp=False, pll="original")),
    ],
)
def test_outputs_that_are_left_open_stay_as_the_documents_have_them(
    lake: Path, tiny_folder: Path, given: dict[str, Any], outputs: Outputs
) -> None:
    lean = Outputs("sentences", None, nsp=False)
    config = EngineConfig(model=str(tiny_folder), device="cpu")
    made = embedded_lakes.make(lake, embedded_lakes.documents()[:1], config=config, outputs=lean)
    with Catalog.open(made) as catalog:
        (encoding,) = catalog.encodings()
    options = PartialOutputOptions(**given)
    assert outputs_wanted(made, encoding, options) == outputs
    assert outputs_wanted(made, None, options) == outputs
