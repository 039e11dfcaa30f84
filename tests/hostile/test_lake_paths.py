"""Odd places of lakes: each works from end to end or is refused before anything is made; a read-only one is read."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from polyseme.flows.settings import lake_at
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.compaction import compact
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.publish import publish
from tests import lakes, processes

SPEC = lakes.make_spec()
WORKS = [
    "a b", "a#b", "a%b", "a%20b", "a%2Fb", "a'b", 'a"b', "a]b", "{a,b}", "(a)", "a;b", "a$HOME", "~a", "-a", "a&b",
    "é東", "a:b", "a=b", "a,b", "^a", "a!b", "a@b", "file:x", "x" * 200,
]  # fmt: skip
REFUSED = ["a?b", "a*b", "a[b", "[ab]", "a\\b", "a\nb", "a\tb", "a\x7fb", "a\x1b[31m", "a\udcffb", "?", "*"]
TOO_LONG = ["x" * 256, "/".join(["x" * 200] * 25)]


@pytest.mark.parametrize("name", WORKS)
def test_a_lake_of_this_name_works_from_end_to_end(tmp_path: Path, name: str) -> None:
    lake = Lake(tmp_path / name)
    with Catalog.create_or_open(lake) as catalog:
        for doc_id in ("a", "b", "c"):
            lakes.commit(catalog, SPEC, {doc_id: [f"Text of {doc_id}."]})
        lakes.commit(catalog, SPEC, {"a": ["Another text."]})
        assert compact(catalog).broken == []
        publish(catalog)
        later = datetime.now(UTC) + timedelta(days=2)
        assert vacuum(catalog, grace=timedelta(0), now=later).retired
        assert verify(catalog, grace=timedelta(0), now=later).findings == ()
    with connect(lake) as con:
        assert con.execute("SELECT count(*) FROM sentences").fetchall() == [(3,)]
    with duckdb.connect(str(lake.published_path), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM sentences").fetchall() == [(3,)]
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", [*REFUSED, *TOO_LONG], ids=[*map(ascii, REFUSED), "a long name", "a long path"])
def test_a_lake_of_this_name_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    place = str(tmp_path / name)
    for opening in (
        lambda: Catalog.create_or_open(Lake(place)),
        lambda: Catalog.open(Lake(place)),
        lambda: connect(place),
        lambda: lake_at(place),
    ):
        with pytest.raises(UsageError, match="A lake cannot be at") as caught:
            opening()
        str(caught.value).encode("ascii")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    ["file://[/x", "file:///a%00b", "/a\0b", "/\ud800", "file:///\ud800", "file:///a?b", "file:///a#b", "file:///a\nb",
     "~no-such-user/lake"],
    ids=ascii,
)  # fmt: skip
def test_an_address_that_names_no_place_or_another_is_refused(address: str) -> None:
    for opening in (Lake, lake_at, connect):
        with pytest.raises(UsageError, match="A lake cannot be at") as caught:
            opening(address)
        str(caught.value).encode("ascii")


def test_a_folder_above_the_lake_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "[work]").mkdir()
    monkeypatch.chdir(tmp_path / "[work]")
    with pytest.raises(UsageError, match=r"the character '\['"):
        lake_at("lake")
    assert list((tmp_path / "[work]").iterdir()) == []


READ = """
import sys
from datetime import UTC, datetime, timedelta
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.verification import verify
from polyseme.storage.sql.connection import connect
from polyseme.storage.sql.selection import Selection, select_documents
from polyseme.flows.commands.lake import rejects, status
from polyseme.flows.commands.options.lake import LakeOptions

root = sys.argv[1]
with connect(root) as con:
    assert con.execute("SELECT count(*) FROM sentences").fetchall() == [(2,)]
with Catalog.open(Lake(root)) as catalog:
    assert verify(catalog, grace=timedelta(hours=1), now=datetime.now(UTC)).findings == ()
    assert len(list(select_documents(catalog, Selection()))) == 2
status(lake=LakeOptions(root=root))
with Catalog.open(Lake(root)) as catalog:
    states = dict(zip(*(catalog.snapshot().runs[name].to_pylist() for name in ("run_id", "state"))))
    assert states.pop("killed", "died") == "died", states
rejects(lake=LakeOptions(root=root))
"""
WRITE = """
import sys
from datetime import UTC, datetime, timedelta
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError
from polyseme.storage.lake import Lake
from polyseme.storage.maintenance.vacuum import vacuum
from polyseme.storage.sql.publish import publish
from tests import lakes

lake = Lake(sys.argv[1])


def vacuumed(catalog):
    return vacuum(catalog, grace=timedelta(0), now=datetime.now(UTC))


for open_, act in (
    (Catalog.create_or_open, lambda catalog: lakes.commit(catalog, lakes.make_spec(), {"n": ["New."]})),
    (Catalog.open, lambda catalog: lakes.commit(catalog, lakes.make_spec(), {"n": ["New."]})),
    (Catalog.open, lambda catalog: publish(catalog, anew=True)),
    (Catalog.open, vacuumed),
):
    try:
        with open_(lake) as catalog:
            act(catalog)
    except PolysemeError as error:
        assert "read-only, or its permissions" in str(error), error
        assert "ake room" not in str(error), error
    else:
        raise SystemExit("it was written")
"""


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "lake"
    with Catalog.create_or_open(Lake(root)) as catalog:
        for doc_id in ("a", "b"):
            lakes.commit(catalog, SPEC, {doc_id: [f"Text of {doc_id}."]})
        publish(catalog)
    yield root
    for path in (root, *root.rglob("*")):
        path.chmod(0o755)


@pytest.fixture
def killed(lake: Path) -> Path:
    """The lake as a process leaves it that was killed: the log of SQLite and its index are still there."""
    script = (
        "import os, sys; from tests import lakes; from polyseme.storage.catalog import Catalog; "
        "from polyseme.storage.lake import Lake; c = Catalog.open(Lake(sys.argv[1])); "
        "c.begin_run('killed', lakes.make_spec().encoding_id, []); os._exit(0)"
    )
    processes.run(sys.executable, "-c", script, lake)
    assert (lake / "catalog.sqlite-wal").stat().st_size
    return lake


NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def as_nobody(script: str, root: Path) -> processes.Completed:
    """Run Python as a user who may read the lake and not write it."""
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if stat.S_ISDIR(path.stat().st_mode) else 0o444)
    command = [sys.executable, "-c", script, str(root)]
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv: root may write everywhere")
        if processes.run(*NOBODY, sys.executable, "-c", "import polyseme.storage.lake", check=False).returncode:
            pytest.skip("needs Python and this project where everybody may read them: root may write everywhere")
        for folder in root.parents:
            if folder.stat().st_uid == 0 and "pytest" in str(folder):
                folder.chmod(0o755)
        command = [*NOBODY, *command]
    return processes.run(*command, check=False, env={**os.environ, "HOME": "/tmp"})


def on_a_read_only_mount(script: str, root: Path) -> processes.Completed:
    if os.getuid() != 0 or processes.run("unshare", "-m", "true", check=False).returncode:
        pytest.skip("needs root, and unshare to mount")
    mount = f'mount --bind "{root}" "{root}" && mount -o remount,bind,ro "{root}" && exec "$@"'
    return processes.run("unshare", "-m", "sh", "-c", mount, "sh", sys.executable, "-c", script, str(root), check=False)


@pytest.mark.slow
@pytest.mark.parametrize("run", [as_nobody, on_a_read_only_mount])
@pytest.mark.parametrize("state", ["lake", "killed"])
def test_a_lake_that_cannot_be_written_is_read_everywhere(
    run: type[as_nobody], state: str, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(state)
    before = sorted(str(p) for p in root.rglob("*"))
    done = run(READ, root)
    assert done.returncode == 0, done.stderr
    assert sorted(str(p) for p in root.rglob("*")) == before


@pytest.mark.parametrize("run", [as_nobody, on_a_read_only_mount])
def test_writing_there_says_that_it_cannot_be_written(run: type[as_nobody], lake: Path) -> None:
    done = run(WRITE, lake)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.slow
def test_a_log_without_its_index_is_merged_where_it_may_be_written(killed: Path) -> None:
    (killed / "catalog.sqlite-shm").unlink()
    done = as_nobody(READ, killed)
    assert done.returncode == 0, done.stderr
