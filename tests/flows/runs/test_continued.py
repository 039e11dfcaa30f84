"""A lake from before checkpoints' own settings were heeded is not encoded again by surprise."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace

import pytest

from polyseme.flows.runs.continued import continued
from polyseme.storage.database.encodings import Encoding
from polyseme.tasks.engine import EngineConfig, shared_engine
from tests.conftest import MakeCheckpoint

AT = "2026-11-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def config(make_checkpoint: MakeCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> EngineConfig:
    """A checkpoint that pools by cls."""
    folder = shutil.copytree(make_checkpoint(), tmp_path_factory.mktemp("own") / "checkpoint")
    modules = [{"path": "", "type": "a.Transformer"}, {"path": "1_Pooling", "type": "a.Pooling"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    return EngineConfig(model=str(folder), device="cpu")


def encoding(config: EngineConfig, name: str = "e", **changes: object) -> Encoding:
    spec = replace(shared_engine(config).spec, **changes)  # type: ignore[arg-type]
    return Encoding(encoding_id=spec.encoding_id, name=name, spec=spec, created_at=AT)


def former(config: EngineConfig) -> EngineConfig:
    return replace(
        config, pooling="mean", normalize=False, dense=False, prompt="", query_prompt="", max_tokens=64,
        word_definition="tokenizer",
    )  # fmt: skip


def test_the_only_encoding_of_the_model_goes_on(config: EngineConfig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert continued(config, [encoding(former(config), splitter="an older one")], default=None) == former(config)
    assert "polyseme backfill --model" in caplog.text
    assert "--pooling cls" in caplog.text


def test_what_is_asked_for_begins_another_encoding(config: EngineConfig) -> None:
    asked = replace(config, pooling="cls")
    assert continued(asked, [encoding(former(config))], default=None) == asked


def test_a_new_lake_heeds_the_checkpoint(config: EngineConfig) -> None:
    assert continued(config, [], default=None) == config
    assert continued(config, [encoding(former(config), model_sha256="another")], default=None) == config


def test_a_lake_that_has_the_own_encoding_goes_on_with_it(config: EngineConfig) -> None:
    assert continued(config, [encoding(config)], default=None) == config
    assert continued(config, [encoding(former(config)), encoding(config, "own")], default=None) == config
    assert continued(config, [encoding(former(config))], default=None, name="new") == config


def test_a_checkpoint_that_says_nothing_changes_nothing(make_checkpoint: MakeCheckpoint) -> None:
    plain = EngineConfig(model=str(make_checkpoint()), device="cpu")
    assert continued(plain, [encoding(plain)], default=None) == plain


def test_an_encoding_keeps_its_words(make_checkpoint: MakeCheckpoint) -> None:
    plain = EngineConfig(model=str(make_checkpoint()), device="cpu")
    earlier = replace(plain, word_definition="tokenizer")
    assert continued(plain, [encoding(earlier, splitter="an older one")], default=None) == earlier
    assert continued(plain, [encoding(earlier), encoding(plain, "new")], default=None) == plain
    assert continued(plain, [encoding(earlier)], default=None, name="new") == plain
