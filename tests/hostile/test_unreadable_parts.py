"""Parts whose footer is good and whose pages are not, with the hash of their bytes: every reader says what is wrong."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.parts import sha256_of
from polyseme.storage.sql.nearest import SentenceVectors
from polyseme.storage.sql.selection import Selection, select_documents
from tests.hostile.hostile_lakes import SPEC, good, sql

__all__ = ["good"]


@pytest.fixture
def spoiled(good: Path, tmp_path: Path) -> Lake:
    root = tmp_path / "lake"
    shutil.copytree(good, root)
    for part in sorted((root / "data").rglob("*.parquet")):
        data = bytearray(part.read_bytes())
        data[4:36] = b"\xff" * 32  # the header of the first page
        part.unlink()
        part.write_bytes(data)
        sql(f"UPDATE parts SET sha256 = '{sha256_of(part)}' WHERE path = '{part.relative_to(root)}'")(root, root)
    return Lake(root)


def test_the_texts_of_a_backfill_are_refused_in_words(spoiled: Lake) -> None:
    with Catalog.open(spoiled) as catalog, pytest.raises(LakeError, match="polyseme verify"):
        list(select_documents(catalog, Selection()))


def test_the_nearest_sentences_are_refused_in_words(spoiled: Lake) -> None:
    with Catalog.open(spoiled) as catalog:
        snapshot = catalog.snapshot()
    assert snapshot.default is not None
    vectors = SentenceVectors(snapshot, spoiled, snapshot.default)
    with pytest.raises(LakeError, match="polyseme verify"):
        vectors.nearest(np.ones((1, SPEC.width), np.float32), 1)


def test_verify_names_what_cannot_be_read(spoiled: Lake) -> None:
    with Catalog.open(spoiled) as catalog:
        found = verify(catalog, grace=timedelta(0), now=datetime.now(UTC)).findings
    unreadable = [f for f in found if "cannot be read" in f.message]
    assert {f.kind for f in unreadable} == {"contents"}
    assert any(f.subject.startswith("sentences_") for f in unreadable)
