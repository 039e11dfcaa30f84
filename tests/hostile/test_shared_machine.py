"""Other users of the machine: what a query spills is not for them, and they cannot hold the locks of scans."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from polyseme.flows.server.scan_lock import scan_lock
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.sql.connection import connect
from tests import lakes


def test_nobody_else_may_enter_the_folder_of_what_a_query_spills(tmp_path: Path) -> None:
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as catalog:
        lakes.commit(catalog, lakes.make_spec(), {"d": ["Text."]})
    with connect(tmp_path / "lake") as con:
        con.execute("SET memory_limit = '50MB'")
        con.execute("CREATE TABLE spilt AS SELECT hash(range) AS h, uuid()::VARCHAR AS text FROM range(1_500_000)")
        ((spill,),) = con.execute("SELECT current_setting('temp_directory')").fetchall()
        assert any(Path(spill).iterdir())
        assert stat.S_IMODE(Path(spill).stat().st_mode) == 0o700


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of locks, which is not made yet, in a folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"polyseme-{os.getuid()}"


def test_the_locks_of_scans_are_in_a_folder_of_their_own(temporary: Path) -> None:
    for _ in range(2):
        with scan_lock("lake corpus") as mine:
            assert mine
    assert stat.S_IMODE(temporary.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["a link", "a file", "a folder for all", "a folder of another"])
def test_a_folder_that_others_made_for_the_locks_is_refused(temporary: Path, kind: str) -> None:
    theirs = temporary.parent / "theirs"
    theirs.mkdir()
    if kind == "a link":
        temporary.symlink_to(theirs)
    elif kind == "a file":
        temporary.touch()
    else:
        temporary.mkdir()
        temporary.chmod(0o777 if kind == "a folder for all" else 0o700)
    if kind == "a folder of another":
        if os.getuid() != 0:
            pytest.skip("only root can make a folder of another user")
        os.chown(temporary, 12_345, -1)
    with pytest.raises(PolysemeError, match="set TMPDIR"), scan_lock("lake corpus"):
        pass
    assert not any(theirs.iterdir())
