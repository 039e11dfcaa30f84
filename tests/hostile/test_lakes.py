"""Lakes that somebody made in order to be opened: each is refused in words, and nothing outside it is touched."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import LakeError, PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish
from polyseme.storage.staging import read_staged
from tests import lakes
from tests.hostile.hostile_lakes import HOSTILE, ID, SPEC, Spoil, good

__all__ = ["good"]


def use(lake: Lake) -> Iterator[Callable[[], object]]:
    """Yield what people do with a lake, one thing after another."""

    def ask() -> None:
        with connect(lake) as con:
            for view in ("documents", "sentences", "words", "transitions", "coherence", "runs", "rejects", "encodings"):
                con.execute(f"FROM {view}").fetchall()

    def keep() -> None:
        now = datetime.now(UTC) + timedelta(days=400)
        with Catalog.open(lake) as catalog:
            catalog.lookup(ID, ["d", "e"])
            catalog.outputs(ID)
            verify(catalog, grace=timedelta(0), now=now)
            compact(catalog)
            vacuum(catalog, grace=timedelta(0), now=now, unknown=True)

    def write() -> None:
        with Catalog.create_or_open(lake) as catalog:
            lakes.commit(catalog, SPEC, {"new": ["A new text."]})
            publish(catalog)

    yield from (ask, keep, write)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(("spoil", "message"), [(s, m) for _, s, m in HOSTILE], ids=[name for name, _, _ in HOSTILE])
def test_a_hostile_lake_is_refused_and_touches_nothing_outside(
    good: Path, tmp_path: Path, spoil: Spoil, message: str
) -> None:
    root, out = tmp_path / "lake", tmp_path / "out"
    shutil.copytree(good, root)
    out.mkdir()
    (out / "diary.txt").write_text("Dear diary.")
    spoil(root, out)
    before, parts = contents(out), contents(root / "data")
    refusals: list[Exception] = []
    for act in use(Lake(root)):
        try:
            act()
        except (PolysemeError, duckdb.Error) as error:
            refusals.append(error)
    assert contents(out) == before
    after = contents(root / "data")
    assert all(after[name] == parts[name] for name in parts.keys() & after.keys())
    assert any(re.search(message, str(error)) for error in refusals if isinstance(error, LakeError)), refusals


def test_the_lake_that_they_are_made_of_is_good(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good, tmp_path / "lake")
    for act in use(Lake(tmp_path / "lake")):
        act()


def test_a_lake_whose_root_is_a_link_is_fine(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good, tmp_path / "lake")
    (tmp_path / "link").symlink_to(tmp_path / "lake")
    for act in use(Lake(tmp_path / "link")):
        act()


def test_a_staged_file_of_another_kind_is_refused(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good, tmp_path / "lake")
    lake = Lake(tmp_path / "lake")
    for path in ("../x", "/etc/passwd", "staging/../../x.arrow", "staging/run/1.arrow", "data/x.arrow"):
        with pytest.raises(LakeError, match="staged documents"):
            list(read_staged(lake, path))
    staged = tmp_path / "lake" / "staging" / "run" / "00000.arrow"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(b"garbage")
    with pytest.raises(LakeError, match="cannot be read"):
        list(read_staged(lake, "staging/run/00000.arrow"))
    with pa.ipc.new_file(str(staged), pa.schema([("text", pa.string())])) as file:
        file.write_batch(pa.record_batch({"text": ["x"]}))
    with pytest.raises(LakeError, match="columns are text"):
        list(read_staged(lake, "staging/run/00000.arrow"))
