"""How a run ends is recorded, whatever ended it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from polyseme.flows.display.run_summary import show_line, show_summary
from polyseme.flows.runs.backfill_job import BackfillRequest, backfill_job
from polyseme.flows.runs.job import EmbedRequest, Job, embed_job
from polyseme.flows.runs.plan import plan
from polyseme.flows.runs.run import begun
from polyseme.flows.runs.run_report import RunReport, broken, markdown
from polyseme.flows.signals.ending import EndedBySignal, ended_by_signals
from polyseme.storage.records import Counts
from polyseme.storage.sql.connection import connect
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.shards.tally import Tally
from polyseme.tasks.text.sentences import SPLITTER
from polyseme.tasks.text.splitting import punkt
from tests import embedded_lakes


@pytest.fixture
def hearing() -> Iterator[None]:
    """Signals end what this process does, as in a command; afterwards none has arrived."""
    with ended_by_signals():
        yield
    with ended_by_signals():
        pass


@pytest.mark.usefixtures("hearing")
def test_a_run_is_cancelled_by_a_signal_though_a_library_raises_an_error_of_its_own(corpus: Path, lake: Path) -> None:
    def library() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except EndedBySignal as error:
            raise ValueError("of a library") from error

    job = embed_job(EmbedRequest(sources=[str(corpus)], lake=str(lake)))
    with pytest.raises(ValueError, match="of a library"), begun(job):
        library()
    with connect(lake) as con:
        assert con.execute("SELECT state FROM runs").fetchall() == [("cancelled",)]


def test_a_run_records_its_sources_the_same_wherever_they_were_typed(
    corpus: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recorded(*sources: str) -> list[str]:
        return embed_job(EmbedRequest(sources=list(sources), lake=str(lake))).sources

    monkeypatch.chdir(corpus.parent)
    whole = [str(corpus.resolve()), str(corpus.resolve() / "*.txt"), "-"]
    assert recorded(corpus.name, f"{corpus.name}/*.txt", "-") == whole
    monkeypatch.chdir(corpus)
    assert recorded(".", "./*.txt", "-") == whole
    request = BackfillRequest(sources=["."], lake=str(lake))
    assert backfill_job(request).sources == whole[:1]


def test_a_run_keeps_the_splitter_of_the_lakes_encoding_unless_another_is_asked_for(
    corpus: Path, lake: Path, tiny_folder: Path
) -> None:
    config = EngineConfig(model=str(tiny_folder), device="cpu")
    old = replace(config, splitter=punkt.NAME)
    made = embedded_lakes.make(lake, embedded_lakes.documents(), config=old)

    def job(config: EngineConfig) -> Job:
        return embed_job(EmbedRequest(sources=[str(corpus)], lake=str(made.root), engine=config))

    assert not plan(job(config)).is_new_encoding
    assert plan(job(replace(config, splitter=SPLITTER))).is_new_encoding
    with begun(job(config)) as run:
        assert run.engine.spec.splitter == run.job.engine.splitter == punkt.NAME
        assert run.engine.portable_config().splitter == punkt.NAME
        assert len(run.catalog.encodings()) == 1
    with begun(job(replace(config, splitter=SPLITTER))) as run:
        assert run.engine.portable_config().splitter == SPLITTER
        assert len(run.catalog.encodings()) == 2
    assert backfill_job(BackfillRequest(lake=str(made.root), engine=config)).engine.splitter == punkt.NAME


def test_a_report_says_once_that_a_part_is_broken_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    report = RunReport(
        run_id="r", state="completed", lake="/my lakes/n", encoding_id="e", encoding="mini", counts=Counts(),
        tally=Tally(), shards=0, wall_seconds=1.0, broken_parts=("data/words/a.parquet",),
    )  # fmt: skip
    said = "A part of the lake is missing or changed, such as data/words/a.parquet; see what is lost with"
    for show in (show_summary, lambda report: show_line("news", report)):
        show(report)
        assert capsys.readouterr().out.count(f"{said}: polyseme verify --lake '/my lakes/n'\n") == 1
    assert markdown(report).count("**Broken:**") == 1
    assert broken(replace(report, broken_parts=("a", "b"))).startswith("2 parts of the lake are")
    assert broken(replace(report, broken_parts=())) == ""
