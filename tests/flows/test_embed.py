"""embed_corpus: a lake is brought up to date with its sources, whatever happened before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from polyseme.storage.errors import ModelError, PolysemeError, UsageError
from polyseme.storage.records import Outputs
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model.linear import runs_int8
from polyseme.tasks.shards import stages
from tests.flows.conftest import Ask, write_records
from tests.prefect_server import wait_until

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]

SENTENCES_ONLY = Outputs("sentences", None, False)


def embed(source: Path | str, lake: Path, **options: object):
    from polyseme.flows.embed import EmbedRequest, embed_corpus

    return embed_corpus(EmbedRequest(sources=[str(source)], lake=str(lake), **options))  # type: ignore[arg-type]


def test_a_first_run_embeds_everything_and_a_second_nothing(corpus: Path, lake: Path, ask: Ask) -> None:
    first = embed(corpus, lake)
    assert (first.tally.new, first.counts.documents, first.counts.sentences) == (3, 3, 7)
    assert first.counts.transitions == 4
    assert ask("SELECT count(*), count(DISTINCT doc_id) FROM documents") == [(3, 3)]
    assert ask("SELECT sum(n_tokens) FROM documents") == [(first.counts.tokens,)]
    assert ask("SELECT count(*) FROM words WHERE word_lower = 'bank'") == [(2,)]
    assert ask("SELECT DISTINCT typeof(embedding) FROM sentences") == [("FLOAT[384]",)]

    second = embed(corpus, lake)
    assert (second.tally.unchanged, second.counts.documents, second.shards) == (3, 0, 0)
    assert ask("SELECT count(*) FROM runs WHERE state = 'completed'") == [(2,)]


@pytest.mark.skipif(not runs_int8(torch.device("cpu")), reason="int8 runs on x86 CPUs")
def test_an_int8_encoding_carries_what_it_loses_against_fp32(corpus: Path, lake: Path, ask: Ask) -> None:
    embed(corpus, lake, outputs=SENTENCES_ONLY, engine=EngineConfig(device="cpu", precision="int8"))
    ((precision, cosine, least, recall),) = ask(
        "SELECT precision, token_cosine, least_token_cosine, recall_at_10 FROM encodings"
    )
    assert precision == "int8"
    assert 0.98 < least < cosine < 1  # type: ignore[operator]
    assert 0.9 <= recall <= 1  # type: ignore[operator]


def test_only_a_changed_document_is_embedded_again_and_replaces_its_old_version(
    corpus: Path, lake: Path, ask: Ask
) -> None:
    embed(corpus, lake, outputs=SENTENCES_ONLY)
    (corpus / "money.txt").write_text("The bank closed. Its money was gone. So was he.", encoding="utf-8")
    report = embed(corpus, lake, outputs=SENTENCES_ONLY)
    assert (report.tally.changed, report.tally.unchanged, report.counts.documents) == (1, 2, 1)
    assert ask("SELECT count(*) FROM sentences WHERE doc_id LIKE '%money.txt'") == [(3,)]
    assert ask("SELECT count(*) FROM documents") == [(3,)]


def test_a_deleted_document_disappears_unless_missing_ones_are_kept(corpus: Path, lake: Path, ask: Ask) -> None:
    embed(corpus, lake, outputs=SENTENCES_ONLY)
    (corpus / "tennis.txt").unlink()
    assert embed(corpus, lake, outputs=SENTENCES_ONLY, delete=False).tally.deleted == 0
    assert embed(corpus, lake, outputs=SENTENCES_ONLY, limit=1).tally.deleted == 0
    assert ask("SELECT count(*) FROM documents") == [(3,)]
    assert embed(corpus, lake, outputs=SENTENCES_ONLY).tally.deleted == 1
    assert ask("SELECT count(*) FROM sentences WHERE doc_id LIKE '%tennis.txt'") == [(0,)]


def test_one_source_never_deletes_what_came_from_another(corpus: Path, lake: Path, ask: Ask, tmp_path: Path) -> None:
    other = write_records(tmp_path / "more.jsonl", [{"id": "x", "text": "A document from elsewhere."}])
    embed(corpus, lake, outputs=SENTENCES_ONLY)
    embed(other, lake, outputs=SENTENCES_ONLY)
    assert ask("SELECT count(*) FROM documents") == [(4,)]


def test_asking_for_more_outputs_encodes_again_and_asking_for_fewer_does_not(
    corpus: Path, lake: Path, ask: Ask
) -> None:
    embed(corpus, lake, outputs=SENTENCES_ONLY)
    assert embed(corpus, lake, outputs=Outputs("words", frozenset({"bank"}), False)).tally.changed == 3
    assert ask("SELECT word_lower, count(*) FROM words GROUP BY ALL") == [("bank", 2)]
    assert embed(corpus, lake, outputs=SENTENCES_ONLY).tally.unchanged == 3
    embed(corpus, lake, outputs=Outputs("words", frozenset({"court"}), False))
    assert ask("SELECT word_lower, count(*) FROM words GROUP BY ALL ORDER BY 1") == [("bank", 2), ("court", 1)]


def test_bad_records_become_rejects_and_good_ones_are_never_lost(lake: Path, ask: Ask, tmp_path: Path) -> None:
    source = tmp_path / "mixed.jsonl"
    source.write_bytes(
        b'{"id": "a", "text": "The first good one."}\n[1, 2]\n{"id": "b", "text": null}\n{"id": "c"}\n'
        b'{"id": "a", "text": "The same id again."}\nnot json\n{"id": "e", "text": "bad \xff byte"}\n'
        b'{"id": "f", "text": "The last good one."}\n'
    )
    report = embed(source, lake, outputs=SENTENCES_ONLY)
    assert report.tally.rejected == 6
    assert ask("SELECT doc_id FROM documents ORDER BY 1") == [("a",), ("f",)]
    codes = ["not-an-object", "empty-text", "missing-field", "duplicate-id", "bad-json", "invalid-utf8"]
    assert ask("SELECT locator, code FROM rejects ORDER BY locator") == [
        (f"line {i}", code) for i, code in enumerate(codes, 2)
    ]
    embed(source, lake, outputs=SENTENCES_ONLY)
    assert ask("SELECT count(*) FROM rejects") == [(6,)]


def test_a_document_that_is_refused_later_keeps_its_last_good_version(lake: Path, ask: Ask, tmp_path: Path) -> None:
    source = write_records(tmp_path / "one.jsonl", [{"id": "a", "text": "It was good once."}])
    embed(source, lake, outputs=SENTENCES_ONLY)
    write_records(source, [{"id": "a", "text": None}, {"id": "b", "text": "Another one."}])
    embed(source, lake, outputs=SENTENCES_ONLY)
    assert ask("SELECT doc_id FROM documents ORDER BY 1") == [("a",), ("b",)]


def test_several_shards_give_the_same_rows_as_one(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import duckdb

    embed(corpus, tmp_path / "one")
    monkeypatch.setattr("polyseme.tasks.shards.staging.SHARD_CHARS", 1)
    assert embed(corpus, tmp_path / "three").shards == 3
    query = "SELECT doc_id, sentence_index, text, embedding FROM sentences ORDER BY ALL"
    rows = []
    for name in ("one", "three"):
        with duckdb.connect(str(tmp_path / name / "catalog.duckdb"), read_only=True) as con:
            rows.append(con.execute(query).fetchall())
    assert rows[0] == rows[1]


def test_a_shard_that_cannot_be_written_fails_the_run_and_the_next_run_does_the_rest(
    corpus: Path, lake: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyseme.tasks.shards.staging.SHARD_CHARS", 1)
    write = stages.write_part

    def refuse_the_second(where, rows, **about):
        if any("river" in doc_id for doc_id in rows["doc_id"].to_pylist()):
            raise PolysemeError("no room left on the disk")
        return write(where, rows, **about)

    with monkeypatch.context() as broken:
        broken.setattr(stages, "write_part", refuse_the_second)
        with pytest.raises(PolysemeError, match=r"1 of 3 shards failed.*no room left"):
            embed(corpus, lake, outputs=SENTENCES_ONLY)
    assert ask("SELECT count(*) FROM documents") == [(2,)]
    assert ask("SELECT state FROM runs") == [("failed",)]
    assert embed(corpus, lake, outputs=SENTENCES_ONLY).counts.documents == 1
    assert ask("SELECT count(*) FROM documents") == [(3,)]


def test_nothing_is_left_in_staging(corpus: Path, lake: Path) -> None:
    embed(corpus, lake, outputs=SENTENCES_ONLY)
    assert list((lake / "staging").iterdir()) == []


def test_an_unusable_model_stops_the_run_and_is_recorded(corpus: Path, lake: Path) -> None:
    with pytest.raises(ModelError, match="No checkpoint at"):
        embed(corpus, lake, engine=EngineConfig(model=str(corpus / "missing")))


def test_a_request_without_sources_is_refused() -> None:
    from polyseme.flows.embed import EmbedRequest

    with pytest.raises(UsageError, match="Nothing to embed"):
        EmbedRequest(sources=[])


def test_the_run_leaves_its_summary_as_an_artifact(corpus: Path, lake: Path) -> None:
    from prefect.artifacts import Artifact

    report = embed(corpus, lake, outputs=SENTENCES_ONLY)
    summary = Artifact.get("embed-summary")
    assert summary is not None
    assert f"Run {report.run_id}: completed" in str(summary.data)


def test_a_run_reports_where_its_time_went_in_its_summary_and_in_sql(corpus: Path, lake: Path, ask: Ask) -> None:
    from polyseme.flows.runs.run_report import markdown

    report = embed(corpus, lake)
    stages_of_a_run = {"read", "tokenize", "wait", "encode", "nsp", "pool", "write"}
    assert stages_of_a_run <= report.counts.seconds.keys()
    assert all(f"| {stage} | " in markdown(report) for stage in stages_of_a_run)
    [(encode, forward, tokens)] = ask("SELECT (seconds->>'encode')::DOUBLE, forward_tokens, tokens FROM runs")
    assert encode == report.counts.seconds["encode"]
    assert (forward, tokens) == (report.counts.forward_tokens, report.counts.tokens)
    [(busy, wall)] = ask("SELECT lane_busy, wall_seconds FROM runs")
    assert busy == pytest.approx((report.counts.seconds["encode"] + report.counts.seconds["nsp"]) / wall)
    assert 0 < report.to_dict()["lane_busy"] <= 1
    assert f"The model was at work {report.lane_busy:.0%} of the time" in markdown(report)
    assert f"{forward / tokens:.2f} tokens run through the model for each one read" in markdown(report)


def test_a_completed_run_materializes_its_lake_with_its_sources_upstream(corpus: Path, lake: Path) -> None:
    from prefect.client.orchestration import get_client

    report = embed(corpus, lake, outputs=SENTENCES_ONLY)
    wanted = {
        "event": {"name": ["prefect.asset.materialization.succeeded"]},
        "resource": {"id": [f"file://{lake}/catalog.duckdb"]},
    }
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        answer = get_client(sync_client=True).request("POST", "/events/filter", json={"filter": wanted})
        found[:] = answer.json()["events"]
        return bool(found)

    wait_until(arrived, "the asset's event is stored")
    assert found[0]["payload"]["run_id"] == report.run_id
    assert f"file://{corpus}" in [related["prefect.resource.id"] for related in found[0]["related"]]
