"""Topics in the catalog: kept as they are, gone with their encoding, and checked before they are used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.database import meta
from polyseme.storage.errors import LakeError, PolysemeError
from polyseme.storage.fitted_topics import Topic, TopicFit
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.backup import backup, restore
from polyseme.storage.records import Counts
from polyseme.storage.sql.connection import connect
from tests import lakes

SPEC = lakes.make_spec()
HALVES = np.array([0.5, -0.25, 0.125, 1], np.float16)


def make_fit(version: int = 1, **changes: Any) -> TopicFit:
    fields: dict[str, Any] = {
        "version": version, "fitted_at": "2026-11-29T12:00:00+00:00", "catalog_version": 3, "documents": 5, "seed": 0,
        "silhouette": 0.25, "far_below": 0.1, "centre": HALVES,
        "topics": (Topic(1, ("straße", "река"), 3, HALVES), Topic(4, (), 2, -HALVES)),
    }  # fmt: skip
    return TopicFit(**(fields | changes))


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    lakes.commit(catalog, SPEC, {"a": ["The bank."], "b": ["The river."]})
    return catalog


def records(catalog: Catalog) -> list[Any]:
    return [fit.to_record() for fit in catalog.snapshot().topics.get(SPEC.encoding_id, ())]


def test_a_fit_is_read_as_it_was_stored(filled: Catalog) -> None:
    version = filled.snapshot().catalog_version
    filled.add_topics(SPEC.encoding_id, make_fit())
    filled.add_topics(SPEC.encoding_id, make_fit(2, silhouette=None))
    assert records(filled) == [make_fit().to_record(), make_fit(2, silhouette=None).to_record()]
    assert filled.snapshot().catalog_version == version + 2


@pytest.mark.parametrize("change", [{"seed": 10**23}, {"far_below": float("nan")}, {"topics": ()}])
def test_a_fit_that_could_not_be_read_again_is_not_stored(filled: Catalog, change: dict[str, Any]) -> None:
    with pytest.raises(PolysemeError, match="cannot be stored, and nothing was changed"):
        filled.add_topics(SPEC.encoding_id, make_fit(**change))
    assert records(filled) == []


def test_versions_are_in_the_order_of_numbers(filled: Catalog) -> None:
    for version in range(1, 12):
        filled.add_topics(SPEC.encoding_id, make_fit(version))
    assert [record["version"] for record in records(filled)] == list(range(1, 12))


def test_a_backup_has_the_topics(filled: Catalog, tmp_path: Path) -> None:
    filled.add_topics(SPEC.encoding_id, make_fit())
    backup(filled, Lake(tmp_path / "copy"))
    restore(Lake(tmp_path / "copy"), Lake(tmp_path / "restored"))
    with Catalog.open(Lake(tmp_path / "restored")) as catalog:
        assert records(catalog) == [make_fit().to_record()]


def test_topics_go_with_their_encoding(filled: Catalog) -> None:
    other = lakes.make_spec(layers="last4")
    lakes.commit(filled, other, {"a": ["The bank."]})
    for run_id in filled.snapshot().runs["run_id"].to_pylist():
        filled.finish_run(run_id, "completed", Counts(), skipped=0, deleted=0, rejected=0)
    filled.add_topics(other.encoding_id, make_fit())
    filled.add_topics(SPEC.encoding_id, make_fit())
    name = next(e.name for e in filled.encodings() if e.encoding_id == other.encoding_id)
    filled.drop_encoding(name)
    assert list(filled.snapshot().topics) == [SPEC.encoding_id]
    with pytest.raises(PolysemeError, match="was dropped"):
        filled.add_topics(other.encoding_id, make_fit())
    lakes.commit(filled, other, {"a": ["The bank."]})
    assert list(filled.snapshot().topics) == [SPEC.encoding_id]


@pytest.mark.parametrize(
    "change",
    [
        lambda fit: fit.update(version=2),
        lambda fit: fit.update(version="1"),
        lambda fit: fit.update(fitted_at="yesterday"),
        lambda fit: fit.update(far_below=float("nan")),
        lambda fit: fit.update(centre="AAAA"),
        lambda fit: fit.update(centre="no vector"),
        lambda fit: fit.update(topics=[]),
        lambda fit: fit["topics"].append(fit["topics"][0]),
        lambda fit: fit["topics"][0].update(topic=0),
        lambda fit: fit["topics"][0].update(words=["\ud800"]),
        lambda fit: fit["topics"][0].update(direction="AAA="),
        lambda fit: fit["topics"][0].pop("documents"),
        lambda fit: fit.pop("seed"),
        lambda fit: fit.update(more=1),
    ],
)
def test_topics_that_polyseme_did_not_write_are_refused(filled: Catalog, change: Callable[[Any], Any]) -> None:
    record = make_fit().to_record()
    change(record)
    with filled.writing() as connection:
        meta.record_topic_fit(connection, SPEC.encoding_id, 1, json.dumps(record))
    with pytest.raises(LakeError, match="topics"):
        filled.snapshot()


def test_views_show_them_in_any_script(filled: Catalog) -> None:
    filled.add_topics(SPEC.encoding_id, make_fit())
    with connect(filled.lake, functions=lambda *_: None) as con:
        found = con.execute("SELECT topic, label, words, documents FROM topics").fetchall()
    assert [row[:3] for row in found] == [(1, "straße, река", ["straße", "река"]), (4, "topic 4", [])]
    assert sum(row[3] for row in found) == 2
