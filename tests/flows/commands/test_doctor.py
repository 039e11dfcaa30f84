"""`doctor` says each thing once, and what is said of a model that cannot run is ours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from polyseme.flows.commands.doctor import _model
from polyseme.storage.errors import ModelError
from polyseme.storage.records import Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model.checkpoint import embedded_folder
from tests.flows.test_cli import polyseme


@pytest.fixture
def own_code(tmp_path: Path) -> Path:
    """A checkpoint whose configuration names code of its own."""
    folder = Path(shutil.copytree(embedded_folder(), tmp_path / "own"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    code = {"model_type": "new_encoder", "auto_map": {"AutoModel": "modeling.NewModel"}}
    (folder / "config.json").write_text(json.dumps(config | code), "utf-8")
    return folder


def test_a_model_that_does_not_run_is_one_failure(own_code: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = polyseme(capfd, "doctor", "--model", own_code, "--lake", own_code.parent / "lake")
    assert (code, err) == (1, "")
    failed = [line for line in out.splitlines() if line.startswith("FAIL")]
    assert [line.split(":")[0] for line in failed] == ["FAIL  model", "FAIL  next sentence"]
    assert "code of its own (auto_map), which Polyseme never runs" in failed[0]
    assert failed[1] == "FAIL  next sentence: not tried, because the model does not run"


def test_a_model_says_how_many_layers_it_has_and_which_of_them_last_is(tiny_folder: Path) -> None:
    assert "polyseme-mini: BERT, 8 layers, vectors from layer 6, hidden size 384" in _model("polyseme-mini")
    assert "BERT, 5 layers, hidden size 48" in _model(str(tiny_folder))


def test_transformers_says_nothing_of_a_model_with_code_of_its_own(
    own_code: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match="code of its own"):
        Engine(EngineConfig(model=str(own_code), device="cpu")).check(Outputs(nsp=False))
    assert capfd.readouterr() == ("", "")


def test_lemmas_are_a_line_of_their_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = polyseme(capfd, "doctor", "--lake", tmp_path / "lake", "--json")
    found = {check["check"]: check for check in json.loads(out)}
    assert code == 0
    assert found["lemmas"]["detail"].startswith(("simplemma ", "no dictionaries (extra lemma)"))
