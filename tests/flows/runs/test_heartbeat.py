"""The heartbeat of a run: it gives signs of life, and neither ends nor delays anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from polyseme.flows.runs.heartbeat import heartbeat
from polyseme.storage.catalog import Catalog
from polyseme.storage.database.runs import renew
from polyseme.storage.database.schema import runs
from polyseme.storage.lake import Lake
from tests import lakes
from tests.processes import wait_until

SPEC = lakes.make_spec()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.create_or_open(Lake(tmp_path / "lake"), patience=0.05) as opened:
        opened.register_encoding(SPEC)
        lakes.begin(opened, SPEC, "r")
        yield opened


def seen_at(catalog: Catalog) -> str:
    with catalog.reading() as connection:
        return str(connection.scalar(select(runs.c.seen_at)))


def beating() -> bool:
    return any(thread.name == "polyseme-heartbeat" for thread in threading.enumerate())


def test_a_silent_run_is_seen_again_and_again_until_it_ends(catalog: Catalog) -> None:
    with heartbeat(catalog, "r", every_seconds=0.01):
        for _ in range(2):
            before = seen_at(catalog)
            wait_until(lambda before=before: seen_at(catalog) > before, "a sign of life")
    assert not beating()


def test_a_locked_catalog_gets_the_next_sign(catalog: Catalog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="polyseme.flows.runs.heartbeat")
    with heartbeat(catalog, "r", every_seconds=0.01):
        with catalog.writing():
            wait_until(lambda: "no sign of life was recorded" in caplog.text, "a sign fails")
        before = seen_at(catalog)
        wait_until(lambda: seen_at(catalog) > before, "a sign of life after it")


def test_a_run_that_fails_has_no_more_signs(catalog: Catalog) -> None:
    with pytest.raises(KeyboardInterrupt), heartbeat(catalog, "r"):
        raise KeyboardInterrupt
    assert not beating()


def test_a_run_of_another_catalog_is_left_alone(catalog: Catalog) -> None:
    before, version = seen_at(catalog), catalog.version
    with catalog.writing() as connection:
        renew(connection, "another")
    assert (seen_at(catalog), catalog.version) == (before, version)
