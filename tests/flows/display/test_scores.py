"""Steps are scored by default if the model has a head for it; else the run says so once and does without."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.flows.display.scores import without_missing_scores
from polyseme.storage.errors import ModelError
from polyseme.storage.records import Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from tests.conftest import MakeCheckpoint
from tests.tasks.test_engine_families import saved


def engine(folder: Path) -> Engine:
    return Engine(EngineConfig(model=str(folder), device="cpu"))


def test_a_model_without_the_head_does_without_scores_and_says_so(
    tmp_path: Path, make_checkpoint: MakeCheckpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (saved(tmp_path, "roberta"), make_checkpoint("BertModel")):
        made = engine(folder)
        wanted = without_missing_scores(made, Outputs(), asked=None)
        made.check(wanted)
        assert wanted == Outputs(nsp=False)
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("no NSP head") == 1


def test_who_asks_for_scores_is_told_that_there_is_no_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = engine(saved(tmp_path, "modernbert"))
    wanted = without_missing_scores(made, Outputs(), asked=True)
    assert wanted == Outputs()
    with pytest.raises(ModelError, match="no ModernBERT has one"):
        made.check(wanted)
    assert without_missing_scores(made, Outputs(nsp=False), asked=False) == Outputs(nsp=False)
    assert capsys.readouterr().err == ""


def test_a_model_with_the_head_is_asked_for_scores(tiny: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert without_missing_scores(tiny, Outputs(), asked=None) == Outputs()
    assert capsys.readouterr().err == ""


def test_doctor_names_the_family_and_how_it_is_run(tmp_path: Path) -> None:
    from polyseme.flows.commands.doctor import _model, _nsp

    packed, other = saved(tmp_path / "a", "albert"), saved(tmp_path / "b", "deberta-v2")
    assert "ALBERT, 5 layers, hidden size 36" in _model(str(packed))
    assert "run by transformers itself" in _model(str(other))
    assert "run by transformers itself" not in _model(str(packed))
    assert "no NSP head" in _nsp(str(packed))
