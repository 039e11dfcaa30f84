"""The rooms are guarded: what does not belong fails `make check`, and every folder says what it is for."""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

import pytest

from tests import processes
from tests.repository import ROOT

FOLDERS = ("flows", "tasks", "storage")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The code alone, to plant something in."""
    skipped = shutil.ignore_patterns("__pycache__")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=skipped)
    shutil.copytree(ROOT / "polyseme", tmp_path / "polyseme", symlinks=True, ignore=skipped)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def check(clone: Path, program: str, *words: str) -> processes.Completed:
    """Run one of the programs of `make check` in a clone."""
    return processes.run(Path(sys.executable).with_name(program), *words, cwd=clone, check=False)


def test_an_import_of_a_room_above_fails_the_check(clone: Path) -> None:
    module = clone / "storage" / "lake.py"
    module.write_text(module.read_text() + "\n\nfrom polyseme.storage.sql import views  # noqa: E402, F401\n")
    done = check(clone, "lint-imports", "--no-cache")
    assert done.returncode == 1
    assert "polyseme.storage.lake -> polyseme.storage.sql.views" in done.stdout


def test_a_folder_without_a_place_fails_the_check(clone: Path) -> None:
    (clone / "tasks" / "misc").mkdir()
    (clone / "tasks" / "misc" / "__init__.py").write_text('"""Things."""\n')
    done = check(clone, "lint-imports", "--no-cache")
    assert done.returncode == 1
    assert "misc" in done.stdout


@pytest.mark.parametrize(
    ("path", "text", "rule"),
    [
        ("tasks/misc/things.py", '"""Things."""\n', "INP001"),
        ("tasks/reading/extra.py", "from tasks import engine\n", "TID251"),
        ("flows/extra.py", "import storage.lake\n", "TID251"),
    ],
)
def test_a_folder_that_is_no_package_and_a_bare_name_fail_the_check(
    clone: Path, path: str, text: str, rule: str
) -> None:
    planted = clone / path
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(text)
    done = check(clone, "ruff", "check", "--no-cache", "--output-format", "concise", str(planted))
    assert done.returncode == 1
    assert rule in done.stdout


def test_every_room_says_in_one_line_what_it_is_for() -> None:
    rooms = [p for folder in FOLDERS for p in (ROOT / folder).rglob("__init__.py")]
    assert len(rooms) > 20
    for room in rooms:
        said = ast.get_docstring(ast.parse(room.read_text("utf-8")))
        assert said, room
        assert len(said.splitlines()[0]) < 120, room


def test_tests_mirror_the_rooms() -> None:
    for folder in FOLDERS:
        rooms = {p.parent.relative_to(ROOT) for p in (ROOT / folder).rglob("__init__.py")}
        tested = {p.parent.relative_to(ROOT / "tests") for p in (ROOT / "tests" / folder).rglob("test_*.py")}
        assert tested <= rooms, tested - rooms
