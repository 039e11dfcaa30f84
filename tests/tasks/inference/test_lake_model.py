"""The model of a lake's vectors is found again or named in an error, never replaced by another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from polyseme.storage.database.encodings import Encoding
from polyseme.storage.errors import ModelError
from polyseme.storage.records import EncodingSpec
from polyseme.tasks.engine import Engine, shared_engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference.lake_model import as_the_lake, by_earlier_version, engine_for
from polyseme.tasks.text.sentences import SPLITTER
from polyseme.tasks.text.splitting import punkt


def test_the_engine_of_an_encoding_has_its_settings(mini: Engine) -> None:
    found = engine_for(replace(mini.spec, layers="last4"), device="cpu")
    assert (found.checkpoint.sha256, found.config.layers) == (mini.checkpoint.sha256, "last4")
    assert not by_earlier_version(mini.spec)


def test_another_model_is_refused_and_the_right_one_named(mini: Engine, tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"is not the model of this lake's vectors.* Its label was 'polyseme-mini'"):
        engine_for(mini.spec, model=str(tiny_folder), device="cpu")


def test_an_encoding_of_an_earlier_embedded_model_is_refused_with_the_way_to_the_present_one(mini: Engine) -> None:
    earlier = replace(mini.spec, model_sha256="0" * 64)
    assert by_earlier_version(earlier)
    with pytest.raises(ModelError, match=r"earlier version of polyseme-mini.* polyseme backfill --model polyseme-mini"):
        engine_for(earlier, device="cpu")


def registered(name: str, spec: EncodingSpec) -> Encoding:
    return Encoding(encoding_id=spec.encoding_id, name=name, spec=spec, created_at="2026-11-01T00:00:00")


def test_an_encoding_keeps_its_splitter_and_a_new_one_has_the_best() -> None:
    config = EngineConfig(device="cpu")
    best = shared_engine(config).spec
    old = registered("old", replace(best, splitter=punkt.NAME))
    other = registered("other", replace(best, splitter=punkt.NAME, layers="last4"))
    new = registered("new", best)

    def chosen(*known: Encoding, default: Encoding, name: str | None = None, config: EngineConfig = config) -> str:
        found = as_the_lake(config, known, default=default.encoding_id, name=name)
        return shared_engine(found).spec.splitter

    assert best.splitter == SPLITTER != punkt.NAME
    assert as_the_lake(config, [], default=None) is config
    assert chosen(old, default=old) == punkt.NAME
    assert shared_engine(as_the_lake(config, [old], default=old.encoding_id)).spec.encoding_id == old.encoding_id
    assert chosen(other, default=other) == SPLITTER
    assert chosen(old, new, default=old) == punkt.NAME
    assert chosen(old, new, default=new) == SPLITTER
    assert chosen(old, new, default=other) == SPLITTER
    assert chosen(old, new, default=new, name="old") == punkt.NAME
    assert chosen(old, default=old, name="better") == SPLITTER
    assert chosen(old, default=old, config=replace(config, splitter=SPLITTER)) == SPLITTER
    assert chosen(old, default=old, config=replace(config, language="de")) == SPLITTER
