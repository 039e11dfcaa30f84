"""The model of a lake's vectors is found again or named in an error, never replaced by another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from polyseme.storage.errors import ModelError
from polyseme.tasks.engine import Engine
from polyseme.tasks.inference.lake_model import by_earlier_version, engine_for


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
