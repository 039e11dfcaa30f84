"""A lake from before checkpoints' own settings were heeded is not encoded again by surprise."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace

import pytest

from polyseme.flows.runs.continued import continued
from polyseme.storage.database.encodings import Encoding
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.engine_config import EngineConfig
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


def made(config: EngineConfig, encodings: Sequence[Encoding], *, name: str | None = None) -> str:
    """Return the id of the encoding that a run makes in a lake which has these."""
    return shared_engine(continued(config, encodings, default=None, name=name)).spec.encoding_id


def test_the_only_encoding_of_the_model_goes_on(config: EngineConfig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        only = encoding(former(config), splitter="lines/1")
        assert made(config, [only]) == only.encoding_id
    assert "polyseme backfill --model" in caplog.text
    assert "--pooling cls" in caplog.text


def test_what_is_asked_for_begins_another_encoding(config: EngineConfig) -> None:
    asked = replace(config, pooling="cls")
    assert made(asked, [encoding(former(config))]) == encoding(asked).encoding_id


def test_what_nobody_would_expect_of_an_encoding_is_told(
    config: EngineConfig, caplog: pytest.LogCaptureFixture
) -> None:
    verse = encoding(config, splitter="lines/1", language="de")
    with caplog.at_level(logging.WARNING):
        assert made(config, [verse]) == verse.encoding_id
    assert "keeps the splitter lines/1 and the language de for every text" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert made(replace(config, splitter="lines", language="de"), [verse]) == verse.encoding_id
        assert made(config, [encoding(config)]) == encoding(config).encoding_id
    assert "keeps" not in caplog.text


def test_a_new_lake_heeds_the_checkpoint(config: EngineConfig) -> None:
    own = encoding(config).encoding_id
    assert made(config, []) == own
    assert made(config, [encoding(former(config), model_sha256="another")]) == own


def test_a_lake_that_has_the_own_encoding_goes_on_with_it(config: EngineConfig) -> None:
    own = encoding(config, "own")
    assert made(config, [own]) == own.encoding_id
    assert made(config, [encoding(former(config)), own]) == own.encoding_id
    assert made(config, [encoding(former(config))], name="new") == own.encoding_id


def test_a_checkpoint_that_says_nothing_changes_nothing(make_checkpoint: MakeCheckpoint) -> None:
    plain = EngineConfig(model=str(make_checkpoint()), device="cpu")
    assert made(plain, [encoding(plain)]) == encoding(plain).encoding_id


def test_an_encoding_keeps_its_words(make_checkpoint: MakeCheckpoint) -> None:
    plain = EngineConfig(model=str(make_checkpoint()), device="cpu")
    earlier = encoding(replace(plain, word_definition="tokenizer"), splitter="lines/1")
    new = encoding(plain, "new")
    assert made(plain, [earlier]) == earlier.encoding_id
    assert made(plain, [earlier, new]) == new.encoding_id
    assert made(plain, [earlier], name="new") == new.encoding_id


def test_an_encoding_keeps_what_it_takes_of_markdown(make_checkpoint: MakeCheckpoint) -> None:
    plain = EngineConfig(model=str(make_checkpoint()), device="cpu")
    whole = encoding(replace(plain, markdown="all"))
    assert whole.spec.stated().keys() == replace(whole.spec, splitter="lines/1").stated().keys()
    assert "markdown" not in whole.spec.stated(), "its id is that of earlier releases"
    assert encoding(plain).spec.markdown == "prose"
    assert made(plain, [whole]) == whole.encoding_id
    assert made(replace(plain, splitter="rules/1"), [whole]) == whole.encoding_id
    assert made(replace(plain, markdown="prose"), [whole]) == encoding(plain).encoding_id
    assert made(plain, [whole], name="new") == encoding(plain).encoding_id
    assert made(plain, [encoding(plain)]) == encoding(plain).encoding_id


def test_an_encoding_keeps_whether_it_joins_words(make_checkpoint: MakeCheckpoint) -> None:
    plain = EngineConfig(model=str(make_checkpoint()), device="cpu")
    joined = encoding(replace(plain, join_hyphens=True))
    assert joined.encoding_id != encoding(plain).encoding_id
    assert made(plain, [joined]) == joined.encoding_id
    assert made(replace(plain, join_hyphens=False), [joined]) == encoding(plain).encoding_id
    assert made(replace(plain, splitter="rules/1"), [joined]) == joined.encoding_id
