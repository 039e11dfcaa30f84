"""Options of an encoding: each of them reaches the engine, and what is left open is as the lake has it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from polyseme.flows.commands.backfill import _like, _stored_otherwise
from polyseme.flows.commands.options.encoding import SETTINGS, EncodingOptions, PartialEncodingOptions
from polyseme.flows.runs.continued import continued
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.errors import UsageError
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.text.splitting import punkt

OTHER: dict[str, Any] = {
    "precision": "int8", "context": "window", "layers": "mean:3-6", "pooling": "max", "normalize": True,
    "dense": False, "prompt": "passage: ", "query_prompt": "query: ", "max_tokens": 64, "language": "de",
    "splitter": "lines", "markdown": "all", "join_hyphens": True, "store": "int8",
}  # fmt: skip


def test_every_option_has_a_value_here() -> None:
    named = {field.name for field in fields(PartialEncodingOptions)} - {"model", "device"}
    assert named == set(OTHER) == {*SETTINGS, "splitter"}


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("options", [EncodingOptions, PartialEncodingOptions])
def test_each_option_reaches_the_engine(options: type[PartialEncodingOptions], name: str) -> None:
    config = options(**{name: OTHER[name]}).config()
    assert getattr(config, name) == {"splitter": "lines/1"}.get(name, OTHER[name])
    assert replace(config, **{name: getattr(options().config(), name)}) == options().config()


def test_a_language_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="A language is a code"):
        EncodingOptions(language="German").config()


@pytest.mark.parametrize("options", [EncodingOptions, PartialEncodingOptions])
def test_layers_reach_the_engine_in_one_spelling(options: type[PartialEncodingOptions]) -> None:
    assert options(layers="mean:06-6").config() == options(layers="6").config() == EngineConfig(layers="6")
    with pytest.raises(UsageError, match="--layers takes last, last4"):
        options(layers="mean_last4").config()


def encoding(**settings: Any) -> Encoding:
    spec = shared_engine(EngineConfig(device="cpu", **settings)).spec
    return Encoding(encoding_id=spec.encoding_id, name="e", spec=spec, created_at="2026-11-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("before", "asked", "language"),
    [
        ({"splitter": punkt.NAME}, {"splitter": "rules"}, "auto"),
        ({"splitter": punkt.NAME}, {"splitter": "rules", "language": "de"}, "de"),
        ({"splitter": punkt.NAME}, {}, ""),
        ({"language": "de"}, {"splitter": "lines"}, "de"),
        ({"language": "en"}, {"splitter": "lines"}, ""),
        ({"language": "auto"}, {"pooling": "max"}, "auto"),
    ],
)
def test_another_encoding_like_one_of_the_lake_has_its_language(
    before: dict[str, Any], asked: dict[str, Any], language: str
) -> None:
    found = _like(encoding(**before), PartialEncodingOptions(device="cpu", **asked))
    assert found.splitting.language == language


def test_another_store_alone_is_an_encoding_that_differs_in_nothing_else() -> None:
    """It is begun without --name, because its rows come from the encoding that it is like."""
    before = encoding(context="window")
    found = _stored_otherwise(before, PartialEncodingOptions(device="cpu", store="words=binary"))
    spec = shared_engine(found).spec
    assert spec.store == "sentences=float16,words=binary"
    assert replace(spec, store="float16") == before.spec


def test_a_run_without_a_store_goes_on_with_that_of_the_lake() -> None:
    known = encoding(store="int8")
    assert continued(EngineConfig(device="cpu"), [known], default=known.encoding_id).store == "int8"
    asked = continued(EngineConfig(device="cpu", store="float16"), [known], default=known.encoding_id)
    assert shared_engine(asked).spec.store == "float16"
