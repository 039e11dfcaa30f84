"""Files that are not read, on the command line: what is said of them, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyseme.storage.errors import UsageError
from tests.flows.test_cli import polyseme

LEAN = ("--level", "sentences", "--no-nsp")


@pytest.fixture
def unread(tmp_path: Path) -> Path:
    root = tmp_path / "unread"
    for name in ("paper.abc", "two.abc", ".hidden", "build/x.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("text")
    return root


def test_a_run_says_what_it_skipped_and_strict_heeds_it(
    capfd: pytest.CaptureFixture[str], unread: Path, tmp_path: Path
) -> None:
    command = ("embed", unread, "--lake", tmp_path / "lake", *LEAN, "--exclude", "build/")
    code, out, _ = polyseme(capfd, *command)
    said = "4 files skipped: 2 not-a-text-format (2 .abc), 1 excluded-folder, 1 hidden"
    assert code == 0
    assert said in out
    code, out, _ = polyseme(capfd, *command, "--strict", "--json")
    report = json.loads(out)
    assert (code, report["tally"]["skipped_files"]) == (3, 4)
    first = {"source": str(unread), "extension": ".abc", "reason": "not-a-text-format", "files": 2}
    assert report["skipped"][0] == first | {"example": (unread / "paper.abc").as_uri()}
    assert polyseme(capfd, *command, "--strict", "--exclude", "*.abc")[0] == 0
    _, out, _ = polyseme(capfd, "status", "--lake", tmp_path / "lake", "--json")
    found = {(row["reason"], row["files"]) for row in json.loads(out)["skipped"]}
    assert found == {("excluded", 2), ("excluded-folder", 1), ("hidden", 1)}


def test_a_plan_says_what_would_be_skipped(capfd: pytest.CaptureFixture[str], unread: Path, tmp_path: Path) -> None:
    command = ("embed", unread, "--lake", tmp_path / "lake", *LEAN, "--dry-run", "--include", "*.md")
    _, out, _ = polyseme(capfd, *command)
    assert "files skipped" in out
    assert not (tmp_path / "lake").exists()
    _, out, _ = polyseme(capfd, *command, "--json")
    found = {(one["extension"], one["reason"]): one["files"] for one in json.loads(out)["skipped"]}
    assert found == {(".abc", "excluded"): 2, (".txt", "excluded"): 1, ("", "hidden"): 1}


def test_a_pattern_without_a_meaning_is_a_mistake_in_the_command(
    capfd: pytest.CaptureFixture[str], unread: Path
) -> None:
    code, _, err = polyseme(capfd, "embed", unread, "--exclude", "!")
    assert code == UsageError.exit_code
    assert "--exclude '!'" in err
