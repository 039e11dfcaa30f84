"""`polyseme adapt` and `polyseme evaluate`: from documents to a model and its evaluation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from polyseme.flows.events import ModelAdapted
from polyseme.flows.pictures.picture import can_draw_figures
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.tasks.training.checkpoints import StepLog
from polyseme.tasks.training.objective import ObjectiveConfig
from polyseme.tasks.training.settings import TrainingConfig
from tests.flows.commands.test_run_job import command
from tests.flows.conftest import write_records
from tests.flows.explorer.reading import Reading
from tests.flows.test_cli import polyseme
from tests.tasks.training.training_corpus import documents

SHORT = ObjectiveConfig(max_tokens=48)
LOG = StepLog(step=1, mlm=4.0, nsp=0.7, order=0.6, drift=0.0, sentence_drift=0.1, rate=1e-4, tokens=100, seconds=2.0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_records(tmp_path / "corpus.jsonl", [{"id": d.doc_id, "text": d.text} for d in documents(8)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--steps N or --minutes M"),
        (["--steps", "2", "--held-out", "2"], "--held-out must lie between"),
        (["--steps", "2", "--mask-share", "0"], "--mask-share"),
        (["--steps", "2", "--pairs", "9"], "multiple of 8"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_made(
    capfd: pytest.CaptureFixture[str], source: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    code, _, err = polyseme(capfd, "adapt", source, "--out", tmp_path / "out", *words)
    assert code == 2
    assert message in err
    assert not (tmp_path / "out.training").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["adapt", "nosuch/", "--out", "out", "--steps", "2"], "nosuch/"),
        (["adapt", "notes.txt", "--out", "out"], "--steps N or --minutes M"),
        (["adapt", "notes.txt", "--out", "out", "--steps", "2", "--learning-rate", "7"], "--learning-rate"),
        (["adapt", "notes.txt", "--out", "out", "--steps", "2", "--model", "nosuch"], "nosuch"),
        (["adapt", "notes.txt", "--out", "out", "--steps", "2", "--max-tokens", "9000"], "--max-tokens"),
        (["adapt", "notes.txt", "--out", "out", "--steps", "2", "--freeze-layers", "99"], "--freeze-layers"),
        (["adapt", "notes.txt", "--out", "out", "--steps", "2", "--limit", "-1"], "--limit"),
        (["adapt", "notes.txt", "--out", "notes.txt", "--steps", "2"], "exists already"),
        (["evaluate", "nosuch"], "nosuch"),
        (["evaluate", "polyseme-mini", "nosuch"], "nosuch"),
        (["evaluate", "--data", "nosuch/"], "nosuch/"),
        (["evaluate", "--senses", "notes.txt"], "notes.txt"),
        (["evaluate", "--similarity", "nosuch.jsonl"], "nosuch.jsonl"),
        (["evaluate", "--pairs", "0"], "--pairs"),
        (["evaluate", "--limit", "-1"], "--limit"),
        (["evaluate", "--max-tokens", "2"], "--max-tokens"),
    ],
)
def test_a_mistake_is_told_before_prefect_or_pytorch_is_imported(
    tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "notes.txt").write_text("A note.")
    code, out, err, loaded = command(*words, cwd=tmp_path)
    assert (code in (2, 5), out, loaded) == (True, "", []), err
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api")
def test_from_documents_to_a_model_and_its_figures(
    capfd: pytest.CaptureFixture[str], source: Path, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    emitted: list[ModelAdapted] = []
    monkeypatch.setattr("polyseme.flows.adapt.emit", lambda payload, event_id: emitted.append(payload))
    words = ["adapt", source, "--out", out, "--model", tiny_folder, "--pairs", "8", "--max-tokens", "48", "--json"]
    words += ["--evaluation-pairs", "8", "--license", "CC0"]
    code, stdout, err = polyseme(capfd, *words, "--steps", "2")
    assert code == 0, err
    report = json.loads(stdout)
    assert report["comparison"]["model"]["figures"].keys() == report["comparison"]["start"]["figures"].keys()
    stored = json.loads((out / "evaluation.json").read_text("utf-8"))
    assert report["warnings"] == stored["warnings"]
    (event,) = emitted
    assert (event.fingerprint, event.steps) == (report["fingerprint"], 2)
    assert event.after == {name: value for name, value in report["last"].items() if name != "step"}
    assert "license: cc0" in (out / "README.md").read_text("utf-8")
    assert (report["steps"], report["documents"], report["held_out_documents"]) == (2, 6, 2)
    assert report["first"].keys() == report["last"].keys()
    assert "held-out NSP accuracy" in Reading((out / "training.html").read_text("utf-8")).text
    assert (out / "training.svg").exists() == can_draw_figures()
    code, stdout, _ = polyseme(capfd, *words, "--steps", "3")
    assert (code, json.loads(stdout)["steps"]) == (0, 3)
    assert emitted[1].fingerprint != emitted[0].fingerprint
    few = ["--pairs", "20", "--masked-pairs", "16", "--max-tokens", "48"]
    code, stdout, _ = polyseme(capfd, "evaluate", out, tiny_folder, "--data", source, *few, "--json")
    assert code == 0
    assert [found["model"] for found in json.loads(stdout)] == ["out", tiny_folder.name]
    last = json.loads(stdout)[1]["figures"]
    code, stdout, _ = polyseme(capfd, "evaluate", tiny_folder, "--data", source, *few, "--layers", "last4", "--json")
    last4 = json.loads(stdout)[0]["figures"]
    assert last4["similarity"] != last["similarity"]
    assert last4["mlm_loss"] == last["mlm_loss"]
    code, stdout, _ = polyseme(capfd, "evaluate", out, tiny_folder, "--data", source, *few)
    assert "sentence similarity" in stdout
    assert "MLM top-1" in stdout
    assert "better" in stdout


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api")
def test_every_configured_corpus_gets_a_model_named_for_the_day_and_one_that_fails_does_not_stop_the_others(
    source: Path, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyseme.flows.adapt import adapt_corpora

    (tmp_path / "polyseme.toml").write_text(
        "".join(
            f'[corpus.{name}]\nsources = ["{path}"]\nlake = "lake"\nmodel = {json.dumps(str(tiny_folder))}\n'
            for name, path in (("gone", "nowhere"), ("news", source.name))
        )
    )
    monkeypatch.chdir(tmp_path)
    few = TrainingConfig(steps=1, pairs=8, micro=8)
    with pytest.raises(PolysemeError, match=r"^gone: "):
        adapt_corpora(out="models/{corpus}-%Y", training=few, objective=SHORT, evaluation_pairs=0)
    (model,) = [path for path in (tmp_path / "models").iterdir() if path.suffix != ".training"]
    assert re.fullmatch(r"news-\d{4}", model.name)
    assert f"Started from {tiny_folder.name}" in (model / "README.md").read_text("utf-8")
    with pytest.raises(UsageError, match="2 corpora"):
        adapt_corpora(out="models/one", training=few)


def test_a_loss_of_the_vectors_is_told_in_the_terminal_the_report_and_the_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from polyseme.flows.adapt import AdaptReport, markdown
    from polyseme.flows.commands.adapt import _print

    figures = {"mlm_top1": 0.4, "mlm_loss": 3.0, "nsp_accuracy": 0.9, "nsp_loss": 0.3}
    report = AdaptReport(
        model="m", fingerprint="f", start="s", documents=8, tokens=100, held_out_documents=2, steps=1,
        trained_tokens=10, seconds=1.0, first=figures, last=figures, comparison=None,
        warnings=["sentence similarity fell from 0.753 to 0.556: raise --distill-sentences"],
    )  # fmt: skip
    _print(report)
    warning = "sentence similarity fell from 0.753 to 0.556: raise --distill-sentences."
    assert f"Warning: {warning}" in capsys.readouterr().out
    assert f"**Warning:** {warning}" in markdown(report)
    assert report.to_dict()["warnings"] == report.warnings
