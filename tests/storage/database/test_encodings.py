"""Encodings in a catalog: names that never change, and a default."""

from __future__ import annotations

import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import UsageError
from polyseme.storage.records import EncodingSpec
from tests import lakes


def test_names_come_from_the_model_and_what_is_unusual(catalog: Catalog) -> None:
    name = catalog.register_encoding
    assert name(lakes.make_spec()) == "polyseme_mini"
    assert name(lakes.make_spec(context="window", layers="last4")) == "polyseme_mini_window_last4"
    assert name(lakes.make_spec(model="google-bert/bert-base-uncased", model_sha256="b")) == "bert_base_uncased"
    assert name(lakes.make_spec(model_sha256="other")) == "polyseme_mini_2"
    assert name(lakes.make_spec(model="../7b'; DROP--/", model_sha256="c")) == "model_7b_drop"
    assert name(lakes.make_spec(model="模型", model_sha256="d")) == "model"


def test_an_encoding_keeps_its_name_and_the_first_is_the_default(catalog: Catalog) -> None:
    first, second = lakes.make_spec(), lakes.make_spec(context="pair")
    assert catalog.register_encoding(first) == catalog.register_encoding(first)
    catalog.register_encoding(second, name="mine")
    assert catalog.register_encoding(second) == "mine"
    default = catalog.snapshot().default
    assert default is not None
    assert (default.spec, [e.name for e in catalog.encodings()]) == (first, ["polyseme_mini", "mine"])


@pytest.mark.parametrize("name", ["Mine", "1st", "a b", "a;drop", "x" * 49, "ä"])
def test_a_name_that_sql_would_have_to_quote_is_refused(catalog: Catalog, name: str) -> None:
    with pytest.raises(UsageError, match="lower-case"):
        catalog.register_encoding(lakes.make_spec(), name=name)


def test_two_encodings_cannot_share_a_name(catalog: Catalog, spec: EncodingSpec) -> None:
    with pytest.raises(UsageError, match="belongs to"):
        catalog.register_encoding(lakes.make_spec(context="pair"), name="polyseme_mini")
